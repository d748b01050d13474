"""Numbers of float32 columns with the digits that they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rounded(value: Any) -> float:
    """Return a float32 with the digits that it has; NaN, which is null in JSON, stays."""
    return float(f"{float(value):.7g}")


def numbers_of(column: NDArray[Any]) -> list[float | None]:
    """Return a column of float32 as numbers with seven digits; NaN is null in JSON."""
    wide = column.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(wide)))
        scale = 10.0 ** np.clip(np.where(np.isfinite(digits), digits, 0.0), -30, 30)
        short = np.rint(wide * scale) / scale
    numbers: list[float | None] = short.tolist()
    return numbers
