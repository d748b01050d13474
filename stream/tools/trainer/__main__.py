"""Entry of the process that trains; `stream.learn.process` starts it beside a worker.

The task comes on stdin, and the reports go to stdout, a line each. Logs go to stderr, with those of
the worker. The process ends when stdin does: then the worker is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import BinaryIO

from ember_core.data.sources import DataError
from ember_core.serialize import BundleError
from stream.errors import UserError
from stream.learn.process import Job
from stream.learn.report import Outcome, Progress, encode
from stream.observe import configure_logs

_STDIN = 0
_PART_BYTES = 65_536
_NICENESS = 10
_REPORT_SECONDS = 0.5


class Reports:
    """Writer of reports, two a second at most.

    Args:
        stream: Stream of the lines.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._last = ("", float("-inf"))

    def progress(self, progress: Progress) -> None:
        """Write a progress, unless the last one of its stage was just now."""
        stage, written = self._last
        now = time.monotonic()
        if progress.stage != stage or now - written >= _REPORT_SECONDS:
            self._last = progress.stage, now
            self._write(progress)

    def end(self, outcome: Outcome) -> None:
        """Write the end of the training."""
        self._write(outcome)

    def _write(self, message: Progress | Outcome) -> None:
        self._stream.write(encode(message))
        self._stream.flush()


def main() -> int:
    """Train once, and return the exit code."""
    os.nice(_NICENESS)  # the workers of this host come first
    job = Job.decode(_read_line())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = job.settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    reports = Reports(sys.stdout.buffer)
    # Imported late: a worker that is gone already needs none of it.
    from .training import run

    try:
        outcome = run(job, reports.progress)
    except UserError as error:
        outcome = Outcome("failed", error.message)
    except (DataError, BundleError) as error:
        outcome = Outcome("failed", str(error))
    except OSError as error:  # such as a full disk
        outcome = Outcome("failed", f"The history or the model cannot be kept: {error}.")
    reports.end(outcome)
    return 0


def _read_line() -> bytes:
    """Return the one line that stdin has so far."""
    # Not by `sys.stdin`: a thread that waits in its buffer hinders the end of the interpreter.
    line = b""
    while not line.endswith(b"\n") and (part := os.read(_STDIN, _PART_BYTES)):
        line += part
    return line


def _end_with_parent() -> None:
    """End this process when the worker is gone, which holds the other end of stdin."""
    while os.read(_STDIN, _PART_BYTES):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
