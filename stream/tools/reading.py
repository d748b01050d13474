"""Records and offsets of topics, read with the consumers of `clients`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.errors import UserError
from stream.types import TP

from .clients import REQUEST_SECONDS, UnreachableError

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.2
_NAMED_PARTITIONS: Final = 5
"""Partitions that an error names."""
_RECOVERABLE: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
)
"""Errors of a consumer that goes on by itself."""

_COORDINATOR_MOVES = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""Errors of a request for committed offsets that end by themselves."""
_UNREACHABLE: Final = _COORDINATOR_MOVES | {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._UNKNOWN_PARTITION,  # librdkafka's word for a leader it cannot reach
    KafkaError._WAIT_COORD,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
}
"""Errors of a request to a broker that does not answer."""


@contextmanager
def _asking(consumer: Consumer, subject: str) -> Iterator[None]:
    """Turn the error of a request to a broker into one sentence.

    Args:
        consumer: Consumer that asks.
        subject: Subject of the request, for the sentence.

    Raises:
        UnreachableError: If the broker does not answer.
        UserError: If it refuses.
    """
    try:
        yield
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() not in _UNREACHABLE:
            raise UserError(f"The broker does not give {subject}: {cause.str()}.") from None
        raise UnreachableError(
            f"The broker that has {subject} does not answer ({cause.str()}). Expected every broker "
            f"at the address that the cluster gives for it. Received: {_addresses(consumer)}. Look "
            "whether these can be reached from here (advertised.listeners of the brokers)."
        ) from None


def _addresses(consumer: Consumer) -> str:
    """Return the addresses of the brokers as the cluster gives them."""
    try:
        brokers = consumer.list_topics(timeout=REQUEST_SECONDS).brokers.values()
    except KafkaException:
        return "no addresses"
    return ", ".join(sorted(f"{broker.host}:{broker.port}" for broker in brokers))


def watermarks(consumer: Consumer, topic: str, partitions: int) -> list[tuple[int, int]]:
    """Return the first and the end offset of every partition, as the broker has them now."""
    with _asking(consumer, f"the offsets of {topic!r}"):
        return [
            consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=REQUEST_SECONDS, cached=False
            )
            for partition in range(partitions)
        ]


def offset_ranges(consumer: Consumer, partitions: Mapping[str, int]) -> dict[TP, tuple[int, int]]:
    """Return the first and the end offset of every partition of some topics.

    Args:
        consumer: Consumer from `open_consumer`.
        partitions: Number of partitions of each topic.
    """
    return {
        (topic, partition): offsets
        for topic, count in partitions.items()
        for partition, offsets in enumerate(watermarks(consumer, topic, count))
    }


def committed(consumer: Consumer, topic: str, partitions: int) -> list[int | None]:
    """Return the committed offsets of the consumer's group; None for a partition without one."""
    requests = [TopicPartition(topic, partition) for partition in range(partitions)]
    deadline = time.monotonic() + REQUEST_SECONDS
    with _asking(consumer, f"the group's offsets of {topic!r}"):
        while True:
            try:
                answers = consumer.committed(requests, timeout=REQUEST_SECONDS)
                return [tp.offset if tp.offset >= 0 else None for tp in answers]
            except KafkaException as error:
                # The group's coordinator moves, or still loads what it has to know.
                if error.args[0].code() not in _COORDINATOR_MOVES or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)


def commit(consumer: Consumer, offsets: list[TopicPartition]) -> None:
    """Set offsets of the consumer's group.

    Raises:
        UserError: If the broker refuses.
    """
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        raise UserError(
            f"The group's offsets were not set: {error.args[0].str()}. Expected a group without "
            "running members, and the right to read with it. Run the command again."
        ) from None


def read_range(
    consumer: Consumer, ranges: Mapping[TP, tuple[int, int]], seconds: float = 60.0
) -> Iterator[Message]:
    """Yield the messages of [first, end) of some partitions, interleaved as they arrive.

    Ends early where a partition ends before `end` (transaction markers, compaction).

    Args:
        consumer: Consumer from `open_consumer`.
        ranges: First and end offset of each partition.
        seconds: Longest silence of the broker while something is left to read.

    Raises:
        UserError: If the broker is silent for longer: a part never passes for the whole.
    """
    ranges = {tp: offsets for tp, offsets in ranges.items() if offsets[0] < offsets[1]}
    if not ranges:
        return
    consumer.assign([TopicPartition(*tp, first) for tp, (first, _) in ranges.items()])
    positions = {tp: first for tp, (first, _) in ranges.items()}
    open_ends = {tp: end for tp, (_, end) in ranges.items()}
    silent_seconds = 0.0
    while open_ends:
        if silent_seconds >= seconds:
            _raise_incomplete(open_ends, positions, seconds)
        messages = consumer.consume(_BATCH, timeout=_POLL_SECONDS)
        if len(messages) < _BATCH:  # a full batch returns before the timeout
            silent_seconds += _POLL_SECONDS
        for message in messages:
            if message.topic() is None:  # about the client or its group, not about a partition
                raise_if_fatal(message)
                continue
            tp = partition_of(message)
            end = open_ends.get(tp)
            if end is None:
                continue
            error = message.error()
            if error is not None:
                raise_if_fatal(message)
                if error.code() == KafkaError._PARTITION_EOF:
                    del open_ends[tp]
                    silent_seconds = 0.0
                continue
            silent_seconds = 0.0
            offset = message.offset()
            assert offset is not None
            if offset < positions[tp]:  # a truncated log is read from its beginning again
                continue
            positions[tp] = offset + 1
            if offset < end:
                yield message
            # Compaction may have removed the last record: a later one ends the range too.
            if offset >= end - 1:
                del open_ends[tp]
    consumer.unassign()


def _raise_incomplete(
    open_ends: Mapping[TP, int], positions: Mapping[TP, int], seconds: float
) -> NoReturn:
    unread = [f"{t}-{p}: {positions[t, p]} of {open_ends[t, p]}" for t, p in sorted(open_ends)]
    suffix = (
        f" and {len(unread) - _NAMED_PARTITIONS} more" if len(unread) > _NAMED_PARTITIONS else ""
    )
    raise UserError(
        f"A topic was read in part only: the broker has sent nothing for {seconds:g} s. Expected "
        f"every record up to the end offset. Received: {', '.join(unread[:_NAMED_PARTITIONS])}"
        f"{suffix}. Look whether the brokers are well, and run the command again."
    )


def starts_since(
    consumer: Consumer,
    partitions: Mapping[str, int],
    timestamp_ms: int,
    *,
    searchable: bool = True,
) -> dict[TP, int]:
    """Return the first offset of every partition with a Kafka timestamp of `timestamp_ms` or later.

    Args:
        consumer: Consumer from `open_consumer`.
        partitions: Number of partitions of each topic.
        timestamp_ms: Milliseconds since the epoch.
        searchable: False for the embedded broker, which cannot search by time: there the answer
            is the first offset, and the caller drops older records.
    """
    starts: dict[TP, int] = {}
    for topic, count in partitions.items():
        offsets = watermarks(consumer, topic, count)
        if not searchable:
            starts.update({(topic, number): low for number, (low, _) in enumerate(offsets)})
            continue
        requests = [TopicPartition(topic, number, timestamp_ms) for number in range(count)]
        with _asking(consumer, f"the offsets of {topic!r} by time"):
            answers = consumer.offsets_for_times(requests, timeout=REQUEST_SECONDS)
        for tp in answers:
            # A negative answer: every record is older.
            first = tp.offset if tp.offset >= 0 else offsets[tp.partition][1]
            starts[topic, tp.partition] = first
    return starts


def partition_of(message: Message) -> TP:
    """Return topic and partition of a message."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None
    return topic, partition


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers of a message as text; of a repeated name the one added last."""
    pairs: Any = message.headers() or []
    return header_texts(pairs)


def header_texts(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Return headers as text, the last one of a repeated name."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}


def log_order(message: Message) -> tuple[int, str, int, int]:
    """Return a sort key: Kafka's timestamp, then topic, partition and offset."""
    return (message.timestamp()[1], *partition_of(message), message.offset() or 0)


def is_cut_off(error: KafkaError) -> bool:
    """Return True for a client's error that says that it has no connection to any broker."""
    return bool(error.code() == KafkaError._ALL_BROKERS_DOWN)


def is_partition_end(message: Message) -> bool:
    """Return True if a message only says that a partition was read to its end."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def raise_if_fatal(message: Message) -> None:
    """Raise the error of a message, unless the consumer recovers from it by itself.

    Raises:
        UserError: If reading on is pointless: no access, topic gone, a fatal error.
    """
    error = message.error()
    if error is None or error.retriable() or error.code() in _RECOVERABLE:
        return
    raise UserError(f"The broker refused to be read: {error.str()}.")
