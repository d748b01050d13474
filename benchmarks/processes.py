"""Processes under measurement: one core's worth of threads, and an end by their own id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from benchmarks.frame import BenchmarkError

ROOT: Final = Path(__file__).parents[1]
_STOP_SECONDS: Final = 40.0

ONE_THREAD: Final[Mapping[str, str]] = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""A matrix library spinning on the broker's core would be measured instead of the worker."""


def cpu_seconds(pid: int | None) -> float:
    """Processor time that a process has taken so far, in user's and system's mode."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class Child:
    """A Python module in a process of its own.

    Args:
        words: Module and its arguments.
        folder: Working directory, also of its output files.
        name: Name of its output files.
        environment: Variables beside this process's.
        python: The interpreter; this process's without one.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
        python: str | None = None,
    ) -> None:
        self.name = name
        self._out, self._errors = folder / f"{name}.out", folder / f"{name}.err"
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EMBER_")}
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [python or sys.executable, "-m", *words],
                cwd=folder,
                env={**inherited, **ONE_THREAD, "PYTHONPATH": path, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def output(self) -> str:
        """Text printed so far."""
        return self._out.read_text(errors="replace")

    def until(self, found: Callable[[], Any], seconds: float, every: float = 0.1) -> Any:
        """Wait for something while the process lives.

        Raises:
            BenchmarkError: If it ends, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = found()
            if value:
                return value
            if self._process.poll() is not None:
                raise BenchmarkError(
                    f"{self.name} ended with {self._process.returncode}: {self.tail()}"
                )
            time.sleep(every)
        raise BenchmarkError(f"{self.name} did not get there in {seconds:.0f} s: {self.tail()}")

    def finished(self, seconds: float) -> None:
        """Wait for its end, which must be 0.

        Raises:
            BenchmarkError: If it ends otherwise, or not in time.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise BenchmarkError(
                f"{self.name} had to be killed after {seconds:.0f} s: {self.tail()}"
            ) from None
        if code != 0:
            raise BenchmarkError(f"{self.name} ended with {code}: {self.tail()}")

    def stop(self) -> None:
        """SIGTERM, and wait for an orderly end.

        Raises:
            BenchmarkError: If it does not end with 0.
        """
        self._process.send_signal(signal.SIGTERM)
        self.finished(_STOP_SECONDS)

    def tail(self) -> str:
        """The last it complained of."""
        lines = self._errors.read_text(errors="replace").splitlines()[-12:]
        return " | ".join(lines) or "it said nothing"
