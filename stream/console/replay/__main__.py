"""Entry of the process that replays; the console starts it.

The task comes on stdin, and steps and result go to stdout, a line each. The process ends when stdin
does: then the console is gone.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from ember_core.data.sources import DataError
from ember_core.serialize import BundleError
from stream.errors import UserError

from ._task import ActivationsTask, Done, Failed, Line, Step, decode_task

_STDIN = 0
_PART_BYTES = 65_536
_NICENESS = 10


def main() -> int:
    """Run the one task, and return the exit code."""
    os.nice(_NICENESS)  # the console, and the workers of this host, come first
    task = decode_task(_read_line())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Imported late: a console that is gone already needs none of it.
    from ._activations import activations
    from ._what_if import what_if

    try:
        if isinstance(task, ActivationsTask):
            _write(Done(activations(task, _step)))
        else:
            _write(Done(what_if(task, _step)))
    except UserError as error:
        _write(Failed(error.message))
    except (DataError, BundleError) as error:
        _write(Failed(str(error)))
    return 0


def _step(phase: str, share: float) -> None:
    _write(Step(phase, share))


def _write(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _read_line() -> bytes:
    """Return the one line that stdin has so far."""
    # Not by `sys.stdin`: a thread that waits in its buffer hinders the end of the interpreter.
    line = b""
    while not line.endswith(b"\n") and (part := os.read(_STDIN, _PART_BYTES)):
        line += part
    return line


def _end_with_parent() -> None:
    """End this process when the console is gone, which holds the other end of stdin."""
    while os.read(_STDIN, _PART_BYTES):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
