"""A model of one number per key, and a codec of one number per message.

Everything around it is the production engine: store, slab, layout, merge, meta row, stepper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from ember_core.pipeline import PackedRows, Role, StateField
from ember_core.rows import RecipeChannel, RowRecipe
from stream.control import NO_CONTROL
from stream.engine import Engine, Limits, ModelVersion, WindowSpec
from stream.engine.batch import KeyRows, PlacedEvent, StepBatch
from stream.engine.hard_limits import LimitChange
from stream.engine.loading import ChangelogLoader
from stream.engine.normal_now import NormalNow
from stream.engine.planned_work import PlannedScores
from stream.engine.rows import ObservedRows
from stream.engine.rules_effect import RulesEffect, RulesInForce
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.engine.step import Stepper
from stream.records import Decoded, Event, Message, Reason, Rejected

WARM_ROWS = 2
_FACTOR = np.uint64(6364136223846793005)
_STEP = np.uint64(1442695040888963407)


@dataclass
class Looked:
    """What `TinyPipeline.observe` gives: new state of each key; chain and worth of each row."""

    state: dict[str, Any]
    chain: Any
    scored: Any
    may_fire: Any


class TinyPipeline:
    """State is a chain over every value seen: any loss, repetition or swap shows in it.

    The documents of operators that are in force are in it too.

    Args:
        rated: Rows are rates.
        number: Of the model: each has another factor, so that a wrong one shows as well.
    """

    def __init__(self, *, rated: bool, number: int = 0) -> None:
        self._rated = rated
        self.control_mark = lambda: 0
        self._factor = _FACTOR + np.uint64(2 * number)
        self.config = SimpleNamespace(
            channels=("x",), warmup_alarm=WARM_ROWS, quiet_rows=0, max_gap=10
        )

    def state_fields(self) -> tuple[StateField, ...]:
        return (
            StateField(
                "last_time", "<i8", (), "event time of the last row, microseconds", Role.POSITION
            ),
            StateField("rows", "<i8", (), "rows absorbed"),
            StateField("interval", "<f8", (), "usual interval; none here", Role.POSITION),
            StateField("known", "<u1", (), "1 where the bundle knows the key; it knows none"),
            StateField("firing", "<u1", (), "1 while an episode is open; none is here"),
            # Kept under another model: what was lost before a change shows behind it.
            StateField("chain", "<u8", (), "all values, in order", Role.MEASURED),
            StateField("normal_now", "<i8", (), "time of the newest `normal-now`", Role.POSITION),
        )

    def observe(
        self,
        state: dict[str, Any],
        values: Any,
        time_us: Any,
        packed: PackedRows,
        counted: dict[str, Any] | None = None,
    ) -> Looked:
        chain, rows = np.zeros(packed.row_count, np.uint64), np.zeros(packed.row_count, np.int64)
        own, last = state["chain"].copy(), state["last_time"].copy()
        mark = np.uint64(self.control_mark())
        for step in range(len(packed.sizes)):
            at = packed.step == step
            keys = packed.key[at]
            number = np.nan_to_num(values[at, 0])  # of a rate the first sample has none
            number = number.view(np.uint64) if self._rated else number.astype(np.uint64)
            own[keys] = (own[keys] ^ number ^ mark) * self._factor + _STEP
            chain[at], rows[at] = own[keys], state["rows"][keys] + step + 1
            last[keys] = time_us[at]
        new = {"chain": own, "rows": rows[packed.last_rows], "last_time": last}
        return Looked(new, chain, rows > WARM_ROWS, rows > WARM_ROWS)


class TinyDecider:
    """There is nothing to decide."""

    def __init__(self, pipeline: TinyPipeline) -> None:
        self.pipeline = pipeline

    def decide(self, batch: StepBatch, observed: ObservedRows, rules: RulesEffect) -> None:
        return None

    def score_planned(
        self, keys: KeyRows, observed: ObservedRows, rules: RulesEffect
    ) -> PlannedScores:
        return PlannedScores(
            *(np.zeros(0, dtype) for dtype in (np.int64, *[np.float32] * 3)), observed
        )


class TinyNormalNow(NormalNow):
    """A present that becomes usual shows in the chain."""

    def _take(self, batch: StepBatch, row: int, line: int, time_us: int) -> None:
        chain = batch.keys.fields["chain"]
        chain[row : row + 1] = (chain[row : row + 1] ^ np.uint64(time_us)) * _FACTOR + _STEP


class TinyStepper(Stepper):
    """The production stepper."""

    def use_rules(self, rules: RulesEffect) -> None:
        super().use_rules(rules)
        self._normal_now = TinyNormalNow(rules.control, self._store, self._episodes)


class TinyEpisodes:
    """An event whenever the chain's top bits say so; its body is the chain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def emit(
        self,
        batch: StepBatch,
        observed: ObservedRows | None,
        scored: None,
        changes: None = None,
        limits: Sequence[LimitChange] = (),
    ) -> None:
        if observed is None:
            return
        views, looked = batch.keys.fields, cast("Looked", observed.observation)
        rows = observed.rows
        for at in np.flatnonzero(looked.scored).tolist():  # step by step: each key's in order
            row, chain = int(rows.row[at]), int(looked.chain[at])
            views["seq"][row] += 1
            if not chain >> 62:
                continue
            slot = int(batch.keys.slots[row])
            key, owner = self._store.slab.key(slot), int(self._store.slab.owner[slot])
            topic, partition = self._store.evictor.partition_of(owner).tp
            event = Event(
                kind="anomaly",
                key=key,
                id=f"{topic}/{key.decode()}/{int(rows.time_us[at])}.{int(views['seq'][row])}",
                time_us=int(rows.time_us[at]),
                body=b"%d/%d" % (partition, chain),
            )
            batch.events.append(PlacedEvent(int(rows.line[at]), 1, event))

    def resolve_expired(self, part: Partition, slot: int, deadline_us: int) -> list[Event]:
        """Nothing is open here."""
        return []


def digest_of(number: int) -> str:
    """Digest of a model."""
    return f"{number + 1:x}" * 64


def tiny_model(number: int = 0, *, rated: bool = False) -> Any:
    """One of fifteen models.

    Args:
        number: Which.
        rated: The number of a message is a counter.
    """
    return SimpleNamespace(
        pipeline=TinyPipeline(rated=rated, number=number),
        channels=("x",),
        sources=("x",),
        identity=("x",),
        recipe=RowRecipe((RecipeChannel("x", "x", "rate"),)) if rated else None,
        pauses=None,
        keys=[],
        key_state={},
        new_state={},
        sha256=digest_of(number),
    )


class TinyEngine(Engine):
    """The production engine around `TinyPipeline`.

    Args:
        max_keys: Keys in memory.
        spill: Where others go.
        ttl_us: Silence after which a key is forgotten; 0: never.
        rated: The number is a counter, and a row an interval's rate of it.
    """

    def __init__(
        self, max_keys: int = 64, spill: Any = None, ttl_us: int = 0, *, rated: bool = False
    ) -> None:
        self._window = WindowSpec("time", 2_000_000, 1_000_000) if rated else WindowSpec()
        self._limits = Limits(
            max_keys=max_keys, stale_intervals=0.0, ttl_us=ttl_us, missing_channels=False
        )
        self.control, self._hard_limits = NO_CONTROL, True  # the fields of limits are not there
        self._spill, self._stream_names = spill, {}
        self._parts = {}
        self._attached = 0
        model: Any = tiny_model(rated=rated)
        self._use(model, self._new_store(model))

    def _new_store(self, model: Any) -> Store:
        return Store(model, self._window, self._limits.max_keys, ttl_us=self._limits.ttl_us)

    def _use(self, model: Any, store: Store) -> None:
        self.model, self._store = model, store
        self._model_version = ModelVersion(model.sha256, {})
        self._loader = ChangelogLoader(store, model.sha256)
        model.pipeline.control_mark = lambda: int(self.control.digest[:16] or "0", 16)
        decider: Any = TinyDecider(model.pipeline)
        episodes: Any = TinyEpisodes(store)
        self._rules = RulesInForce(model)
        rules = self._rules.of(self.control)
        self._stepper = TinyStepper(store, decider, episodes, self._limits, rules)

    def schedule_switch(self, tp: tuple[str, int], offset: int, model: Any) -> None:
        """As in production, with the version of a model that has no thresholds."""
        meta = self.meta(tp)
        meta.begin_at(offset)
        meta.note_model(offset, ModelVersion(model.sha256, {}))


class TinyCodec:
    """`b"17 3"` is the value 3 at 17 seconds; anything else is refused."""

    def decode(self, messages: Sequence[Message]) -> Decoded:
        keys: list[bytes] = []
        times: list[int] = []
        values: list[float] = []
        index: list[int] = []
        rejected: list[Rejected] = []
        for i, message in enumerate(messages):
            time, _, value = (message.value or b"").partition(b" ")
            if message.key is None or not value:
                rejected.append(Rejected(i, Reason.NOT_JSON, "no number"))
                continue
            keys.append(message.key)
            times.append(int(time) * 1_000_000)
            values.append(float(value))
            index.append(i)
        return Decoded(
            keys,
            np.array(times, dtype=np.int64),
            np.array(values, dtype=np.float64).reshape(-1, 1),
            np.array(index, dtype=np.int32),
            rejected,
        )


def rows_of(engine: Engine, tp: tuple[str, int], keys: Iterable[bytes]) -> dict[bytes, Any]:
    """Rows by key; None where there is none."""
    return {key: engine.row(tp, key) for key in keys}
