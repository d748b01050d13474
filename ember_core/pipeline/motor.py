"""Motor neuron: one `firing` and one `resolved` per episode.

Its synapse is the severity, its membrane a leaky integral of it:
`e' = e + (1 - exp(-1 / time_constant)) (severity - e)`. It fires when the evidence crosses the
on-threshold and resolves when it falls below the lower off-threshold (hysteresis). After a resolve
it does not fire for `refractory_rows` rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

USUAL_SHARE = 3e-3  # of training rows above the on-threshold where no budget is given


@dataclass(frozen=True)
class Calibration:
    """Height and rate of the peaks of training evidence, from which a threshold follows.

    Evidence peaks above `off` come `rate` times per row; above their median `half` they thin out
    exponentially, by a factor e every `slope`.

    Attributes:
        off: The 95 % quantile of training evidence.
        half: Median of the peaks above `off`.
        slope: Evidence in which peaks become rarer by e.
        rate: Peaks above `off` per row of a key.
        interval_seconds: Usual interval between rows, median over keys.
        level: Evidence that 3 training rows in 1,000 reach: the on-threshold without a budget.
    """

    off: float
    half: float
    slope: float
    rate: float
    interval_seconds: float
    level: float = 4.0

    def threshold(self, per_row: float) -> float:
        """Return the on-threshold that training peaks reach `per_row` times per row of a key."""
        threshold = self.half + self.slope * np.log(max(0.5 * self.rate / per_row, 1.0))
        return float(min(max(threshold, self.off + 0.5), 11.0))

    def at_budget(self, per_week: float) -> float:
        """Return the on-threshold for a number of false triggers per key and week."""
        return self.threshold(per_week * self.interval_seconds / 604_800.0)


def calibrate(traces: list[Any], interval_seconds: float) -> Calibration:
    """Fit the peaks of training evidence.

    The largest few peaks may be faults of the training data: the slope comes from the middle of
    the peaks, not from their end.

    Args:
        traces: Evidence per key, each `(T,)`.
        interval_seconds: Usual interval between rows.
    """
    evidence = np.concatenate(traces)
    off_level, level = (float(q) for q in np.quantile(evidence, [0.95, 1.0 - USUAL_SHARE]))
    level = max(level, off_level + 0.5)
    peaks = np.asarray([p for trace in traces for p in _peaks(trace, off_level)])
    if peaks.size < 8:
        rate = 1.0 / max(evidence.size, 1)
        return Calibration(off_level, off_level + 1.0, 0.5, rate, interval_seconds, level)
    median, upper_quartile = np.quantile(peaks, [0.5, 0.75])
    slope = max(float(upper_quartile - median) / float(np.log(2.0)), 0.05)
    rate = peaks.size / evidence.size
    return Calibration(off_level, float(median), slope, rate, interval_seconds, level)


def leaky(severity: Any, time_constant_rows: float) -> Any:
    """Integrate a whole series of severities, `(T,)`, as the motor neuron does."""
    leak = float(1.0 - np.exp(-1.0 / time_constant_rows))
    out = np.empty(len(severity))
    e = 0.0
    for i, s in enumerate(np.asarray(severity, dtype=np.float64).tolist()):
        e += leak * (s - e)
        out[i] = e
    return out


def _peaks(trace: Any, level: float) -> list[float]:
    """Return the largest evidence of each excursion above `level`."""
    is_above = np.concatenate([[False], trace > level, [False]])
    edges = np.flatnonzero(is_above[1:] != is_above[:-1])
    return [float(trace[a:b].max()) for a, b in zip(edges[::2], edges[1::2], strict=True)]


class Firing(NamedTuple):
    """Begin and end of episodes, shape `(B,)` each."""

    fires: Any
    resolves: Any


class MotorNeuron(Stage):
    """Untrained motor neuron over the tail's severity.

    Args:
        on: Evidence at which it fires.
        off: Evidence below which it resolves; lower than `on`.
        time_constant_rows: Leak, in rows; a long one merges neighbouring faults (3 rows instead of
            0.5: alarm-episode F1 on SMD .42 against .60).
        refractory_rows: Rows after a resolve in which it does not fire.
    """

    def __init__(
        self,
        on: float = 4.0,
        off: float = 1.5,
        time_constant_rows: float = 0.5,
        refractory_rows: int = 10,
    ) -> None:
        super().__init__()
        if not off < on:
            raise ValueError(
                f"The off-threshold must lie below the on-threshold. Received: on={on}, off={off}."
            )
        self.on, self.off = float(on), float(off)
        self.time_constant_rows = float(time_constant_rows)
        self.refractory_rows = int(refractory_rows)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "on": self.on,
            "off": self.off,
            "time_constant_rows": self.time_constant_rows,
            "refractory_rows": self.refractory_rows,
        }

    @property
    def leak(self) -> float:
        """Share of a row's severity in the evidence."""
        return float(1.0 - np.exp(-1.0 / self.time_constant_rows))

    def state_fields(self) -> tuple[StateField, ...]:
        """Evidence, whether it fires, and the rest it still needs."""
        role = Role.DECIDED
        feedback = "reserved: added to the on-threshold, nothing writes it yet"
        return (
            StateField("evidence", "<f4", (), "leaky integral of severity", role),
            # An episode goes on under another model: it is the operator's, not the model's.
            StateField("firing", "<u1", (), "1 while an episode is open", role | Role.MEASURED),
            StateField("refractory", "<i4", (), "rows until it may fire again", role),
            StateField("feedback", "<f4", (), feedback, role),
        )

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Firing]:
        """Integrate the severity `(B,)` of one row per key, and fire where it may.

        Arguments as `Stage.forward` has them.
        """
        evidence = state["evidence"] + self.leak * (x - state["evidence"])
        is_open = state["firing"] > 0
        rested = state["refractory"] <= 0
        threshold = self.on + state["feedback"]
        if observation.shift is not None:
            threshold = threshold - observation.shift[:, 0]
        fires = ~is_open & rested & observation.may_fire & (evidence >= threshold)
        resolves = is_open & (evidence < self.off)
        firing = (is_open & ~resolves) | fires
        refractory = ops.where(
            resolves,
            0 * state["refractory"] + self.refractory_rows,
            ops.maximum(state["refractory"] - 1, 0),
        )
        return (
            {
                "evidence": evidence,
                "firing": ops.astype(firing, "uint8"),
                "refractory": ops.astype(refractory, "int32"),
                "feedback": state["feedback"],
            },
            Firing(fires, resolves),
        )
