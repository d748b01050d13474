"""The `ember` command as its users run it: in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _environment(code: Path = ROOT) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("EMBER_")}
    return own | {"PYTHONPATH": str(code), "OPENBLAS_NUM_THREADS": "1"}


def ember(
    *arguments: str | Path, cwd: Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", *map(str, arguments)],
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr[-4000:]
    return done


def last_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The object on the last line of stdout."""
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


class Service:
    """`ember run` in the background; its log is kept for the message of a failing test.

    Args:
        folder: Working directory; holds the log.
        config: Settings file.
        embedded: Whether its broker is the embedded one, where sessions can be short.

    Attributes:
        code: Folder of the packages that it runs from its next start on.
    """

    def __init__(self, folder: Path, config: Path, *, embedded: bool = False) -> None:
        self._folder, self._config = folder, config
        self._module = "tests.e2e.short_sessions" if embedded else "stream.cli"
        self.code = ROOT
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Start a worker."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module, "run", "--config", str(self._config)],
                cwd=self._folder,
                env=_environment(self.code),
                stdout=log,
                stderr=log,
            )
        return self

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.alive():
            self.kill()


def wait_until(
    what: str, holds: Callable[[], bool], service: Service, seconds: float = 120
) -> None:
    """Wait for a condition; fails with the worker's log when it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        tail = service.log.read_text()[-3000:]
        assert service.alive(), f"The worker ended while waiting for {what}.\n{tail}"
        assert time.monotonic() < end, f"{what} did not come.\n{tail}"
        time.sleep(0.05)
