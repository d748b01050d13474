"""Points of one key: rows, or bins of several rows, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass
class Points:
    """Rows or bins of one key in order of time.

    Attributes:
        time_us: Event time of the last row of each, `(n,)`.
        score: Score of the last row.
        severity: Largest severity.
        evidence: Largest evidence.
        threshold: Threshold of the last row.
        firing: Whether any row belongs to an episode.
        value: Value of the last row, `(n, C)`.
        low: Smallest value.
        high: Largest value.
        usual: Usual value of the last row.
        lower: Lower bound of the last row.
        upper: Upper bound of the last row.
        contribution: Share of each channel in the last row.
    """

    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    threshold: NDArray[np.float32]
    firing: NDArray[np.bool_]
    value: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    usual: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    contribution: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time_us)

    @classmethod
    def none(cls, channels: int) -> Self:
        """Return no points of some number of channels."""
        row, wide = np.zeros(0, np.float32), np.zeros((0, channels), np.float32)
        flags = np.zeros(0, np.bool_)
        return cls(np.zeros(0, np.int64), row, row, row, row, flags, *[wide] * 7)

    @classmethod
    def joined(cls, parts: Sequence[Self], channels: int) -> Self:
        """Return the points of several parts, in order of time."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.none(channels)
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
        }
        order = np.argsort(columns["time_us"], kind="stable")
        return cls(**{name: column[order] for name, column in columns.items()})

    def chosen(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the points at some places."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def between(self, begin_us: int, end_us: int) -> Self:
        """Return the points from a time up to before another."""
        return self.chosen((self.time_us >= begin_us) & (self.time_us < end_us))

    def binned(self, step_us: int) -> Self:
        """Return one point for each step that has rows.

        Args:
            step_us: Width of a step, microseconds.
        """
        if not len(self):
            return self
        starts, lasts = groups(self.time_us // step_us)
        merged = self.chosen(lasts)
        merged.severity = np.fmax.reduceat(self.severity, starts)
        merged.evidence = np.fmax.reduceat(self.evidence, starts)
        merged.firing = np.logical_or.reduceat(self.firing, starts)
        merged.low = np.fmin.reduceat(self.low, starts, axis=0)
        merged.high = np.fmax.reduceat(self.high, starts, axis=0)
        return merged


def groups(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the first and the last of each run of equal values."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    lasts = np.append(starts[1:], len(values)) - 1
    return starts, lasts
