"""Dividing rows into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._native import as_frame, rows_of


def split(
    data: Any,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    time: str = "",
    seed: int | None = None,
) -> tuple[Any, ...]:
    """Divide a table into parts, by time or at random.

    By time, the first part is the oldest, and rows of one time stay together in the earlier
    part: nothing in a part is from before an earlier part's end.

    Args:
        data: A DataFrame (pandas, polars, pyarrow), or an array `(n, ...)`.
        shares: Shares of the rows, in order; they sum to 1.
        time: Column to order by; empty: the rows are in order already.
        seed: Divide at random instead, with this seed; rows keep their order within a part.

    Returns:
        As many tables as there are shares, each of the kind of `data`.

    Raises:
        ValueError: If the shares are none, both ways are asked for, or a time is missing.

    Examples:
        >>> [part.tolist() for part in split(np.arange(10), (0.6, 0.2, 0.2))]
        [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
        >>> [len(part) for part in split(np.arange(10), (0.5, 0.5), seed=7)]
        [5, 5]
    """
    if not shares or min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(
            f"The shares are none. Expected numbers from 0 that sum to 1. Received: "
            f"shares={tuple(shares)}."
        )
    if time and seed is not None:
        raise ValueError(
            "Rows cannot be divided by time and at random. Expected time or seed. "
            f"Received: time={time!r}, seed={seed}."
        )
    count = len(data)
    ends = np.rint(np.cumsum(shares) * count).astype(np.int64)
    ends[-1] = count
    if seed is not None:
        order = np.random.default_rng(seed).permutation(count)
        parts = np.split(order, ends[:-1])
        return tuple(rows_of(data, np.sort(part)) for part in parts)
    order = np.arange(count)
    if time:
        order, ends = _by_time(data, time, ends)
    return tuple(rows_of(data, part) for part in np.split(order, ends[:-1]))


def _by_time(
    data: Any, time: str, ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    frame = as_frame(data)
    if time not in frame.columns:
        raise ValueError(
            f"There is no column to order by. Expected one of {', '.join(frame.columns)}. "
            f"Received: time={time!r}."
        )
    column = frame[time]
    if bool(column.isna().any()):
        row = int(np.asarray(column.isna()).argmax())
        raise ValueError(
            f"A row has no time. Expected one in every row of {time!r}. Received: row {row}."
        )
    order = np.asarray(column.reset_index(drop=True).argsort(kind="stable"), np.int64)
    ordered = column.to_numpy()[order]
    boundaries = [
        int(np.searchsorted(ordered, ordered[end - 1], side="right")) if end > 0 else 0
        for end in ends
    ]
    return order, np.array(boundaries, np.int64)
