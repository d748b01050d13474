"""What the motor neuron would have done at another threshold, without running the model again.

Evidence does not depend on the on-threshold, and an episode lives inside one *excursion*: a run
of rows whose evidence is not below the off-threshold. Only those rows matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import MotorNeuron, leaky

STEPS = 1_000  # of evidence, in the numbers handed to the page


@dataclass(frozen=True, eq=False)
class Trace:
    """Evidence of one key and where it may fire. `T` scored rows, `X` excursions.

    Attributes:
        evidence: Shape `(T,)`.
        spans: First row of each excursion and the one after its last, shape `(X, 2)`.
        peaks: Largest evidence of each, shape `(X,)`.
        free: First row that may fire; before it the key warms up.
        refractory: Rows without a new firing after a resolve.
    """

    evidence: NDArray[np.float64]
    spans: NDArray[np.int64]
    peaks: NDArray[np.float64]
    free: int
    refractory: int

    def episodes(self, on: float) -> list[tuple[int, int]]:
        """First and last flagged row of every episode at an on-threshold, as the engine has them.

        Args:
            on: The threshold; above the off-threshold the excursions were cut by.
        """
        out = []
        free, size = self.free, len(self.evidence)
        for x in np.flatnonzero(self.peaks >= on).tolist():
            start, end = self.spans[x].tolist()
            begin = max(start, free)
            over = np.flatnonzero(self.evidence[begin:end] >= on)
            if not over.size:
                continue
            # The row that resolves belongs to the episode.
            out.append((begin + int(over[0]), min(end, size - 1)))
            free = end + self.refractory + 1
        return out


def trace(severity: NDArray[np.float32], motor: MotorNeuron, free: int = 0) -> Trace:
    """Evidence of one key's rows, from rest.

    Args:
        severity: Shape `(T,)`.
        motor: Its thresholds and leak.
        free: First row that may fire.
    """
    evidence = leaky(severity, motor.time_constant_rows)
    above = np.concatenate([[False], evidence >= motor.off, [False]])
    change = above[1:] != above[:-1]
    spans = np.flatnonzero(change).reshape(-1, 2).astype(np.int64)
    peaks = np.array([evidence[a:b].max() for a, b in spans.tolist()])
    return Trace(evidence, spans, peaks, free, motor.refractory_rows)


def packed(evidence: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Evidence in whole steps, rounded down, for the page's script."""
    return np.clip(np.floor(evidence * STEPS), 0, 65_535).astype("<u2")
