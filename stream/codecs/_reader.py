"""The compiled reader of JSON messages, prepared in the background for programs that read many.

Commands that read a few messages never need it. A program that has read some thousand gets it from
a thread; where there is no machine code yet, a process beside this one makes it, as a compiler
holds the GIL. Until then the typed decoder reads everything, with the same outcome.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

_log = structlog.stdlib.get_logger("ember")

Scan = Callable[..., None]
"""`_json_scan.scan`, compiled."""

_FROM_MESSAGES: Final = 65_536
"""Messages after which it is prepared: a tenth of a second's work of the typed decoder."""
_PROGRAM: Final = "import stream.codecs._reader as reader; reader.load()"
_NICE: Final = 10  # the program beside it comes first


class CompiledReader:
    """Holder of the compiled function, which is there at some time or never.

    Args:
        load: Function that returns the compiled function, at any cost.
        compile_beside: Function that compiles it in another process, for `load` to find.
        from_messages: Messages after which it is prepared.
    """

    def __init__(
        self,
        load: Callable[[], Scan],
        compile_beside: Callable[[], None],
        from_messages: int = _FROM_MESSAGES,
    ) -> None:
        self._load, self._compile_beside = load, compile_beside
        self._remaining = from_messages
        self._thread: threading.Thread | None = None
        self._scan: Scan | None = None

    def scan_for(self, count: int) -> Scan | None:
        """Return the function; None as long as it is not there.

        Args:
            count: Messages that are about to be decoded.
        """
        if self._scan is None and self._thread is None:
            self._remaining -= count
            if self._remaining < 0:
                self._thread = threading.Thread(
                    target=self._prepare, name="json compiler", daemon=True
                )
                self._thread.start()
        return self._scan

    def load(self) -> None:
        """Load or compile the function now, in this thread."""
        self._scan = self._load()

    def wait(self) -> None:
        """Wait for the thread, if it has been started."""
        if self._thread is not None:
            self._thread.join()

    def _prepare(self) -> None:
        try:
            self._compile_beside()
            self._scan = self._load()
        except Exception as error:  # noqa: BLE001  # the typed decoder goes on, whatever this was
            detail = f"{type(error).__name__}: {error}"
            _log.warning("JSON is read without compiled code, which takes longer", detail=detail)


def load() -> Scan:
    """Return the function, loaded or compiled for the types that it is called with."""
    scan: Scan = importlib.import_module("stream.codecs._json_scan").scan
    message = np.frombuffer(b"{}", dtype=np.uint8)
    integers, floats = np.zeros(1, dtype=np.int64), np.zeros(1)
    flags, table = np.zeros(1, dtype=np.bool_), np.zeros((1, 1), dtype=np.int64)
    ends = integers + 2
    none = integers[:0]
    columns: tuple[Any, ...] = (none, none, none, -1, flags, np.zeros((1, 1)), floats, integers)
    scan(message, integers, ends, 0x7F, message, ends, *columns, flags, table, table)
    if not flags[0]:
        raise RuntimeError("The compiled reader does not read the simplest message.")
    return scan


def compile_beside() -> None:
    """Compile in a process of its own, which this interpreter does not wait for.

    Raises:
        RuntimeError: If it ends with an error.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    program = f"import os; os.nice({_NICE}); {_PROGRAM}"
    completed = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for this process only
    )
    if completed.returncode:
        last_line = (completed.stderr.decode(errors="replace").strip() or "no message").splitlines()
        raise RuntimeError(
            f"The process that compiles ended with exit code {completed.returncode}: "
            f"{last_line[-1]}"
        )


compiled_reader: Final = CompiledReader(load, compile_beside)
"""The reader of this process."""


def load_compiled_reader() -> None:
    """Read JSON by compiled code from now on, in this process; else it begins when it pays.

    Raises:
        ImportError: If Numba is missing.
    """
    compiled_reader.load()
