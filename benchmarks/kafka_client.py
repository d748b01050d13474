"""Broker client of tests and benchmarks: create topics, produce, read everything back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

_QUIET: Final = {"log_level": 0}
_REQUEST_SECONDS: Final = 20.0
_END_OF_LOG_MS: Final = 10  # how long a broker with no more records holds its answer back
_PRODUCER: Final = {
    # Without it, records that are sent again lie behind later ones.
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "batch.num.messages": 10_000,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 1_048_576,
}


class Record(NamedTuple):
    """One record as it lies in the log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Send(NamedTuple):
    """One record to produce; partition -1 leaves it to the key."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    partition: int = -1
    headers: Sequence[tuple[str, bytes]] = ()


def create_topics(
    bootstrap: str, topics: Mapping[str, int], config: Mapping[str, str] | None = None
) -> None:
    """Create topics by the admin API (real brokers only) and wait until every one has leaders.

    Args:
        bootstrap: `host:port`.
        topics: Name -> number of partitions.
        config: Topic settings for all of them.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, **_QUIET})
    new_topics = [
        NewTopic(name, count, replication_factor=-1, config=dict(config or {}))
        for name, count in topics.items()
    ]
    for future in admin.create_topics(new_topics).values():
        future.result(_REQUEST_SECONDS)
    deadline = time.monotonic() + _REQUEST_SECONDS
    while time.monotonic() < deadline:
        topics_there = admin.list_topics(timeout=_REQUEST_SECONDS).topics
        if all(
            name in topics_there
            and len(topics_there[name].partitions) == count
            and all(part.leader >= 0 for part in topics_there[name].partitions.values())
            for name, count in topics.items()
        ):
            return
        time.sleep(0.02)
    raise TimeoutError(f"topics without leaders: {sorted(topics)}")


def delete_topics(bootstrap: str, topics: Iterable[str]) -> None:
    """Delete topics by the admin API."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **_QUIET})
    for future in admin.delete_topics(list(topics)).values():
        future.result(_REQUEST_SECONDS)


def produce(bootstrap: str, topic: str, records: Iterable[Send], **config: Any) -> int:
    """Send records in order and wait for every acknowledgement; gives their number.

    Raises:
        KafkaException: The first refusal.
    """
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", **_QUIET, **_PRODUCER, **config}
    )
    failures: list[KafkaError] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    sent = 0
    for sent, record in enumerate(records, start=1):
        while True:
            try:
                producer.produce(
                    topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers),
                    on_delivery=note,
                )
                break
            except BufferError:
                producer.poll(0.1)
        if sent % 1000 == 0:
            producer.poll(0)
    unsent = producer.flush(_REQUEST_SECONDS * 3)
    if failures:
        raise KafkaException(failures[0])
    if unsent:
        raise TimeoutError(f"{unsent} records of {sent} were not acknowledged by {topic}")
    return sent


def consume_all(
    bootstrap: str, topic: str, *, committed: bool = True, timeout: float = 60.0
) -> list[Record]:
    """Read a topic from its beginning to its present end.

    Args:
        bootstrap: `host:port`.
        topic: Topic name.
        committed: Leave out records of open and aborted transactions.
        timeout: Seconds without a record or an end after which it gives up.

    Returns:
        Records by partition, in order of their offsets.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "ember-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": _END_OF_LOG_MS,
            **_QUIET,
        }
    )
    try:
        count = len(consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, part, 0) for part in range(count)])
        records: list[list[Record]] = [[] for _ in range(count)]
        ended: set[int] = set()
        deadline = time.monotonic() + timeout
        while len(ended) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} gave nothing for {timeout} s, and not its end")
            for message in consumer.consume(10_000, timeout=0.1):
                deadline = time.monotonic() + timeout
                error = message.error()
                part = message.partition()
                assert part is not None
                if error is None:
                    records[part].append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(part)
                else:
                    raise KafkaException(error)
        return [record for part in records for record in part]
    finally:
        consumer.close()


def read_changelog(
    bootstrap: str, topic: str, *, committed: bool = True
) -> dict[tuple[int, bytes], bytes]:
    """The rows a compacted topic stands for: (partition, key) -> last value, tombstones applied."""
    rows: dict[tuple[int, bytes], bytes] = {}
    for record in consume_all(bootstrap, topic, committed=committed):
        place_of_row = (record.partition, record.key or b"")
        if record.value is None:
            rows.pop(place_of_row, None)
        else:
            rows[place_of_row] = record.value
    return rows


def end_offsets(bootstrap: str, topic: str) -> list[int]:
    """Log end offset of every partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ember-reader", **_QUIET})
    try:
        count = len(consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions)
        return [
            consumer.get_watermark_offsets(
                TopicPartition(topic, part), timeout=_REQUEST_SECONDS, cached=False
            )[1]
            for part in range(count)
        ]
    finally:
        consumer.close()


def committed_offsets(bootstrap: str, group: str, topic: str) -> list[int | None]:
    """A group's committed offset of every partition; None where it never committed.

    A killed worker's open transaction is not waited for, which would take until the broker ends it.
    """
    settings = {"group.id": group, "isolation.level": "read_uncommitted"}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings, **_QUIET})
    try:
        count = len(consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions)
        committed_offsets = consumer.committed(
            [TopicPartition(topic, part) for part in range(count)], timeout=_REQUEST_SECONDS
        )
        return [
            None if partition_offset.offset < 0 else partition_offset.offset
            for partition_offset in committed_offsets
        ]
    finally:
        consumer.close()


def wait_committed(bootstrap: str, group: str, topic: str, *, timeout: float = 60.0) -> None:
    """Wait until a group has committed the end of every partition that has records."""
    deadline = time.monotonic() + timeout
    while True:
        ends = end_offsets(bootstrap, topic)
        marks = committed_offsets(bootstrap, group, topic)
        if all(end == 0 or mark == end for end, mark in zip(ends, marks, strict=True)):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{group} stands at {marks} of {ends} in {topic}")
        time.sleep(0.1)


def _record(message: Message) -> Record:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    headers: Any = message.headers() or []
    return Record(
        partition, offset, message.timestamp()[1], message.key(), message.value(), headers
    )
