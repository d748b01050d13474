"""Events in flight: order, acknowledgement, back-pressure, cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.kafka import Outbox
from tests.stream.kafka.fakes import Boom, FakeSink, event

A, B = ("in", 0), ("in", 1)


async def test_events_are_sent_in_order_and_settle() -> None:
    journal: list[Any] = []
    outbox = Outbox(FakeSink(journal))
    outbox.add(A, [event(b"1"), event(b"2")])
    outbox.add(B, [event(b"3")])
    await outbox.pump()
    entries = outbox.take(A)
    await outbox.settle(entries)
    assert [v for what, v in journal if what == "event sent"] == [b"1", b"2", b"3"]
    assert len(entries) == 2
    assert outbox.take(A) == []


async def test_settle_sends_what_was_not_sent_yet() -> None:
    journal: list[Any] = []
    outbox = Outbox(FakeSink(journal))
    outbox.add(A, [event(b"1")])
    await outbox.settle(outbox.take(A))
    assert ("event acknowledged", b"1") in journal


async def test_a_cancelled_pump_loses_and_doubles_nothing() -> None:
    journal: list[Any] = []
    outbox = Outbox(FakeSink(journal))
    outbox.add(A, [event(bytes([i])) for i in range(13)])
    for yields in range(11):
        pump = asyncio.ensure_future(outbox.pump())
        for _ in range(yields):
            await asyncio.sleep(0)
        pump.cancel()
        await asyncio.wait({pump})
    await outbox.settle(outbox.take(A))
    sent = [v for what, v in journal if what == "event sent"]
    acknowledged = [v for what, v in journal if what == "event acknowledged"]
    assert sent == [bytes([i]) for i in range(13)]
    assert acknowledged == sent


async def test_room_waits_for_acknowledgements() -> None:
    journal: list[Any] = []
    sink = FakeSink(journal, slow=True)
    asked: list[bool] = []
    outbox = Outbox(sink, limit=2, on_full=lambda: asked.append(True))
    outbox.add(A, [event(b"1"), event(b"2")])
    await outbox.pump()
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert asked
    sink.release.set()
    await waiting


async def test_a_held_outbox_has_room_when_a_checkpoint_took_its_events() -> None:
    outbox = Outbox(None, limit=1)
    outbox.add(A, [event(b"1")])
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    (entry,) = outbox.take(A)
    assert entry.message is not None
    assert entry.ack is None
    await waiting


async def test_a_refused_event_stops_the_stream() -> None:
    outbox = Outbox(FakeSink([], fail=True))
    outbox.add(A, [event(b"1")])
    await outbox.pump()
    await asyncio.sleep(0.01)
    with pytest.raises(Boom):
        await outbox.room()


async def test_dropped_partitions_leave_nothing_behind() -> None:
    journal: list[Any] = []
    outbox = Outbox(FakeSink(journal))
    outbox.add(A, [event(b"1")])
    outbox.drop(A)
    await outbox.pump()
    assert journal == []
    assert outbox.pending == 0
