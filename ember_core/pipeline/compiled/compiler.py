"""How functions are compiled: without the GIL, and without any liberty in the order of sums.

Numba keeps IEEE 754's order of operations unless it is told otherwise, and never contracts a
product and a sum. So a compiled function has the bits of the same operations on arrays. It must
name float32 constants as such: `np.float32(x) * 2.0` is float64 here, and float32 in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

import numba
from numba import njit
from numba.core import event

from .cache import cache_folder, is_writable

F = TypeVar("F", bound=Callable[..., Any])

FOLDER: Final = cache_folder()
"""Folder of the machine code of this process."""
KEEPS_CODE: Final = is_writable(FOLDER)
"""Whether machine code is kept for the next process."""


class NotCompiledError(Exception):
    """The machine code of a function is not there yet."""


def compiled(function: F) -> F:
    """Compile a function at its first call; the machine code is kept in `FOLDER`.

    Args:
        function: Function of arrays and numbers, in Numba's subset of Python.
    """
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)  # read once, by the decorator; other functions keep theirs
    try:
        decorate = njit(nogil=True, cache=KEEPS_CODE, error_model="numpy")
        return cast("F", decorate(function))
    finally:
        config.CACHE_DIR = before


class _Refusal(event.Listener):
    """Listener that ends a compilation before it begins."""

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        raise NotCompiledError(f"{function.__module__}.{function.__qualname__} is not compiled.")

    def on_end(self, event: Any) -> None:
        """Ignore the end of a compilation that is not allowed."""


@contextmanager
def without_compiling() -> Iterator[None]:
    """Let functions run whose machine code is there, or is loaded from the cache.

    Raises:
        NotCompiledError: At the call of any other, in any thread.
    """
    refusal = _Refusal()
    event.register("numba:compile", refusal)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        event.unregister("numba:compile", refusal)  # type: ignore[no-untyped-call]
