"""Fetches to slices to the engine: results do not depend on slicing, cancelling or replays."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.positions import Positions
from stream.kafka.runtime.processor import Processor
from tests.broker.counting import CountingCodec, CountingEngine, value_of
from tests.stream.kafka.fakes import FakeSink, make_context

TP = ("in", 0)


def records(count: int, first: int = 0) -> list[Any]:
    return [
        SimpleNamespace(
            key=b"key-%d" % (i * 7 % 5),
            value=b"bad" if i % 31 == 0 else value_of(i * i),
            offset=i,
            timestamp=i,
            headers=[],
        )
        for i in range(first, first + count)
    ]


class Rig:
    def __init__(self, slice_messages: int, **more: Any) -> None:
        self.engine = CountingEngine()
        self.engine.attach(TP)
        self.positions = Positions()
        self.positions.start(TP, 0, -1)
        self.journal: list[Any] = []
        self.outbox = Outbox(FakeSink(self.journal))
        context = make_context(**more)
        self.processor = Processor(
            context,
            self.engine,  # type: ignore[arg-type]
            CountingCodec(),
            self.positions,
            self.outbox,
            slice_messages=slice_messages,
        )

    def outcome(self) -> Any:
        sent = [value for what, value in self.journal if what == "event sent"]
        return self.engine.take_dirty(TP), sent, self.positions.position(TP)


async def whole() -> Any:
    rig = Rig(10_000)
    await rig.processor.process({TP: records(1009)})
    return rig.outcome()


@pytest.mark.parametrize("slice_messages", [1, 7, 256])
async def test_results_do_not_depend_on_slices(slice_messages: int) -> None:
    rig = Rig(slice_messages)
    await rig.processor.process({TP: records(1009)})
    assert rig.outcome() == await whole()


async def test_a_fetch_delivered_again_changes_nothing() -> None:
    rig = Rig(64)
    await rig.processor.process({TP: records(600)})
    await rig.processor.process({TP: records(700)})
    await rig.processor.process({TP: records(509, 500)})
    assert rig.outcome() == await whole()


async def test_cancelled_in_the_middle_it_can_go_on() -> None:
    rig = Rig(16)
    for yields in range(13):
        task = asyncio.ensure_future(rig.processor.process({TP: records(1009)}))
        for _ in range(yields):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await rig.processor.process({TP: records(1009)})
    assert rig.outcome() == await whole()


async def test_it_stops_between_slices_when_told() -> None:
    rig = Rig(16)
    answers = iter([True, True, False])
    await rig.processor.process({TP: records(1009)}, lambda: next(answers))
    assert rig.positions.position(TP) == 32
    await rig.processor.process({TP: records(977, 32)})
    assert rig.outcome() == await whole()


async def test_a_partition_not_owned_is_left_alone() -> None:
    rig = Rig(16)
    await rig.processor.process({("in", 1): records(17)})
    assert rig.positions.position(TP) == 0


async def test_events_carry_cloudevents_headers_and_their_source() -> None:
    rig = Rig(512)
    taken: list[Any] = []
    rig.outbox.add = lambda tp, messages: taken.extend(messages)  # type: ignore[method-assign]
    await rig.processor.process({TP: records(1009)})
    headers = dict(taken[0].headers)
    assert taken[0].topic == "in.triggers"
    assert headers["ce_type"] == b"dev.ember.trigger.v1"
    assert headers["ce_source"] == b"/ember-stream/g"
    assert headers["ember.partition"] == b"0"


async def test_events_about_old_records_are_marked_as_backlog() -> None:
    """By the age of the record that brought them about, in a header: the bytes stay the same."""
    sent: list[Any] = []

    class Sink(FakeSink):
        async def send(self, message: Any) -> Any:
            sent.append(message)
            return await super().send(message)

    bodies = []
    for now_ms in (700, 500_000):
        rig = Rig(100, max_age_seconds=0.3, wall_clock=lambda now_ms=now_ms: now_ms / 1000)
        rig.outbox._sink = Sink([])
        await rig.processor.process({TP: records(1009)})  # record i has timestamp i ms
        marked = [dict(message.headers).get("ember.backlog") for message in sent]
        bodies.append([message.value for message in sent])
        sent.clear()
        if now_ms == 700:
            first_new = marked.index(None)
            assert 0 < first_new < len(marked)
            assert set(marked[:first_new]) == {b"true"}
            assert set(marked[first_new:]) == {None}
        else:
            assert set(marked) == {b"true"}
    assert bodies[0] == bodies[1]


async def test_a_time_that_has_not_come_is_noted_before_the_slice_is_absorbed() -> None:
    """The meta row first, from the position on: a replay must measure by the same bound."""
    rig = Rig(16)
    rig.positions.advance(TP, 5)
    told: list[Any] = []
    rig.engine.bound_clocks = lambda counts, *_: [TP] if len(told) < 2 else []  # type: ignore[method-assign,assignment]

    async def checkpoint(reason: str) -> None:
        meta = rig.engine.meta(TP)
        told.append((reason, rig.positions.moved(TP), meta.first_offset, meta.absorbed))

    rig.processor._checkpoint = checkpoint
    answers = iter([True, True, True, False])
    await rig.processor.process({TP: records(1009)}, lambda: next(answers))
    assert told == [("clock", True, 5, 4), ("clock", True, 5, 20)]
    assert rig.positions.position(TP) == 21  # stopped after the second write: nothing absorbed


async def test_a_record_without_a_time_is_no_backlog() -> None:
    rig = Rig(100, max_age_seconds=0.3, wall_clock=lambda: 500.0)
    rig.outbox._sink = None
    undated = records(1009)
    for record in undated:
        record.timestamp = -1
    await rig.processor.process({TP: undated})
    events = rig.outbox.take(TP)
    assert events
    assert all("ember.backlog" not in dict(event.message.headers) for event in events)


OTHER, ELSEWHERE = ("in", 1), ("elsewhere", 0)


def rig_of(slice_messages: int, *tps: Any, **more: Any) -> Rig:
    rig = Rig(slice_messages, **more)
    for tp in tps:
        rig.engine.attach(tp)
        rig.positions.start(tp, 0, -1)
    return rig


def told(rig: Rig, tp: Any) -> Any:
    """What a partition has come to."""
    return (
        rig.engine.take_dirty(tp),
        rig.positions.position(tp),
        [e.message for e in _sent(rig, tp)],
    )


def _sent(rig: Rig, tp: Any) -> Any:
    return rig.outbox.take(tp)


@pytest.mark.parametrize("slice_messages", [1, 64, 300, 10_000])
async def test_partitions_of_a_fetch_share_slices_and_nothing_else(slice_messages: int) -> None:
    fetch = {TP: records(211), ELSEWHERE: records(97), OTHER: records(503)}
    joint = rig_of(slice_messages, OTHER, ELSEWHERE)
    joint.outbox._sink = None  # events stay, by partition
    shared: list[Any] = []
    step_all = joint.engine.step_all
    joint.engine.step_all = lambda shares, *more: shared.append(shares) or step_all(shares, *more)  # type: ignore[method-assign,func-returns-value]
    await joint.processor.process(fetch)
    for tp, own in fetch.items():
        single = rig_of(10_000, OTHER, ELSEWHERE)
        single.outbox._sink = None
        await single.processor.process({tp: own})
        assert told(joint, tp) == told(single, tp)
    assert all(sum(count for _, count in shares) <= slice_messages for shares in shared)
    assert all(len({tp[0] for tp, _ in shares}) == 1 for shares in shared)
    if slice_messages == 300:
        assert shared == [
            [(ELSEWHERE, 97)],
            [(TP, 211), (OTHER, 89)],
            [(OTHER, 300)],
            [(OTHER, 114)],
        ]


async def test_a_partition_given_away_between_slices_is_left_alone() -> None:
    rig = rig_of(300, OTHER)
    answers = 0

    def going_on() -> bool:
        nonlocal answers
        answers += 1
        if answers == 2:
            rig.positions.drop(TP)
        return True

    await rig.processor.process({TP: records(1009), OTHER: records(50)}, going_on)
    assert rig.engine.slabs[TP].meta.absorbed == 299
    assert rig.positions.position(OTHER) == 50


async def test_dead_letters_name_the_partition_they_came_from() -> None:
    found: list[Any] = []

    class Letters:
        def add(self, tp: Any, messages: Any, refused: Any) -> None:
            found.append((tp, [messages[each.message].offset for each in refused]))

    rig = rig_of(10_000, OTHER)
    rig.processor._dead_letters = Letters()  # type: ignore[assignment]
    await rig.processor.process({TP: records(60, 5), OTHER: records(40)})
    assert found == [(TP, [31, 62]), (OTHER, [0, 31])]
    rig.processor._dead_letters = None
    await rig.processor.process({TP: records(3, 65)})
