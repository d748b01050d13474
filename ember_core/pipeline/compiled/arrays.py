"""Arrays as compiled functions take them: one layout, so that each is compiled once."""

from __future__ import annotations

from typing import Any

import numpy as np


def contiguous(x: Any, dtype: Any = np.float32) -> Any:
    """Return an array, or a copy of it, that is contiguous, writable and of a type.

    Numba compiles a function again for another layout, and for arrays that are only read.

    Args:
        x: Array of any shape.
        dtype: Type of its numbers.
    """
    return x if x.flags.carray and x.dtype == dtype else np.array(x, dtype, order="C")
