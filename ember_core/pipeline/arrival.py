"""Count of a key's rows, time between them, and its progress through warm-up."""

from __future__ import annotations

from typing import Any, Final

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

LONGEST_GAP = 5.0  # usual intervals that one gap counts at most in the usual interval
AGES: Final = (32, 64, 128, 256, 512, 1024, 2048)
"""Rows at which a key that the bundle does not know is surer of itself than before."""
SURE_ROWS: Final = 4096
"""Rows from which it counts as a known one."""
LEARNING_ROWS: Final = 2000
"""Rows in which it learns its scales, where the fleet has rehearsed new keys."""


class Arrival(Stage):
    """First stage: everything that follows from the arrival of a row, not from its values.

    Args:
        n_groups: Groups of evidence `G`: each channel and all together, or 1.

    Attributes:
        confidence: Buffer `(8, G)`: share of its severity that counts for a key never seen, from
            each number of rows in `AGES` on, and 1 at the end, for keys that the bundle knows; 0:
            the fleet has not rehearsed new keys.
        tail_rows: Buffer `(1,)`: rows that the fleet's tail counts as beside a new key's own.
    """

    confidence: Any
    tail_rows: Any

    def __init__(self, n_groups: int = 1) -> None:
        super().__init__()
        self.n_groups = n_groups
        self._is_rehearsed = False
        self.register_buffer("confidence", ops.zeros((len(AGES) + 1, n_groups)))
        self.register_buffer("tail_rows", ops.full((1,), 25.0))

    def arrays_changed(self) -> None:
        """Note whether the fleet has rehearsed new keys."""
        self._is_rehearsed = bool(ops.any(self.confidence > 0))

    @property
    def is_rehearsed(self) -> bool:
        """Whether a key never seen can be judged from its first rows on."""
        return self._is_rehearsed

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

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Count rows and measure the time that has passed; values pass unchanged.

        Arguments as `Stage.forward` has them.
        """
        packed, config, time_us = observation.packed, observation.config, observation.time_us
        assert config is not None
        rows = state["rows"] if packed.once else packed.expand(state["rows"]) + packed.step
        unknown = packed.expand(state["known"]) == 0
        learning_rows = config.warmup_alarm
        if self.is_rehearsed:
            learning_rows = max(learning_rows, LEARNING_ROWS)
        first, warming = rows == 0, unknown & (rows < learning_rows)
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
        tail_rows = ops.astype(self.tail_rows, "float64")
        weights = ops.where(warming & scored, 1.0 / (scored_rows + tail_rows), 0.0)
        # The slow windows that begin at one row call the next rows unusual: of a new key the
        # rehearsal has taken that into account.
        settled = rows >= config.quiet_rows
        if self.is_rehearsed:
            settled = settled | unknown
            self._note_age(rows, unknown, observation)
        observation.rows, observation.first, observation.warming = rows, first, warming
        observation.elapsed, observation.interval = ops.astype(elapsed, "float32"), interval
        observation.scored, observation.learning = scored, ops.astype(weights, "float32")
        observation.may_fire = settled & (~unknown | (rows >= config.warmup_alarm))
        return {
            "rows": packed.last(rows + 1),
            "known": state["known"],
            "last_time": packed.last(time_us),
            "interval": packed.last(interval),
        }, x

    def _note_age(self, rows: Any, unknown: Any, observation: Observation) -> None:
        """Note how sure rows are of themselves; nothing where all are of keys that are known."""
        unsure = unknown & (rows < SURE_ROWS)
        if not bool(ops.any(unsure)):
            return
        age = ops.astype(rows * 0, "int32")
        for begin in AGES[1:]:
            age = age + ops.astype(rows >= begin, "int32")
        observation.age = ops.where(unsure, age, 0 * age + len(AGES))
        observation.confidence = ops.take(self.confidence, observation.age, axis=0)


class Start(Stage):
    """First stage where rows need no warm-up: it tells a first row from the others."""

    def state_fields(self) -> tuple[StateField, ...]:
        """Mark of a key that has rows."""
        return (StateField("rows", "<f4", (), "1 once a row was seen"),)

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Mark first rows, one row per key; values pass unchanged.

        Arguments as `Stage.forward` has them.
        """
        observation.first = state["rows"] < 0.5
        return {"rows": 0.0 * state["rows"] + 1.0}, x


def _learn_interval(state: State, seconds: Any, weight: Any) -> State:
    """Update the running mean of the gaps; arrays of shape `(B,)`, float64."""
    interval = state["interval"]
    bounded = ops.where(interval > 0, ops.minimum(seconds, LONGEST_GAP * interval), seconds)
    return {"interval": interval + weight * (bounded - interval)}
