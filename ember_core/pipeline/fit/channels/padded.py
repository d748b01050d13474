"""Rows of several keys side by side, and recurrences over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.series import Series

LONGEST = 1e4  # usual intervals that count in one gap, as on the stream


def elapsed_of(series: Series) -> NDArray[np.float32]:
    """Return the time before each row in usual intervals, `(T,)`; 0 for the first."""
    gaps = np.diff(series.time_us).astype(np.float64) * 1e-6
    interval = max(float(np.median(gaps)), 1e-6) if len(gaps) else 1.0
    return np.concatenate([[0.0], np.clip(gaps / interval, 0.0, LONGEST)]).astype(np.float32)


def settled_rows(rows: int, day_rows: float) -> int:
    """Return the first row that counts: averages and anchors settle in a day.

    Args:
        rows: Rows of the key; at most a tenth of them is left out.
        day_rows: Rows of a day; 0 where it does not matter.
    """
    return int(min(max(200.0, day_rows), rows // 10))


def padded(columns: Sequence[Any], fill: float = np.nan) -> Any:
    """Lay columns of rows of keys, `(T_k, ...)`, side by side: `(T, K, ...)`."""
    longest = max(len(column) for column in columns)
    shape = (longest, len(columns), *np.shape(columns[0])[1:])
    out = np.full(shape, fill, dtype=np.asarray(columns[0]).dtype)
    for k, column in enumerate(columns):
        out[: len(column), k] = column
    return out


def average(x: Any, elapsed: Any, half_life: float) -> Any:
    """Return the moving average after each row, `(T, K, ...)`; missing values keep it.

    Args:
        x: Rows of keys, `(T, K, ...)`.
        elapsed: Usual intervals before each row, `(T, K)`.
        half_life: Half-life in usual intervals.
    """
    gain = (1.0 - np.exp2(-elapsed / half_life)).astype(x.dtype)
    gain = gain.reshape(*gain.shape, *(1,) * (x.ndim - 2))
    out = np.empty_like(x)
    level = np.zeros_like(x[0])
    present = np.isfinite(x)
    weight = np.where(present, gain, 0.0).astype(x.dtype)
    filled = np.where(present, x, 0.0)
    for value, share, result in zip(filled, weight, out, strict=True):
        level = level + share * (value - level)
        result[...] = level
    return out


def run(
    advance: Callable[..., dict[str, Any]], state: dict[str, Any], columns: Sequence[Any]
) -> dict[str, Any]:
    """Run a recurrence of a stage, and return its fields after each row, `(T, K, ...)`.

    Args:
        advance: Function of the fields before the rows and of their columns.
        state: Fields before the first row, `(K, ...)`.
        columns: Inputs, `(T, K, ...)` each.
    """
    out: dict[str, Any] = {}
    length = len(columns[0])
    for t in range(length):
        new_state = advance(state, *(column[t] for column in columns))
        if not out:
            out = {
                n: np.empty((length, *np.shape(v)), np.asarray(v).dtype)
                for n, v in new_state.items()
            }
        for name, value in new_state.items():
            out[name][t] = value
        state = {name: new_state[name] for name in state}
    return out
