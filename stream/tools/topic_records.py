"""Records of topics from a time on, up to their present ends or to an earlier time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from stream.errors import UserError
from stream.settings import KafkaSection
from stream.types import TP

from . import clients, reading
from .log_record import LogRecord, as_log_record
from .topic_names import likely_topics


class Period(NamedTuple):
    """Kafka timestamps between which records are read.

    A partition is read from its first record of `since_ms` or later to before its first one of
    `until_ms` or later, so that no record between these is left out.

    Attributes:
        since_ms: Milliseconds since the epoch; None: from the oldest that Kafka keeps.
        until_ms: Milliseconds since the epoch; None: to the present end.
    """

    since_ms: int | None = None
    until_ms: int | None = None


class TopicRecords:
    """Records of topics, read by all their partitions at once and without a consumer group.

    Args:
        kafka: The `[kafka]` section.
        topics: Names of the topics.
        period: Time of the records.

    Raises:
        UserError: If no broker answers, or there is no such topic.
    """

    def __init__(self, kafka: KafkaSection, topics: Sequence[str], period: Period) -> None:
        self._kafka = kafka
        self._period = period
        metadata = clients.fetch_metadata(kafka)
        self._searchable = not clients.is_embedded(metadata)
        counts = clients.partition_counts(metadata)
        consumer = clients.open_consumer(kafka)
        try:
            for topic in topics:
                if topic not in counts:
                    _refuse_topic(kafka, topic, counts)
            partitions = {topic: counts[topic] for topic in topics}
            ranges = reading.offset_ranges(consumer, partitions)
            starts = {tp: low for tp, (low, _) in ranges.items()}
            ends = {tp: high for tp, (_, high) in ranges.items()}
            if self._searchable and period.since_ms is not None:
                starts |= reading.starts_since(consumer, partitions, period.since_ms)
            if self._searchable and period.until_ms is not None:
                ends |= reading.starts_since(consumer, partitions, period.until_ms)
        finally:
            consumer.close()
        # An end that was found by time may lie behind the end that was there before.
        self._ranges = {
            tp: (max(low, starts[tp]), min(high, ends[tp])) for tp, (low, high) in ranges.items()
        }
        self.total = sum(max(0, end - start) for start, end in self._ranges.values())
        """Offsets to read; compaction and transactions leave fewer records."""

    def __iter__(self) -> Iterator[LogRecord]:
        consumer = clients.open_consumer(self._kafka)
        try:
            messages = reading.read_range(consumer, self._ranges)
            for message in messages if self._searchable else self._chosen(messages):
                yield as_log_record(message)
        finally:
            consumer.close()

    def _chosen(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Choose by time what the embedded broker, which cannot search by it, has given."""
        since_ms, until_ms = self._period
        begun_tps: set[TP] = set()
        ended: set[TP] = set()
        for message in messages:
            tp, timestamp = reading.partition_of(message), message.timestamp()[1]
            if since_ms is None or timestamp >= since_ms:
                begun_tps.add(tp)
            if until_ms is not None and timestamp >= until_ms:
                ended.add(tp)
            if tp in begun_tps and tp not in ended:
                yield message


def _refuse_topic(kafka: KafkaSection, topic: str, counts: Mapping[str, int]) -> None:
    """Raise the error of a topic that the cluster does not list.

    Raises:
        UserError: Always: it does not exist, or may not be seen.
    """
    consumer = clients.open_consumer(kafka)  # unlike a producer, it makes no topic by asking
    try:
        status = consumer.list_topics(topic, timeout=clients.REQUEST_SECONDS).topics.get(topic)
    finally:
        consumer.close()
    error = None if status is None else status.error
    if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        user = kafka.sasl_username or "this client"
        raise UserError(
            f"The topic {topic!r} may not be read. Expected the right to DESCRIBE and READ it. "
            f"Received: {error.str()} for {user}. `ember topics plan` prints the ACLs."
        )
    raise UserError(
        f"There is no topic {topic!r}. Expected one of: {likely_topics(counts, topic)}. "
        f"Received: kafka:{topic}."
    )
