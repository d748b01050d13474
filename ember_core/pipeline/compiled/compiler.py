"""How functions are compiled: without the GIL, and without any liberty in the order of sums.

Numba keeps IEEE 754's order of operations unless it is told otherwise, and never contracts a
product and a sum. So a compiled function has the bits of the same operations on arrays. It must
name float32 constants as such: `np.float32(x) * 2.0` is float64 here, and float32 in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call; the machine code is kept in `NUMBA_CACHE_DIR`.

    Args:
        function: Function of arrays and numbers, in Numba's subset of Python.
    """
    return cast("F", njit(nogil=True, cache=True, error_model="numpy")(function))
