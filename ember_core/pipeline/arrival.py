"""Count of a key's rows, time between them, and its progress through warm-up."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

LONGEST_GAP = 5.0  # usual intervals that one gap counts at most in the usual interval


class Arrival(Stage):
    """First stage: everything that follows from the arrival of a row, not from its values."""

    def state_fields(self) -> tuple[StateField, ...]:
        """Rows absorbed, knowledge of the key, time of its last row, usual interval."""
        return (
            StateField("rows", "<i8", (), "rows absorbed since this state began"),
            StateField(
                "known", "<u1", (), "1 when the bundle brought the key's scales", Role.LEARNED
            ),
            StateField(
                "last_time", "<i8", (), "event time of the last row, microseconds", Role.POSITION
            ),
            StateField(
                "interval",
                "<f8",
                (),
                "usual interval between rows, seconds",
                Role.LEARNED | Role.POSITION,
            ),
        )

    def forward(self, state: State, x: Any, seen: Observation) -> tuple[State, Any]:
        """Count rows and measure the time that has passed; values pass unchanged."""
        packed, config, time_us = seen.packed, seen.config, seen.time_us
        assert config is not None
        rows = state["rows"] if packed.once else packed.expand(state["rows"]) + packed.step
        unknown = packed.expand(state["known"]) == 0
        first, warming = rows == 0, unknown & (rows < config.warmup_alarm)
        count = ops.astype(rows, "float64")
        gap_us = time_us - packed.previous(state["last_time"], time_us)
        seconds = ops.astype(gap_us, "float64") * 1e-6
        interval = packed.expand(state["interval"])
        seconds = ops.where(first, interval, seconds)
        if bool(ops.any(warming)):
            weight = ops.where(warming & ~first, 1.0 / ops.maximum(count, 1.0), 0.0)
            start = {"interval": state["interval"]}
            interval = packed.scan(_learn_interval, start, seconds, weight)["interval"]
        elapsed = ops.where(interval > 0, seconds / ops.maximum(interval, 1e-6), 1.0)
        elapsed = ops.clip(ops.where(first, 0.0, elapsed), 0.0, 1e4)

        scored = ~unknown | (rows >= config.warmup_score)
        scored_rows = ops.maximum(count - config.warmup_score, 0.0)
        weights = ops.where(warming & scored, 1.0 / (scored_rows + 25.0), 0.0)
        # The slow windows that begin at one row call the next rows unusual.
        settled = rows >= config.quiet_rows
        seen.rows, seen.first, seen.warming = rows, first, warming
        seen.elapsed, seen.interval = ops.astype(elapsed, "float32"), interval
        seen.scored, seen.learning = scored, ops.astype(weights, "float32")
        seen.may_fire = settled & (~unknown | (rows >= config.warmup_alarm))
        return {
            "rows": packed.last(rows + 1),
            "known": state["known"],
            "last_time": packed.last(time_us),
            "interval": packed.last(interval),
        }, x


def _learn_interval(state: State, seconds: Any, weight: Any) -> State:
    """Update the running mean of the gaps; arrays of shape `(B,)`, float64."""
    interval = state["interval"]
    bounded = ops.where(interval > 0, ops.minimum(seconds, LONGEST_GAP * interval), seconds)
    return {"interval": interval + weight * (bounded - interval)}
