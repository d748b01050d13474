"""Events in flight: order, acknowledgement, back-pressure, cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.kafka.protocol.outbox import Outbox
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
    waiting = asyncio.ensure_future(outbox.wait_for_capacity())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert asked
    sink.release.set()
    await waiting


async def test_a_held_outbox_has_room_when_a_checkpoint_took_its_events() -> None:
    outbox = Outbox(None, limit=1)
    outbox.add(A, [event(b"1")])
    waiting = asyncio.ensure_future(outbox.wait_for_capacity())
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
        await outbox.wait_for_capacity()


async def test_dropped_partitions_leave_nothing_behind() -> None:
    journal: list[Any] = []
    outbox = Outbox(FakeSink(journal))
    outbox.add(A, [event(b"1")])
    outbox.drop(A)
    await outbox.pump()
    assert journal == []
    assert outbox.pending == 0


class ByHand:
    """A sink whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.acks: list[asyncio.Future[None]] = []

    async def send(self, message: Any) -> asyncio.Future[None]:
        self.acks.append(asyncio.get_running_loop().create_future())
        return self.acks[-1]


async def _sent(count: int, limit: int) -> tuple[Outbox, ByHand]:
    sink = ByHand()
    outbox = Outbox(sink, limit=limit)
    outbox.add(A, [event(b"%d" % i) for i in range(count)])
    await outbox.pump()
    return outbox, sink


async def test_an_acknowledged_event_is_pending_no_more() -> None:
    outbox, sink = await _sent(3, limit=9)
    sink.acks[1].set_result(None)
    await asyncio.sleep(0)
    assert outbox.pending == 2


@pytest.mark.parametrize("held", [False, True])
async def test_many_bytes_wait_as_many_events_do(held: bool) -> None:
    """A message of scored rows is larger than a thousand events."""
    full: list[None] = []
    sink = ByHand()
    outbox = Outbox(
        None if held else sink, limit=99, limit_bytes=20, on_full=lambda: full.append(None)
    )
    outbox.add(A, [event(b"k")._replace(value=b"x" * 7) for _ in range(2)])
    await outbox.pump()
    await asyncio.wait_for(outbox.wait_for_capacity(), 5)
    outbox.add(A, [event(b"k")._replace(value=b"x" * 7)])
    await outbox.pump()
    waiting = asyncio.ensure_future(outbox.wait_for_capacity())
    await asyncio.sleep(0)
    assert full
    assert not waiting.done()
    if held:
        outbox.take(A)
    else:
        sink.acks[0].set_result(None)
    await asyncio.wait_for(waiting, 5)


async def test_a_sent_event_keeps_no_message() -> None:
    outbox, _ = await _sent(2, limit=9)
    assert [entry.message for entry in outbox.take(A)] == [None, None]


async def test_a_refused_event_is_told_while_there_is_no_room() -> None:
    outbox, sink = await _sent(3, limit=2)
    sink.acks[0].set_exception(Boom())
    await asyncio.sleep(0)
    with pytest.raises(Boom):
        await asyncio.wait_for(outbox.wait_for_capacity(), 5)


async def test_a_refusal_that_makes_room_is_told() -> None:
    outbox, sink = await _sent(2, limit=2)
    waiting = asyncio.ensure_future(outbox.wait_for_capacity())
    await asyncio.sleep(0)
    sink.acks[0].set_exception(Boom())
    with pytest.raises(Boom):
        await asyncio.wait_for(waiting, 5)


async def test_an_acknowledgement_given_up_is_a_failure() -> None:
    outbox, sink = await _sent(1, limit=9)
    sink.acks[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await outbox.wait_for_capacity()


async def test_room_made_at_once_when_it_is_asked_for_is_seen() -> None:
    outbox = Outbox(None, limit=1, on_full=lambda: outbox.take(A) and None)
    outbox.add(A, [event(b"1")])
    await asyncio.wait_for(outbox.wait_for_capacity(), 5)


async def test_a_failure_is_raised_when_all_are_settled() -> None:
    """What is still on its way could otherwise arrive after the transaction was given up."""
    outbox, sink = await _sent(2, limit=9)
    settling = asyncio.ensure_future(outbox.settle(outbox.take(A)))
    await asyncio.sleep(0)
    sink.acks[0].set_exception(Boom())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not settling.done()
    sink.acks[1].set_result(None)
    with pytest.raises(Boom):
        await settling
