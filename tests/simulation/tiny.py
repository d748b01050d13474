"""A model of one number per key, and a codec of one number per message.

Everything around it is the production engine: store, slab, layout, merge, meta row, stepper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ember_core.state import StateField
from stream.engine import Engine, Judge, Limits, WindowSpec
from stream.engine.decide import Batch, RowGroup
from stream.engine.result import StepResult
from stream.engine.step import Stepper
from stream.engine.store import Store
from stream.records import Decoded, Event, Message, Reason, Rejected

WARM_ROWS = 2
_FACTOR = np.uint64(6364136223846793005)
_STEP = np.uint64(1442695040888963407)


@dataclass
class Seen:
    """What `TinyPipeline.observe` gives: new state, and which rows count."""

    state: dict[str, Any]
    scored: Any


class TinyPipeline:
    """State is a chain over every value seen: any loss, repetition or swap shows in it."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(channels=("x",), warmup_alarm=WARM_ROWS, quiet_rows=0)
        nothing = SimpleNamespace(state_fields=lambda: ())
        self.tail = self.motor = self.normaliser = self.windows = nothing

    def state_fields(self) -> tuple[StateField, ...]:
        return (
            StateField("last_time", "<i8", (), "event time of the last row, microseconds"),
            StateField("rows", "<i8", (), "rows absorbed"),
            StateField("chain", "<u8", (), "all values, in order"),
        )

    def observe(self, state: dict[str, Any], values: Any, time_us: Any) -> Seen:
        chain = (state["chain"] ^ values[:, 0].astype(np.uint64)) * _FACTOR + _STEP
        rows = state["rows"] + 1
        return Seen({"chain": chain, "rows": rows, "last_time": time_us}, rows > WARM_ROWS)


class TinyDecider:
    """An event whenever the chain's top bits say so; its body is the chain."""

    def __init__(self, store: Store, pipeline: TinyPipeline) -> None:
        self.pipeline = pipeline
        self._store = store

    def run(self, batch: Batch, groups: list[RowGroup], result: StepResult) -> None:
        views = batch.views
        topic, partition = batch.part.tp
        for group in groups:
            scored = group.observed.scored
            views["seq"][group.rows[scored]] += 1
            fires = scored & ((group.observed.state["chain"] >> np.uint64(62)) > 0)
            for at in np.flatnonzero(fires).tolist():
                row = int(group.rows[at])
                key = self._store.slab.key(int(batch.slots[row]))
                seq = int(views["seq"][row])
                event = Event(
                    kind="anomaly",
                    key=key,
                    id=f"{topic}/{key.decode()}/{seq}",
                    time_us=int(group.time_us[at]),
                    body=b"%d/%d" % (partition, int(group.observed.state["chain"][at])),
                )
                batch.out.append((int(group.sample[at]), 1, event))


class TinyEngine(Engine):
    """The production engine around `TinyPipeline`."""

    def __init__(self, max_keys: int = 64, spill: Any = None) -> None:
        pipeline: Any = TinyPipeline()
        model: Any = SimpleNamespace(
            pipeline=pipeline, channels=("x",), keys=[], key_state={}, new_state={}, sha256="7" * 64
        )
        window, limits = WindowSpec(), Limits(max_keys=max_keys, stale_intervals=0.0)
        self.model = model
        self._judge = Judge(model.sha256, {})
        self._store = Store(model, window, max_keys)
        decider: Any = TinyDecider(self._store, pipeline)
        self._stepper = Stepper(self._store, decider, window, limits)
        self._spill = spill
        self._parts = {}
        self._numbers = 0


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
