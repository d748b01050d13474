"""What an uninterrupted run over the records of a partition gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stream.control import ControlSet
from stream.engine import META_KEY, SliceOffsets
from stream.types import TP

from .broker import Record
from .tiny import TinyCodec, TinyEngine, tiny_model

NEVER = 1 << 60
"""Offset beyond all records."""

Events = list[tuple[str, bytes]]
"""Id and body of each."""


class Reference(NamedTuple):
    """What an uninterrupted run gives for one partition."""

    events: Events
    rows: dict[bytes, bytes]
    counts: dict[str, int]
    absorbed: int
    first: int
    over: set[bytes]
    """Keys that have been silent for too long: they may be forgotten already."""


def reference(
    tp: TP,
    records: list[Record],
    ttl_us: int = 0,
    *,
    rated: bool = False,
    epochs: Sequence[tuple[int, int]] = ((0, 0),),
    first: int = -1,
    changes: Sequence[tuple[int, ControlSet]] = (),
) -> Reference:
    """What the engine gives when it is left alone.

    Args:
        tp: The partition.
        records: Its records.
        ttl_us: Silence after which a key is forgotten; 0: never.
        rated: Rows are rates of intervals.
        epochs: First offset and number of each model, in order.
        first: Offset at which the counting begins, where a change of the model was noted before
            the first record; -1: at that record.
        changes: First offset of each set of documents of operators, in order.
    """
    engine = TinyEngine(ttl_us=ttl_us, rated=rated)
    if epochs[0][1]:
        engine.switch_model(tiny_model(epochs[0][1], rated=rated))
    engine.attach(tp)
    if first >= 0:
        engine.meta(tp).begin_at(first)
    messages: list[Any] = [r for r in records if not r.marker]
    events: Events = []

    def switch(begin: int, number: int) -> None:
        model = tiny_model(number, rated=rated)
        engine.schedule_switch(tp, begin, model)
        engine.switch_model(model, [tp])

    def change(begin: int, control: ControlSet) -> None:
        engine.schedule_control(tp, begin, control)
        engine.use_control(control)

    steps = [(begin, partial(switch, begin, number)) for begin, number in epochs[1:]]
    steps += [(begin, partial(change, begin, control)) for begin, control in changes]
    steps.sort(key=lambda step: step[0])
    begins = [0, *(begin for begin, _ in steps)]
    ends = [*(begin for begin, _ in steps), NEVER]
    for n, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if n:
            steps[n - 1][1]()
        part = [m for m in messages if begin <= m.offset < end]
        slice_offsets = SliceOffsets(
            np.array([m.offset for m in part], dtype=np.int64),
            np.array([m.timestamp for m in part], dtype=np.int64),
        )
        result = engine.step(tp, TinyCodec().decode(part), slice_offsets)
        events += [(event.id, event.body) for event in result.events]
    dirty = engine.take_dirty(tp)
    rows = {k: r for k, r in zip(dirty.keys, dirty.rows, strict=True) if k != META_KEY and r}
    meta = engine.meta(tp)
    over = set()
    for key, row in rows.items():
        seen = engine.layout.views(np.frombuffer(row, dtype=np.uint8)[None])["seen"][0]
        if ttl_us and meta.clock_us - int(seen) > ttl_us:
            over.add(key)
    return Reference(events, rows, dict(meta.counts), meta.absorbed, meta.first_offset, over)
