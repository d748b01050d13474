"""Dead-letter topics: their records as the worker wrote them, and how far each was replayed.

The progress is kept as offsets of a consumer group of its own: dead letters before a committed
offset have been handled. The commit's metadata has, by reason, an offset further on up to which
the dead letters of that reason have been handled too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, Message, TopicPartition

from stream.kafka.runtime.dead_letters import (
    CONNECT,
    OFFSETS_HEADER,
    REASON_HEADER,
    TIMESTAMP_HEADER,
    TRUNCATED_HEADER,
)
from stream.records import Reason
from stream.settings import KafkaSection
from stream.types import TP

from . import clients, reading

REPLAYS_HEADER: Final = "ember.replays"
"""Header of a record that was a dead letter: the number of times it has been replayed."""
_REASONS: Final = frozenset(Reason)


class DeadLetter(NamedTuple):
    """A dead letter, taken apart into the record that was refused and the reason.

    Attributes:
        reason: Reason of the refusal; `unknown` for a reason that this version does not have.
        topic: Topic of the record; empty if the dead letter has none.
        partition: Partition of the record.
        key: Key of the record.
        value: Value of the record.
        headers: Headers of the record, without those of the dead letter and `REPLAYS_HEADER`.
        timestamp_ms: Timestamp of the record, milliseconds since the epoch.
        replays: Number of times the record has been replayed.
        defect: Reason why there is no whole record to replay: `cut_off`, `coordinates_only` or
            `not_a_letter`; empty if there is one.
    """

    reason: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int
    replays: int
    defect: str


def parse_dead_letter(message: Message) -> DeadLetter:
    """Take a message of a dead-letter topic apart."""
    headers: Any = message.headers() or []
    # The worker appends its headers to those of the record: they begin at the last `topic`. A
    # record that was a dead letter before has older ones among its own.
    starts = [number for number, (name, _) in enumerate(headers) if name == f"{CONNECT}topic"]
    start = starts[-1] if starts else len(headers)
    added = reading.header_texts(headers[start:])
    original = reading.header_texts(headers[:start])
    topic = added.get(f"{CONNECT}topic", "")
    reason, defect = added.get(REASON_HEADER, ""), ""
    if not topic:
        defect = "not_a_letter"
    elif OFFSETS_HEADER in added:
        defect = "coordinates_only"
    elif TRUNCATED_HEADER in added:
        defect = "cut_off"
    return DeadLetter(
        reason if reason in _REASONS else "unknown",
        topic,
        _number(added.get(f"{CONNECT}partition"), -1),
        message.key(),
        message.value(),
        [pair for pair in headers[:start] if pair[0] != REPLAYS_HEADER],
        _stamp(added.get(TIMESTAMP_HEADER), message.timestamp()[1]),
        _number(original.get(REPLAYS_HEADER), 0),
        defect,
    )


def _stamp(text: str | None, default: int) -> int:
    """Return the timestamp of the record: that of the letter, unless its topic refused it."""
    digits = (text or "").removeprefix("-")
    return int(text or 0) if digits.isdecimal() and len(digits) < 19 else default


def _number(text: str | None, default: int) -> int:
    # Headers come from anybody: a longer number is neither a partition nor a count.
    return int(text) if text and text.isdecimal() and len(text) < 10 else default


@dataclass(frozen=True)
class Selection:
    """Dead letters that a command is about.

    Attributes:
        reasons: Reasons of the refusal; empty for all.
        since_ms: Oldest timestamp of a record, milliseconds since the epoch.
    """

    reasons: Collection[str] = ()
    since_ms: int = 0

    def has_reason(self, letter: DeadLetter) -> bool:
        """Return True if the dead letter's reason is selected."""
        return not self.reasons or letter.reason in self.reasons

    def is_old(self, letter: DeadLetter) -> bool:
        """Return True if the record is older than `since_ms`; one without a timestamp never is."""
        return 0 < letter.timestamp_ms < self.since_ms


@dataclass
class Progress:
    """Progress of the replays in one partition of a dead-letter topic.

    Attributes:
        floor: Every dead letter before this offset has been handled.
        ahead: Offset by reason, where the dead letters of that reason have been handled further.
    """

    floor: int = 0
    ahead: dict[str, int] = field(default_factory=dict)

    def is_handled(self, reason: str, offset: int) -> bool:
        """Return True if a dead letter was sent, refused or skipped before."""
        return offset < max(self.floor, self.ahead.get(reason, 0))

    def advance(self, reasons: Collection[str], end: int) -> None:
        """Count the dead letters of some reasons as handled up to an offset.

        Args:
            reasons: Reasons of the refusal; empty for all.
            end: Offset after the last one handled.
        """
        if not reasons:
            self.floor = max(self.floor, end)
        for reason in reasons:
            self.ahead[reason] = max(end, self.ahead.get(reason, 0))
        self.ahead = {
            reason: offset for reason, offset in self.ahead.items() if offset > self.floor
        }

    @classmethod
    def from_commit(cls, committed: TopicPartition) -> Progress:
        """Read the progress from a committed offset and its metadata."""
        if committed.offset < 0:
            return cls()
        try:
            metadata = json.loads(committed.metadata or "{}")
            offsets = {str(name): int(offset) for name, offset in metadata.items()}
        except (ValueError, AttributeError, TypeError):
            return cls(committed.offset)  # another tool set the offset
        return cls(committed.offset, offsets)


class DeadLetterLog:
    """Dead-letter topics of a consumer group, with the progress of the replays.

    Args:
        kafka: The `[kafka]` section.
        topics: Number of partitions of each dead-letter topic.
    """

    def __init__(self, kafka: KafkaSection, topics: Mapping[str, int]) -> None:
        self._consumer: Consumer = clients.open_consumer(kafka, f"{kafka.group}-dead-letters")
        self._ranges = reading.offset_ranges(self._consumer, topics)
        requests = [TopicPartition(*tp) for tp in self._ranges]
        answers = self._consumer.committed(requests, timeout=clients.REQUEST_SECONDS)
        self.progress = {(tp.topic, tp.partition): Progress.from_commit(tp) for tp in answers}

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def read(self, tp: TP, start: int = 0) -> Iterator[tuple[Message, DeadLetter]]:
        """Yield the dead letters that a partition had when the log was opened.

        Args:
            tp: Dead-letter topic and partition.
            start: Offset to begin at.
        """
        low, high = self._ranges[tp]
        for message in reading.read_range(self._consumer, {tp: (max(low, start), high)}):
            yield message, parse_dead_letter(message)

    def commit(self, tp: TP) -> None:
        """Store the progress of a partition."""
        progress = self.progress[tp]
        metadata = json.dumps(progress.ahead, separators=(",", ":")) if progress.ahead else ""
        reading.commit(self._consumer, [TopicPartition(*tp, progress.floor, metadata)])
