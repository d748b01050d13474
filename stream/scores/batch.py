"""Scored rows of one partition, as the scores topic has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreBatch:
    """Scored rows of one partition in order of arrival.

    Attributes:
        topic: Input topic, as events name it.
        partition: Its partition.
        channels: Names of the channels, `C`.
        coverage: Share of usual rows that lie between `lower` and `upper`, by channel.
        keys: Stream key of each row, `n`.
        time_us: Event time, `(n,)`.
        score: Free energy, `(n,)`.
        severity: Severity by which episodes are measured, `(n,)`.
        evidence: Evidence of the motor neuron, `(n,)`.
        threshold: Evidence from which the row's key fires, `(n,)`; infinite where it may not yet.
        firing: Whether the row belongs to an episode, `(n,)`.
        anomaly: Whether it is an anomaly, `(n,)`.
        trigger: 1 fires, -1 resolves, 0 neither, `(n,)`.
        value: Value of each channel, `(n, C)`; NaN where missing.
        usual: Usual value at the row's time of day and week, `(n, C)`; NaN where unknown.
        lower: Lower bound of the usual band, `(n, C)`.
        upper: Upper bound, `(n, C)`.
        contribution: Share of each channel in the severity of the row, `(n, C)`; NaN on usual rows
            of a model of joint evidence.
    """

    topic: str
    partition: int
    channels: tuple[str, ...]
    coverage: float
    keys: Sequence[bytes]
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


ROW_COLUMNS: dict[str, Any] = {
    "score": np.float32,
    "severity": np.float32,
    "evidence": np.float32,
    "threshold": np.float32,
    "firing": np.bool_,
    "anomaly": np.bool_,
    "trigger": np.int8,
}
"""Columns with a number a row, and their types."""

CHANNEL_COLUMNS: dict[str, Any] = {
    "value": np.float64,
    "usual": np.float64,
    "lower": np.float64,
    "upper": np.float64,
    "contribution": np.float32,
}
"""Columns with a number for each channel of a row, and their types."""
