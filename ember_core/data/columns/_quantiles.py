"""Quantiles of a stream of numbers in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 16_384
"""Values a level holds: up to so many are kept, and quantiles of them are exact."""


class QuantileSketch:
    """A mergeable summary of numbers: levels of values that stand for 1, 2, 4, ... of them.

    A full level is sorted and every second value goes up a level (Munro and Paterson 1980;
    Karnin, Lang and Liberty 2016, with the odd and the even ones taken in turn instead of by
    chance, so that a result repeats). Exact up to `size` values; beyond that the rank of a
    quantile of `n` values is off by at most `log2(n / size) / (2 size)` of `n`: 0.05 % for a
    billion. The cut of the values into chunks makes no difference.

    Args:
        size: Values of a level.

    Examples:
        >>> sketch = QuantileSketch()
        >>> sketch.add(np.array([3.0, np.nan, 1.0, 2.0]))
        >>> sketch.quantiles([0.25, 0.5]).tolist(), sketch.count
        ([1.5, 2.0], 3)
    """

    def __init__(self, size: int = SIZE) -> None:
        if size < 2 or size % 2:
            raise ValueError(
                f"A level is halved. Expected an even size of at least 2. Received: size={size}."
            )
        self.size = size
        self.count = 0
        self._fresh = np.empty(0)
        self._levels: list[NDArray[np.float64]] = []
        self._odd: list[bool] = []
        self._low, self._high = np.inf, -np.inf

    def add(self, x: NDArray[Any]) -> None:
        """Take in numbers `(n,)`; NaN are passed over."""
        x = np.asarray(x, np.float64)
        x = x[~np.isnan(x)]
        if not x.size:
            return
        self.count += x.size
        self._low, self._high = min(self._low, x.min()), max(self._high, x.max())
        # Only ever whole levels go up, so the cuts between calls leave no trace.
        waiting = np.concatenate([self._fresh, x])
        full = len(waiting) // self.size * self.size
        for start in range(0, full, self.size):
            self._push(0, waiting[start : start + self.size])
        self._fresh = waiting[full:].copy()

    def merge(self, other: QuantileSketch) -> None:
        """Take in what another sketch of the same size has seen.

        Raises:
            ValueError: If its size is another.
        """
        if other.size != self.size:
            raise ValueError(
                f"Two sketches do not fit. Expected size={self.size}. Received: size={other.size}."
            )
        self.count += other.count - other._fresh.size
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        for level, values in enumerate(other._levels):
            if values.size:
                self._push(level, values)
        self.add(other._fresh)

    def _push(self, level: int, values: NDArray[np.float64]) -> None:
        while len(self._levels) <= level:
            self._levels.append(np.empty(0))
            self._odd.append(False)
        items = np.concatenate([self._levels[level], values])
        if items.size <= self.size:
            self._levels[level] = items
            return
        items.sort()
        spare = items[items.size // 2 * 2 :]  # one of an odd number stays
        promoted = items[int(self._odd[level]) : items.size // 2 * 2 : 2]
        self._odd[level] = not self._odd[level]
        self._levels[level] = spare
        self._push(level + 1, promoted)

    def quantiles(self, q: Sequence[float], extra: tuple[float, int] = (0.0, 0)) -> NDArray[Any]:
        """Quantiles, linear between neighbours as in `numpy.quantile`.

        Args:
            q: Quantiles in [0, 1], `(Q,)`.
            extra: A value and how often it counts besides, as if it had been added.

        Returns:
            float64 `(Q,)`; NaN where nothing was added.
        """
        parts = [(self._fresh, 1), *((items, 2**i) for i, items in enumerate(self._levels))]
        values = np.concatenate([part for part, _ in parts] + [[extra[0]] if extra[1] else []])
        weights = np.concatenate(
            [np.full(part.size, float(w)) for part, w in parts] + [[extra[1]] if extra[1] else []]
        )
        if not values.size:
            return np.full(len(q), np.nan)
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        # A value of weight w stands for w ranks; its last and first are where it begins and ends.
        cumulative = weights.cumsum()
        total = cumulative[-1]
        ranks = np.stack([cumulative - weights, cumulative - 1.0], axis=1).ravel()
        estimates = np.interp(np.asarray(q) * (total - 1.0), ranks, np.repeat(values, 2))
        low = min(self._low, extra[0]) if extra[1] else self._low
        high = max(self._high, extra[0]) if extra[1] else self._high
        estimates = np.where(
            np.asarray(q) <= 0.0, low, np.where(np.asarray(q) >= 1.0, high, estimates)
        )
        return np.clip(estimates, low, high)
