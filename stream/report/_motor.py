"""Episodes of the motor neuron at other thresholds, without running the model again.

Evidence does not depend on the on-threshold. An episode lies inside one *excursion*: a run of rows
whose evidence is not below the off-threshold. Only those rows matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import GroupMotor, MotorNeuron, leaky

STEPS = 1_000  # the page's script gets evidence as whole multiples of 1 / STEPS


@dataclass(frozen=True, eq=False)
class Trace:
    """Evidence of one key and its excursions. `T` scored rows, `X` excursions.

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
        """Return first and last flagged row of every episode, as the engine would have them.

        Args:
            on: Threshold at which evidence fires, above the off-threshold.
        """
        out = []
        free, size = self.free, len(self.evidence)
        for x in np.flatnonzero(self.peaks >= on).tolist():
            start, end = self.spans[x].tolist()
            begin = max(start, free)
            firing_rows = np.flatnonzero(self.evidence[begin:end] >= on)
            if not firing_rows.size:
                continue
            # The row that resolves belongs to the episode.
            out.append((begin + int(firing_rows[0]), min(end, size - 1)))
            # The row at `end` resolves; the refractory rows begin after it.
            free = end + self.refractory + 1
        return out


def trace(severity: NDArray[np.float32], motor: MotorNeuron, free: int = 0) -> Trace:
    """Compute the evidence of one key's rows, from the initial state.

    Args:
        severity: Severity of the rows, shape `(T,)`.
        motor: Motor neuron, for its thresholds and time constant.
        free: First row that may fire.
    """
    return _traced(leaky(severity, motor.time_constant_rows), motor, free)


def group_trace(evidence: NDArray[np.float32], motor: GroupMotor, free: int = 0) -> Trace:
    """Return the trace of a key whose groups are judged one by one.

    Habituation depends on the on-threshold a little: at another one the episodes are about those.

    Args:
        evidence: Largest severity less habituation, shape `(T,)`.
        motor: Motor neuron, for its thresholds.
        free: First row that may fire.
    """
    return _traced(np.maximum(evidence.astype(np.float64), 0.0), motor, free)


def _traced(evidence: NDArray[np.float64], motor: MotorNeuron | GroupMotor, free: int) -> Trace:
    # Padded by False on either side, changes come in pairs: the start and the end of a run.
    excited = np.concatenate([[False], evidence >= motor.off, [False]])
    edges = excited[1:] != excited[:-1]
    spans = np.flatnonzero(edges).reshape(-1, 2).astype(np.int64)
    peaks = np.array([evidence[a:b].max() for a, b in spans.tolist()])
    return Trace(evidence, spans, peaks, free, motor.refractory_rows)


def packed(evidence: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Convert evidence to whole steps, rounded down, for the page's script."""
    return np.clip(np.floor(evidence * STEPS), 0, 65_535).astype("<u2")
