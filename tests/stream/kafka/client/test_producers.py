"""Rows and offsets on their way to the broker: batches, headers, fences."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from stream.kafka.client import producers as logs
from stream.kafka.client.errors import is_too_large
from stream.kafka.client.producers import (
    PlainLog,
    ProducerSink,
    TransactionalLog,
    append_rows,
)
from stream.kafka.protocol.ports import FencedError
from tests.stream.kafka.fakes import ME, Boom, event

TP = ("in", 3)
LAST: Any = [("last", b"1")]
GONE: Any = [("gone", b"2")]


class Batch:
    """Takes so many rows."""

    def __init__(self, room: int) -> None:
        self.room, self.rows, self.closed = room, [], False  # type: ignore[var-annotated]

    def append(self, *, timestamp: int, key: bytes, value: bytes | None, headers: Any) -> Any:
        assert not self.closed
        assert abs(timestamp / 1000 - time.time()) < 3600
        if len(self.rows) == self.room:
            return None
        self.rows.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.closed = True


class Producer:
    """A broker that says where batches lie; `fails` is the batch it refuses."""

    def __init__(self, room: int = 2, fails: int = -1, says: bool = True) -> None:
        self.room, self.fails, self.says = room, fails, says
        self.batches: list[Any] = []
        self.steps: list[Any] = []
        self.end = 100
        self.fenced: Exception | None = None

    def create_batch(self) -> Batch:
        return Batch(self.room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        number = len(self.batches)
        assert batch.closed or len(batch.rows) == batch.room  # nobody else may add to it
        self.batches.append((topic, partition, batch.rows))
        offset, self.end = self.end, self.end + len(batch.rows)

        async def ack() -> Any:
            await asyncio.sleep(0)
            if number == self.fails:
                raise Boom("refused")
            return SimpleNamespace(offset=offset) if self.says else None

        return asyncio.ensure_future(ack())

    async def start(self) -> None:
        self.steps.append("start")

    async def stop(self) -> None:
        self.steps.append("stop")

    async def send(self, topic: str, **more: Any) -> Any:
        self.steps.append((topic, more))
        ack = asyncio.get_running_loop().create_future()
        if self.fenced is not None:
            ack.set_exception(self.fenced)
        return ack

    async def begin_transaction(self) -> None:
        self.steps.append("begin")

    async def commit_offsets(self, offsets: Any, group: str, membership: Any) -> None:
        self.steps.append(("offsets", dict(offsets), group, membership))

    async def commit_transaction(self) -> None:
        if self.fenced is not None:
            raise self.fenced
        self.steps.append("commit")

    async def abort_transaction(self) -> None:
        self.steps.append("abort")
        if self.fenced is not None:
            raise self.fenced


async def _append(producer: Producer, rows: list[bytes | None]) -> int:
    keys = [b"%d" % number for number in range(len(rows))]
    return await append_rows(producer, "changes", 3, keys, rows, LAST, GONE)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
async def test_the_offset_of_the_last_row_is_told(count: int) -> None:
    producer = Producer()
    assert await _append(producer, [b"row"] * count) == 99 + count
    assert [len(rows) for _, _, rows in producer.batches] == [2] * (count // 2) + [1] * (count % 2)
    assert {(topic, partition) for topic, partition, _ in producer.batches} == {("changes", 3)}


async def test_only_the_last_row_and_tombstones_have_headers() -> None:
    producer = Producer(room=9)
    await _append(producer, [b"a", None, b"b", None])
    ((_, _, rows),) = producer.batches
    assert [(value, headers) for _, value, headers in rows] == [
        (b"a", []),
        (None, GONE),
        (b"b", []),
        (None, LAST),
    ]
    assert [key for key, _, _ in rows] == [b"0", b"1", b"2", b"3"]


async def test_every_acknowledgement_counts() -> None:
    """The first batch may be refused when the last one is there."""
    with pytest.raises(Boom):
        await _append(Producer(fails=0), [b"row"] * 5)


async def test_a_broker_that_does_not_say_where() -> None:
    assert await _append(Producer(says=False), [b"row"] * 3) == -1
    producer = Producer()
    producer.end = -1
    assert await _append(producer, [b"row"]) == -1
    producer.end = 0  # said, and the first there is
    assert await _append(producer, [b"row"]) == 0


async def test_a_row_that_fits_no_batch_is_named() -> None:
    with pytest.raises(kafka_errors.MessageSizeTooLargeError, match="a row of 5 bytes") as error:
        await _append(Producer(room=0), [b"12345"])
    assert is_too_large(error.value)
    assert not is_too_large(Boom())


async def test_the_stream_goes_on_between_two_batches() -> None:
    """Each takes milliseconds to build, and a producer takes some without waiting."""
    turns: list[int] = []
    producer = Producer()

    async def stream() -> None:
        while True:
            turns.append(len(producer.batches))
            await asyncio.sleep(0)

    streaming = asyncio.ensure_future(stream())
    await _append(producer, [b"row"] * 8)
    streaming.cancel()
    assert {1, 2, 3} <= set(turns)


async def test_a_sink_connects_once_when_it_is_first_needed() -> None:
    producer = Producer()
    sink = ProducerSink(producer)  # type: ignore[arg-type]
    await asyncio.gather(sink.start(), sink.start(), sink.send(event(b"1")))
    await sink.stop()
    assert producer.steps.count("start") == 1
    assert producer.steps[-1] == "stop"
    first = Producer()
    await ProducerSink(first).send(event(b"1"))  # type: ignore[arg-type]
    assert [step if step == "start" else "send" for step in first.steps] == ["start", "send"]
    started = Producer()
    await ProducerSink(started, started=True).send(event(b"1"))  # type: ignore[arg-type]
    ((topic, more),) = started.steps
    message = event(b"1")
    assert topic == message.topic
    assert more == {
        "value": message.value,
        "key": message.key,
        "partition": message.partition,
        "timestamp_ms": message.timestamp_ms,
        "headers": message.headers,
    }


async def test_the_plain_log_writes_rows_then_offsets_and_holds_no_events() -> None:
    producer, committed = Producer(), list[Any]()

    async def commit(offsets: Any, membership: Any) -> None:
        committed.append((offsets, membership))

    log = PlainLog(producer, lambda topic: f"{topic}-changes", commit)  # type: ignore[arg-type]
    await log.begin()
    assert await log.append(TP, [b"k"], [b"row"], LAST, GONE) == 100
    assert producer.batches == [("in-changes", 3, [(b"k", b"row", LAST)])]
    await log.commit({TP: 7}, ME)
    assert committed == [({TP: 7}, ME)]
    await log.abort()
    with pytest.raises(RuntimeError, match="Expected guarantee=at_least_once"):
        await log.send(event(b"1"))


def _transactional(producer: Producer, seconds: float = 30.0) -> TransactionalLog:
    return TransactionalLog(producer, lambda topic: f"{topic}-changes", "g", seconds)  # type: ignore[arg-type]


async def test_a_transaction_has_events_rows_and_offsets() -> None:
    producer = Producer()
    log = _transactional(producer)
    await log.begin()
    await log.send(event(b"1"))
    assert await log.append(TP, [b"k"], [None], LAST, GONE) == 100
    await log.commit({TP: 7}, ME)
    assert producer.steps[0] == "begin"
    assert producer.steps[1][0] == event(b"1").topic
    assert producer.steps[2:] == [("offsets", {TP: 7}, "g", ME), "commit"]
    assert producer.batches == [("in-changes", 3, [(b"k", None, LAST)])]


def _fence(wrapped: bool) -> Exception:
    if not wrapped:
        return kafka_errors.ProducerFenced()
    error = kafka_errors.KafkaError("failed")
    error.__cause__ = kafka_errors.ProducerFenced()
    return error


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("took", "words"),
    [(29.0, "another process uses its transactional id"), (30.0, "its checkpoint took 30 s")],
)
async def test_who_is_fenced_says_why(
    wrapped: bool, took: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker ends a transaction that takes too long, and fences its producer by that too."""
    producer = Producer()
    producer.fenced = _fence(wrapped)
    log = _transactional(producer)
    monkeypatch.setattr(logs.time, "monotonic", lambda: 5.0)
    await log.begin()
    monkeypatch.setattr(logs.time, "monotonic", lambda: 5.0 + took)
    with pytest.raises(FencedError, match=words):
        await log.commit({TP: 7}, ME)
    await log.abort()  # which fails as well, and says nothing
    assert producer.steps[-1] == "abort"


@pytest.mark.parametrize("wrapped", [False, True])
async def test_who_is_fenced_while_events_are_acknowledged_says_so(wrapped: bool) -> None:
    """Whoever writes first after a long stop learns of the fence: at times it is an event."""
    producer = Producer()
    log = _transactional(producer)
    await log.begin()
    producer.fenced = _fence(wrapped)
    ack = await log.send(event(b"1"))
    with pytest.raises(FencedError, match="another process uses its transactional id"):
        await ack


async def test_other_failures_are_told_as_they_are() -> None:
    producer = Producer()
    producer.fenced = kafka_errors.RequestTimedOutError()
    with pytest.raises(kafka_errors.RequestTimedOutError):
        await _transactional(producer).commit({TP: 7}, ME)


async def test_giving_a_transaction_up_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer()

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(producer, "abort_transaction", never)
    monkeypatch.setattr(logs, "_ABORT_SECONDS", 0.01)
    await asyncio.wait_for(_transactional(producer).abort(), 5)
