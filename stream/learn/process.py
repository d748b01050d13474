"""Process that trains: started beside a worker, and ended with it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import stream
from stream.settings import Settings

from .report import Outcome, Progress, decode

PROGRAM: Final = "stream.tools.trainer"
"""Module of the process. It stands above the worker, which only starts it."""
_MOST_LINE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Job:
    """Task of the process.

    Attributes:
        settings: Settings of the service.
        after: Offset of the last publication in the model topic; -1: there is none.
        has_model: Whether a model is in service. The first training waits for its history.
        folder: Folder for the bundle.
    """

    settings: Settings
    after: int
    has_model: bool
    folder: Path

    def encode(self) -> bytes:
        """Return the task as one line, for a process of the same program."""
        return base64.b64encode(pickle.dumps(self)) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Job:
        """Read the line of a task, which only the process that starts the trainer writes."""
        job: Job = pickle.loads(base64.b64decode(line))  # noqa: S301  # from our own parent
        return job


async def run_process(job: Job, on_progress: Callable[[Progress], None]) -> Outcome:
    """Run the process to its end; it is killed when this is cancelled.

    Args:
        job: Task of the process.
        on_progress: Function told the progress.

    Returns:
        The end of the training; a process that dies has failed.
    """
    root = str(Path(stream.__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        limit=_MOST_LINE_BYTES,
        start_new_session=True,  # Ctrl-C must reach the worker only, which ends the process
    )
    assert process.stdin is not None
    assert process.stdout is not None
    outcome: Outcome | None = None
    try:
        # The pipe stays open: its end tells the process that the worker is gone.
        process.stdin.write(job.encode())
        async for line in process.stdout:
            message = decode(line)
            if isinstance(message, Progress):
                on_progress(message)
            elif message is not None:
                outcome = message
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process.stdin.close()
    return outcome or Outcome("failed", f"The process that trains ended with exit code {code}.")
