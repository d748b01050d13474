"""Process that replays, as the console sees it: one at a time, with a bound of time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

import stream
from stream.console.guard import RefusedError
from stream.errors import UserError

from ._task import Done, Failed, Line, Step, Task, encode_task

PROGRAM: Final = "stream.console.replay"
_DECODER: Final = msgspec.json.Decoder(Line)


class Replayer:
    """Runner of replays.

    Args:
        seconds: Longest time of one.

    Attributes:
        on_step: Function told of the progress: the step, and its share that is done.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.on_step: Callable[[str, float], None] = lambda phase, share: None
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end = ""

    def run(self, task: Task) -> Any:
        """Run a task to its end, and return its result as plain values.

        Raises:
            RefusedError: If another one runs.
            UserError: If it fails, takes too long, or is cancelled.
        """
        if not self._busy.acquire(blocking=False):
            raise RefusedError(
                "Another replay runs already. Wait for its end, or cancel it with "
                "DELETE /api/what-if.",
                409,
            )
        try:
            return self._run(task)
        finally:
            self._busy.release()

    def cancel(self, reason: str = "The replay was cancelled.") -> bool:
        """End the replay that runs; return False if there is none."""
        process = self._process
        if process is None:
            return False
        self._end = reason
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return True

    def _run(self, task: Task) -> Any:
        root = str(Path(stream.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._end = ""
        end: Done | Failed | None = None
        with subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C must reach the console only, which ends the process
        ) as process:
            self._process = process
            bound = threading.Timer(self._seconds, self.cancel, [_too_long(self._seconds)])
            bound.daemon = True
            bound.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                # The pipe stays open: its end tells the process that the console is gone.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(encode_task(task))
                    process.stdin.flush()
                for line in process.stdout:
                    message = _read(line)
                    if isinstance(message, Step):
                        self.on_step(message.phase, message.share)
                    elif message is not None:
                        end = message
            finally:
                bound.cancel()
                process.kill()
                self._process = None
        if isinstance(end, Done):
            return end.result
        reason = self._end or (end.error if end is not None else "")
        raise UserError(reason or f"The replay ended with exit code {process.returncode}.")


def _too_long(seconds: float) -> str:
    return (
        f"The replay has taken longer than {seconds:g} s, and was ended. Expected fewer keys or "
        "hours, or a longer console.what_if_seconds."
    )


def _read(line: bytes) -> Line | None:
    """Return the message of a line; None for a line that is none."""
    try:
        message: Line = _DECODER.decode(line)
    except msgspec.MsgspecError:
        return None
    return message
