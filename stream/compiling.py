"""Compiled stages for models in use: prepared in the background, and used once they are there.

A model scores by its plain stages at first. A thread loads the machine code of the compiled ones;
where there is none yet, a process beside this one makes it, as a compiler holds the GIL. Both forms
have the same bits, so that nothing but the time of a step tells them apart.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

import stream
from ember_core.pipeline import FleetModel, Pipeline
from ember_core.pipeline.compiled.cache import VARIABLE, copy_missing, is_writable
from stream.engine import Profiles

_log = structlog.stdlib.get_logger("ember")

PROGRAM: Final = "ember_core.pipeline.compiled"
_TURN_SECONDS: Final = 0.001  # of the interpreter, while machine code is loaded beside the stream


class BackgroundCompiler:
    """Thread that brings models to their compiled stages.

    Args:
        folder: Folder for machine code, where `NUMBA_CACHE_DIR` names none that can be written to.
        between_steps: Function that runs another between two steps. Default: at once.
        is_wanted: False: models stay plain.

    Attributes:
        detail: Reason why the newest models score by plain stages; empty: they do not.
    """

    def __init__(
        self,
        folder: Path,
        between_steps: Callable[[Callable[[], None]], object] = lambda function: function(),
        *,
        is_wanted: bool = True,
    ) -> None:
        self._folder, self._between_steps, self._is_wanted = folder, between_steps, is_wanted
        self.detail = "" if is_wanted else "model.compiled is off."
        self._one_at_a_time = threading.Lock()
        self._pending = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def is_busy(self) -> bool:
        """True while models wait for their compiled stages."""
        return self._pending > 0

    def begin(self, *models: FleetModel | Profiles) -> None:
        """Prepare the compiled stages of models, and let them score by these as soon as possible.

        Args:
            models: Models in use, or about to be used.
        """
        if not self._is_wanted:
            return
        pipelines = [pipeline for model in models for pipeline in pipelines_of(model)]
        self._pending += 1
        # Copies for the thread, as it must not meet those in use.
        work = pipelines, pickle.dumps(pipelines)
        threading.Thread(target=self._prepare, args=work, name="compiler", daemon=True).start()

    def close(self) -> None:
        """End all preparations; the models stay as they are."""
        self._closed = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def _prepare(self, pipelines: Sequence[Pipeline], copies: bytes) -> None:
        started, detail = time.monotonic(), ""
        try:
            with self._one_at_a_time, _short_turns():
                self._make(copies)
        except _CannotCompileError as error:
            detail = str(error)
        except Exception as error:  # noqa: BLE001  # the plain stages go on, whatever this was
            detail = f"{type(error).__name__}: {error}"
        if self._closed:
            return
        seconds = round(time.monotonic() - started, 2)
        self._between_steps(lambda: self._switch(pipelines, seconds, detail))

    def _switch(self, pipelines: Sequence[Pipeline], seconds: float, detail: str) -> None:
        self._pending -= 1
        if self._closed:
            return
        self.detail = detail
        if detail:
            _log.warning("the model scores by its plain stages, which take longer", detail=detail)
            return
        for pipeline in pipelines:
            pipeline.use_compiled()
        gc.freeze()  # of the compiler's objects, so that no collection has to look at them
        _log.info("the model scores by its compiled stages", seconds=seconds)

    def _make(self, copies: bytes) -> None:
        """Load the machine code of all stages; first make it, where it is not there.

        Args:
            copies: The pipelines, pickled.
        """
        use_folder(self._folder)
        try:
            from ember_core.pipeline.compiled.compiler import (
                FOLDER,
                KEEPS_CODE,
                NotCompiledError,
                without_compiling,
            )
            from ember_core.pipeline.compiled.warm import warm_up
        except ImportError as error:
            raise _CannotCompileError(
                f"Numba cannot be imported ({error}). Install it again."
            ) from error
        try:
            with without_compiling():
                for pipeline in pickle.loads(copies):  # noqa: S301  # our own
                    warm_up(pipeline)
            return
        except NotCompiledError:
            pass  # as at the first start with these sources, or on another processor
        if not KEEPS_CODE:
            raise _CannotCompileError(
                f"No file can be written to {str(FOLDER)!r}. Expected a folder for machine code. "
                "Set state.directory, or NUMBA_CACHE_DIR, to one that this user may write to."
            )
        self._compile(copies)
        for pipeline in pickle.loads(copies):  # noqa: S301  # our own
            warm_up(pipeline)

    def _compile(self, copies: bytes) -> None:
        """Compile in a process of its own, which the worker's interpreter does not wait for."""
        root = str(Path(stream.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", PROGRAM, "--stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C must reach this process only, which ends the other
        )
        try:
            if self._closed:
                process.kill()
            _, errors = process.communicate(copies)
        finally:
            self._process = None
        if process.returncode:
            last_line = (errors.decode(errors="replace").strip() or "no message").splitlines()[-1]
            raise _CannotCompileError(
                f"The process that compiles ended with exit code {process.returncode}: {last_line}"
            )


class _CannotCompileError(Exception):
    """The stages cannot be compiled here; the message says why, and what to do."""


def pipelines_of(model: FleetModel | Profiles) -> list[Pipeline]:
    """Return the pipelines of a model, or of those of all profiles."""
    models = model.models if isinstance(model, Profiles) else (model,)
    return [each.pipeline for each in models]


def use_folder(folder: Path) -> None:
    """Keep machine code in a folder, unless `NUMBA_CACHE_DIR` names one that can be written to.

    Args:
        folder: The folder; it gets the code of `NUMBA_CACHE_DIR`, as an image has it.
    """
    named = os.environ.get(VARIABLE)
    if named and is_writable(Path(named)):
        return
    with contextlib.suppress(OSError):  # reported when there is code to write
        if named:
            copy_missing(Path(named), folder)
        folder.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(folder)


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Let other threads run often while this one works in the interpreter."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
