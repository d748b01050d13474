"""Scored rows in detail: with the usual band of every channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass
class DetailedScores:
    """Scored rows of one model in order of arrival, `n` rows of `C` channels.

    Attributes:
        channels: Names of the model's channels.
        keys: Stream key of each row.
        sample: Index in the slice of the sample that completed the row, `(n,)`.
        time_us: Event time, `(n,)`.
        score: Free energy, `(n,)`.
        severity: Severity by which episodes are measured, `(n,)`.
        evidence: Evidence of the motor neuron, `(n,)`.
        threshold: Evidence from which the row's key fires, `(n,)`; infinite where it may not yet.
        firing: Whether the row belongs to an episode, `(n,)`.
        anomaly: Whether it is an anomaly, `(n,)`.
        trigger: 1 fires, -1 resolves, 0 neither, `(n,)`.
        value: Value of each channel, `(n, C)`; NaN where missing.
        usual: Usual value at the row's time, `(n, C)`; NaN where unknown.
        lower: Lower bound of the usual band, `(n, C)`.
        upper: Upper bound, `(n, C)`.
        contribution: Share of each channel in the row, as events have it, `(n, C)`; NaN on usual
            rows of a model of joint evidence.
    """

    channels: tuple[str, ...]
    keys: list[bytes]
    sample: NDArray[np.int64]
    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    threshold: NDArray[np.float32]
    firing: NDArray[np.bool_]
    anomaly: NDArray[np.bool_]
    trigger: NDArray[np.int8]
    value: NDArray[np.float64]
    usual: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    contribution: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.int64]) -> DetailedScores:
        """Return some rows, in this order.

        Args:
            rows: Their indices, `(m,)`.
        """
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return DetailedScores(self.channels, [self.keys[i] for i in rows.tolist()], **columns)

    @classmethod
    def joined(cls, parts: Sequence[DetailedScores]) -> DetailedScores:
        """Return the rows of several parts of one model, in the order of their samples.

        Args:
            parts: The parts, one at least; rows of one sample are in order of the parts.
        """
        if len(parts) == 1:
            return parts[0]
        rows = cls.in_sequence(parts)
        return rows.take(np.argsort(rows.sample, kind="stable"))

    @classmethod
    def in_sequence(cls, parts: Sequence[DetailedScores]) -> DetailedScores:
        """Return the rows of several parts of one model, one part after the other.

        Args:
            parts: The parts, one at least; samples may be of several slices.
        """
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
        }
        keys = [key for part in parts for key in part.keys]
        return cls(parts[0].channels, keys, **columns)


class PlacedDetails(NamedTuple):
    """Detailed rows with their places among the rows of a batch.

    Attributes:
        row: Index of each among all completed rows, `(n,)`.
        details: The rows.
    """

    row: NDArray[np.int64]
    details: DetailedScores


_COLUMNS = tuple(f.name for f in fields(DetailedScores) if f.name not in ("channels", "keys"))
