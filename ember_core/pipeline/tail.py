"""Tail probability of a score: the same scale for every key, in O(1) state.

The log of the score above a high quantile `q` is close to exponential on real telemetry
(better than a generalised Pareto fit on SMD), so the probability of a score is

    P(s) = 0.02 exp(-(s - q) / m)            for s = log score above q
    P(s) = 0.5 (0.04)^((s - mid) / (q - mid))  below, with the median `mid`

with `q` the 98 % quantile and `m` the mean excess over it, per key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

QUANTILE = 0.98
MAX_SEVERITY = 12.0
MIN_EXCESS = 0.02  # log units: a score that never varies must not make every row certain
LN10 = float(np.log(10.0))
TOP = float(-np.log(1.0 - QUANTILE))
HALF = float(np.log(2.0))


class Tail(Stage):
    """Running tail of the log score of a key.

    Adaptation is gated: the tail learns from rows that are not alarming, slowly. Once an alarm has
    lasted `freeze_rows` it is taken for a new level and learnt with a half-life of as many rows,
    until it ends and then for as long again as it was learnt, so that the median arrives too:
    a level shift is reported, and in time accepted.

    Args:
        floor: Constant taken off the score before the log: the smallest score of training.
        half_life_rows: Half-life with which the tail follows, in rows; 0 keeps it frozen.
        freeze_rows: Rows of alarm after which it learns again; 0: never in an alarm.
    """

    def __init__(
        self, floor: float = 0.0, half_life_rows: float = 0.0, freeze_rows: int = 0
    ) -> None:
        super().__init__()
        self.floor = float(floor)
        self.half_life_rows = float(half_life_rows)
        self.freeze_rows = int(freeze_rows)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "floor": self.floor,
            "half_life_rows": self.half_life_rows,
            "freeze_rows": self.freeze_rows,
        }

    @property
    def rate(self) -> float:
        """Share with which it follows a row."""
        return float(1.0 - 2.0 ** (-1.0 / self.half_life_rows)) if self.half_life_rows > 0 else 0.0

    @property
    def accept_rate(self) -> float:
        """Share with which it follows a row of a new level."""
        if self.freeze_rows <= 0 or self.half_life_rows <= 0:
            return 0.0
        return max(self.rate, float(1.0 - 2.0 ** (-1.0 / self.freeze_rows)))

    def state_fields(self) -> tuple[StateField, ...]:
        """Median, high quantile, mean excess, and how long the tail has been held."""
        role = Role.LEARNED | Role.DECIDED
        return (
            StateField("tail_mid", "<f4", (), "median of the log score", role),
            StateField("tail_high", "<f4", (), "98 % quantile of the log score", role),
            StateField("tail_excess", "<f4", (), "mean excess of the log score over it", role),
            StateField(
                "tail_held",
                "<i4",
                (),
                "rows of the alarm; after a long one, counted down",
                Role.DECIDED,
            ),
        )

    def log_score(self, score: Any) -> Any:
        """Return the log of the score over its floor, shape as `score`, float32."""
        return ops.exact_log(ops.maximum(score - self.floor, 1e-3))

    def severity(self, state: State, log_score: Any) -> Any:
        """Return `-log10` of the tail probability, shape `(B,)`, float32, 0 to 12."""
        departure = log_score - state["tail_high"]
        excess = ops.maximum(state["tail_excess"], MIN_EXCESS)
        width = ops.maximum(state["tail_high"] - state["tail_mid"], MIN_EXCESS)
        ordinary = HALF + (TOP - HALF) * (log_score - state["tail_mid"]) / width
        surprise = ops.where(departure > 0, TOP + departure / excess, ordinary)
        return ops.clip(surprise / LN10, 0.0, MAX_SEVERITY)

    def learn(self, state: State, log_score: Any, weight: Any) -> State:
        """Follow the log score by stochastic approximation of quantiles.

        Args:
            state: Fields of this stage.
            log_score: Log score of one row per key, shape `(B,)`.
            weight: Weight of the row, shape `(B,)`; 0 learns nothing.

        Returns:
            Median, quantile and mean excess after the row.
        """
        mid, high, excess = state["tail_mid"], state["tail_high"], state["tail_excess"]
        is_excess = log_score > high
        spread = ops.maximum(high - mid, MIN_EXCESS)
        share = ops.astype(is_excess, "float32")
        half = ops.astype(log_score > mid, "float32")
        # steps in units of the local density: a quantile p moves by w (1[x > q] - (1 - p)) / f(q)
        density_high = (1.0 - QUANTILE) / ops.maximum(excess, MIN_EXCESS)
        new_high = high + weight * (share - (1.0 - QUANTILE)) / density_high
        new_mid = mid + weight * (half - 0.5) * spread
        heavier = weight / (1.0 - QUANTILE) * share
        new_excess = excess + ops.minimum(heavier, 0.5) * (log_score - high - excess)
        return {
            "tail_mid": ops.minimum(new_mid, new_high),
            "tail_high": new_high,
            "tail_excess": ops.where(is_excess, ops.maximum(new_excess, MIN_EXCESS), excess),
        }

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return the severity of one score per key, `(B,)`, *before* the row is learnt.

        Arguments as `Stage.forward` has them.

        The columns `alarming` and `learning` say how the tail follows the row.
        """
        log_score = self.log_score(x)
        severity = self.severity(state, log_score)
        alarm_rows = state["tail_held"]
        accepted = (alarm_rows - 1 > self.freeze_rows) & (self.freeze_rows > 0)
        alarm_rows = ops.where(
            observation.alarming,
            alarm_rows + 1,
            ops.where(accepted, alarm_rows - 1, 0 * alarm_rows),
        )
        weight = ops.where(observation.alarming, 0.0, observation.learning)
        if self.half_life_rows > 0:
            usual = self.rate * ops.astype(alarm_rows == 0, "float32")
            new_level = self.accept_rate * ops.astype(alarm_rows > self.freeze_rows, "float32")
            weight = ops.maximum(weight, ops.maximum(usual, new_level))
        return self.learn(state, log_score, weight) | {"tail_held": alarm_rows}, severity


def fit_tail(log_scores: Any) -> dict[str, float]:
    """Return median, quantile and mean excess of a key's training scores.

    Args:
        log_scores: Shape `(T,)`; at least one.

    Returns:
        The tail's fields for that key.
    """
    s = np.sort(np.asarray(log_scores, dtype=np.float64))
    high = float(np.quantile(s, QUANTILE))
    excesses = s[s > high] - high
    # unlabelled faults sit at the very end: the mean of the lower part of an exponential's
    # excesses, times the constant that makes it the mean again, is robust against them
    part = (
        excesses[: max(1, int(0.8 * excesses.size))] if excesses.size else np.asarray([MIN_EXCESS])
    )
    correction = 1.0 - 0.2 * np.log(5.0) / 0.8  # mean of the lower 80 % of Exp(1)
    if excesses.size >= 20:
        excess = float(part.mean()) / correction
    else:
        excess = float(excesses.mean() if excesses.size else 0)
    return {
        "tail_mid": float(np.quantile(s, 0.5)),
        "tail_high": high,
        "tail_excess": max(excess, MIN_EXCESS),
    }
