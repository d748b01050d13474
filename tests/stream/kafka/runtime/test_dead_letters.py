"""Dead letters: whole, cut or as coordinates, and never in the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from stream.kafka.protocol.ports import Outgoing
from stream.kafka.runtime.dead_letters import DeadLetters
from stream.observer import Observer
from stream.records import Reason, Rejected
from tests.stream.kafka.fakes import Boom, FakeClock, make_context

TP = ("in", 3)


class TooLarge(MessageSizeTooLargeError):
    """The broker's refusal for size."""


class Sink:
    """Takes messages up to a size; refuses at once, or when acknowledging."""

    def __init__(self, limit: int = 1 << 30, *, late: bool = False) -> None:
        self.limit = limit
        self.late = late
        self.taken: list[Outgoing] = []
        self.broken: BaseException | None = None
        self.hangs = False

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        if self.hangs:
            await asyncio.Event().wait()
        error = self.broken or (TooLarge() if len(message.value or b"") > self.limit else None)
        if error is not None and not self.late:
            raise error

        async def ack() -> None:
            if error is not None:
                raise error
            self.taken.append(message)

        return asyncio.ensure_future(ack())


class Counting(Observer):
    """Counts what became of letters."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}

    def dead_letters(self, outcome: str, reason: Any, count: int) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count


def make(sink: Sink, rate: int = 1000, **more: Any) -> tuple[DeadLetters, Counting, FakeClock]:
    counting, clock = Counting(), FakeClock()
    context = make_context(counting, clock=clock, dead_letters_per_second=rate)
    letters = DeadLetters(context, sink, **more)
    return letters, counting, clock


def message(value: bytes | None = b"{", key: bytes | None = b"k", offset: int = 5) -> Any:
    headers = [("trace", b"\xff\x00")]
    return SimpleNamespace(key=key, value=value, headers=headers, timestamp=77, offset=offset)


REFUSED = [Rejected(0, Reason.NOT_JSON, "at byte 1: über")]


async def test_a_letter_is_the_message_with_the_reason() -> None:
    sink = Sink()
    letters, counting, _ = make(sink)
    letters.add(TP, [message()], REFUSED)
    await letters.settle()
    (letter,) = sink.taken
    assert letter[:3] == ("in.dead-letters", b"k", b"{")
    assert letter.timestamp_ms == 77
    assert letter.headers[0] == ("trace", b"\xff\x00")
    headers = dict(letter.headers)
    assert headers["__connect.errors.topic"] == b"in"
    assert headers["__connect.errors.partition"] == b"3"
    assert headers["__connect.errors.offset"] == b"5"
    assert headers["__connect.errors.exception.message"].decode() == "at byte 1: über"
    assert headers["ember.reason"] == b"not_json"
    assert counting.outcomes == {"written": 1}


async def test_records_of_other_systems_are_letters_only_where_asked_for() -> None:
    refused = [*REFUSED, Rejected(1, Reason.NO_CHANNELS, "none of them")]
    for asked, reasons in ((False, [b"not_json"]), (True, [b"not_json", b"no_channels"])):
        sink = Sink()
        context = make_context(Counting(), clock=FakeClock(), dead_letters_no_channels=asked)
        letters = DeadLetters(context, sink)
        letters.add(TP, [message(), message()], refused)
        await letters.settle()
        assert [dict(letter.headers)["ember.reason"] for letter in sink.taken] == reasons


async def test_neither_key_nor_value_can_still_be_written() -> None:
    sink = Sink()
    letters, _, _ = make(sink)
    letters.add(TP, [message(None, None)], [Rejected(0, Reason.EMPTY, "null")])
    await letters.settle()
    assert sink.taken[0][1:3] == (None, b"")


def _too_large(late: bool) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        sink = Sink(70_000, late=late)
        letters, counting, _ = make(sink)
        letters.add(TP, [message(b"x" * 100_000)], REFUSED)
        await letters.settle()
        (letter,) = sink.taken
        assert letter.value == b"x" * 65_536
        assert dict(letter.headers)["ember.truncated"] == b"100000"
        assert dict(letter.headers)["__connect.errors.offset"] == b"5"
        assert counting.outcomes == {"cut": 1}

    return run


async def test_what_the_client_finds_too_large_is_cut() -> None:
    await _too_large(False)()


async def test_what_the_broker_finds_too_large_is_cut() -> None:
    await _too_large(True)()


async def test_a_record_whose_time_the_topic_refuses_keeps_it_in_a_header() -> None:
    """A broker refuses times an hour ahead, of which these records may be."""

    class Strict(Sink):
        async def send(self, message: Any) -> Any:
            if message.timestamp_ms is not None:
                raise InvalidTimestampError()
            return await super().send(message)

    sink = Strict(70_000)
    letters, counting, _ = make(sink)
    record = message(b"x" * 100_000)
    letters.add(TP, [record], REFUSED)
    await letters.settle()
    (letter,) = sink.taken
    assert letter.timestamp_ms is None
    assert dict(letter.headers)["ember.timestamp"] == b"%d" % record.timestamp
    assert counting.outcomes == {"cut": 1}  # too large as well


async def test_above_the_rate_only_coordinates() -> None:
    sink = Sink()
    letters, counting, clock = make(sink, rate=2)
    batch = [message(offset=i) for i in range(7)]
    letters.add(TP, batch, [Rejected(i, Reason.NOT_JSON, "") for i in range(7)])
    await letters.settle()
    assert counting.outcomes == {"written": 2, "coordinates": 1}
    body = json.loads(sink.taken[-1].value or b"")
    assert body == {"topic": "in", "partition": 3, "reason": "not_json", "offsets": [2, 3, 4, 5, 6]}
    clock.now = 1.0
    letters.add(TP, batch, REFUSED)
    await letters.settle()
    assert counting.outcomes["written"] == 3


async def test_a_failure_is_counted_and_goes_no_further() -> None:
    for late in (False, True):
        sink = Sink(late=late)
        sink.broken = Boom("no such topic")
        letters, counting, _ = make(sink)
        letters.add(TP, [message()], REFUSED)
        await letters.settle()
        assert counting.outcomes == {"failed": 1}


async def test_what_is_too_large_even_when_cut_is_counted() -> None:
    letters, counting, _ = make(Sink(10))
    letters.add(TP, [message(b"x" * 100)], REFUSED)
    await letters.settle()
    assert counting.outcomes == {"failed": 1}


async def test_a_sink_that_hangs_does_not_hold_a_checkpoint_up() -> None:
    sink = Sink()
    sink.hangs = True
    letters, counting, _ = make(sink, settle_seconds=0.02, max_queued=3)
    batch = [message(offset=i) for i in range(11)]
    letters.add(TP, batch, [Rejected(i, Reason.NOT_JSON, "") for i in range(11)])
    await letters.settle()
    assert counting.outcomes == {"dropped": 8}
    began = asyncio.get_running_loop().time()
    letters._patience = 1e6
    await letters.settle()  # not again so soon
    assert asyncio.get_running_loop().time() - began < 1e3
    assert letters._task is not None
    letters._task.cancel()


async def test_records_of_other_systems_are_none_unless_asked_for() -> None:
    refused = [Rejected(0, Reason.NO_CHANNELS, "none"), Rejected(1, Reason.NO_KEY, "null")]
    for wanted, reasons in ((False, ["no_key"]), (True, ["no_channels", "no_key"])):
        sink = Sink()
        context = make_context(Counting(), clock=FakeClock(), dead_letters_no_channels=wanted)
        letters = DeadLetters(context, sink)
        letters.add(TP, [message(), message()], refused)
        await letters.settle()
        assert [dict(x.headers)["ember.reason"].decode() for x in sink.taken] == reasons
