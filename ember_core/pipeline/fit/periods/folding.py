"""Fold of a key's history at a period, and how much of it other cycles foretell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .binned import Binned, cell_sums

_PHASES = 48  # bins of a cycle that shares are judged by
_FINE_PHASES = 1440  # bins of a cycle that is taken out of the history
_BLOCKS = 24  # parts of a history at most, each of whole cycles
_APART = 8  # blocks from which on neighbours do not foretell each other
_SHIFTS = 64  # random turns of the blocks
_ROUNDING = 1e-7  # cycles: a time on the border of two phases belongs to the later one

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """A history cut into blocks of whole cycles, each averaged over its cycles.

    Attributes:
        sums: Sum of the departures from the mean over a cycle, `(C, G, phases)`.
        weights: Number of values in each, the same shape; or with 1 for `C`.
        fast: Sum of squares of these departures, `(C,)`.
        slow: Sum of squares about the slow level, `(C,)`.
        explained: Sum of squares that the other blocks foretell of each, `(C, G)`.
    """

    sums: FloatArray
    weights: FloatArray
    fast: FloatArray
    slow: FloatArray
    explained: FloatArray

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Channels that do not stand still."""
        return self.slow > 1e-9

    @property
    def of_slow(self) -> FloatArray:
        """Share of the variance about the slow level that the period explains, `(C,)`."""
        slow = np.where(self.moving, self.slow, np.inf)
        return np.asarray(self.explained.sum(axis=1) / slow)

    @property
    def of_fast(self) -> FloatArray:
        """Share of the variance within a cycle's length that the period explains, `(C,)`."""
        fast = np.where(self.moving, np.maximum(self.fast, 1e-9), np.inf)
        return np.asarray(self.explained.sum(axis=1) / fast)

    def significance(self, seed: int = 0) -> FloatArray:
        """Return by how many deviations a share stands above those of turned blocks, `(C,)`.

        Every block is turned by a phase of its own, all channels alike: that leaves the shape of
        the blocks and what channels share, and takes away only that cycles repeat.
        """
        _, groups, phases = self.sums.shape
        turns = np.random.default_rng(seed).integers(0, phases, (_SHIFTS, groups))
        block = np.arange(groups)[:, None]
        null = []
        for turn in turns:
            index = (np.arange(phases) + turn[:, None]) % phases
            parts = _explained(self.sums[:, block, index], self.weights[:, block, index])
            null.append(parts.sum(axis=1))
        spread = np.std(null, axis=0) + 1e-9 * (1.0 + self.fast)
        return np.asarray((self.explained.sum(axis=1) - np.mean(null, axis=0)) / spread)


def fold(binned: Binned, period_us: float) -> Fold:
    """Fold a history at a period of at least two bins."""
    coarse = binned.with_bins(period_us / (2 * _PHASES))
    phases = int(min(_PHASES, period_us // coarse.step_us))
    values, fast = coarse.departures(period_us)
    since_us = coarse.step_us * np.arange(values.shape[1], dtype=np.float64)
    cycle = (since_us / period_us + _ROUNDING).astype(np.int64)
    block = cycle // -(-int(cycle[-1] + 1) // _BLOCKS)
    groups = int(block[-1]) + 1
    cell = block * phases + _phase(since_us, period_us, phases)
    sums, weights = (
        cell_sums(cell, x, groups * phases).reshape(len(x), groups, phases)
        for x in (values * coarse.weights, coarse.weights)
    )
    # A period longer than the slow level follows has more to explain than is about that level.
    slow = np.maximum(binned.slow, fast)
    return Fold(sums, weights, fast, slow, _explained(sums, weights))


def profile(binned: Binned, period_us: float) -> FloatArray:
    """Return the mean cycle of a period as values of every bin, `(C, n)`."""
    phases = int(min(_FINE_PHASES, max(2, period_us // binned.step_us)))
    values, _ = binned.departures(period_us)
    since_us = binned.step_us * np.arange(values.shape[1], dtype=np.float64)
    cell = _phase(since_us, period_us, phases)
    weights = cell_sums(cell, binned.weights, phases)
    mean = cell_sums(cell, values * binned.weights, phases) / np.maximum(weights, 1.0)
    return np.asarray(mean[:, cell])


def _phase(since_us: FloatArray, period_us: float, phases: int) -> NDArray[np.int64]:
    cycles = since_us / period_us + _ROUNDING
    return ((cycles - np.floor(cycles)) * phases).astype(np.int64)


def _explained(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the sum of squares that the other blocks foretell of each, `(C, G)`.

    Args:
        sums: Sums of the cells, `(C, G, phases)`.
        weights: Their weights, the same shape; or with 1 for `C`.
    """
    totals, counts = _of_others(sums), _of_others(weights)
    mean = totals / np.where(counts > 0, counts, np.inf)
    return np.asarray(((2.0 * sums - weights * mean) * mean).sum(axis=2))


def _of_others(x: FloatArray) -> FloatArray:
    """Return the sums over all blocks but one, and, where there are many, but its neighbours."""
    sums = np.asarray(x.sum(axis=1, keepdims=True) - x)
    if x.shape[1] >= _APART:  # what wanders resembles itself a cycle later, without a period
        sums[:, 1:] -= x[:, :-1]
        sums[:, :-1] -= x[:, 1:]
    return sums
