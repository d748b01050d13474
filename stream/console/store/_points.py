"""Points of one key: rows, or bins of several rows, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

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
    score: NDArray[np.floating[Any]]
    severity: NDArray[np.floating[Any]]
    evidence: NDArray[np.floating[Any]]
    threshold: NDArray[np.floating[Any]]
    firing: NDArray[np.bool_]
    value: NDArray[np.floating[Any]]
    low: NDArray[np.floating[Any]]
    high: NDArray[np.floating[Any]]
    usual: NDArray[np.floating[Any]]
    lower: NDArray[np.floating[Any]]
    upper: NDArray[np.floating[Any]]
    contribution: NDArray[np.floating[Any]]

    def __len__(self) -> int:
        return len(self.time_us)

    @staticmethod
    def none(channels: int) -> Points:
        """Return no points of some number of channels."""
        row, wide = np.zeros(0, np.float32), np.zeros((0, channels), np.float32)
        flags = np.zeros(0, np.bool_)
        return Points(np.zeros(0, np.int64), row, row, row, row, flags, *[wide] * 7)

    @staticmethod
    def joined(parts: Sequence[Points], channels: int) -> Points:
        """Return the points of several parts, in order of time."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return Points.none(channels)
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Points)
        }
        order = np.argsort(columns["time_us"], kind="stable")
        return Points(**{name: column[order] for name, column in columns.items()})

    def chosen(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Points:
        """Return the points at some places."""
        return Points(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def binned(self, step_us: int) -> Points:
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
