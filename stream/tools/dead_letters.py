"""Dead letters for the tools of an operator, and how far they have been sent once more.

That is kept as the offsets of a group of its own. Letters before a committed offset are done; its
metadata has the offset of every reason that is done further than that.
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
    TRUNCATED_HEADER,
)
from stream.records import Reason
from stream.settings import KafkaSection

from . import clients

REPLAYS_HEADER: Final = "ember.replays"
"""On a record that was a dead letter: how often it has been sent once more."""
_REASONS: Final = frozenset(Reason)


class DeadLetter(NamedTuple):
    """A dead letter, and the record it was.

    Attributes:
        reason: Why the record was refused; `unknown` where that is none of ours.
        topic: Where it came from; empty where the letter does not say.
        partition: Of that topic.
        key: The record's own, as the three that follow.
        value: Its bytes.
        headers: Its headers, without the letter's and without `REPLAYS_HEADER`.
        timestamp_ms: Milliseconds since the epoch.
        replays: How often it has been sent once more.
        lacks: Why there is no record to send: `cut_off`, `coordinates_only`, `not_a_letter`; or "".
    """

    reason: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int
    replays: int
    lacks: str


def letter_of(message: Message) -> DeadLetter:
    """Take a message of a dead-letter topic apart."""
    headers: Any = message.headers() or []
    # The letter's own headers stand behind the record's: from the last topic on.
    starts = [at for at, (name, _) in enumerate(headers) if name == f"{CONNECT}topic"]
    begin = starts[-1] if starts else len(headers)
    ours = clients.as_text(headers[begin:])
    theirs = clients.as_text(headers[:begin])
    topic = ours.get(f"{CONNECT}topic", "")
    reason, lacks = ours.get(REASON_HEADER, ""), ""
    if not topic:
        lacks = "not_a_letter"
    elif OFFSETS_HEADER in ours:
        lacks = "coordinates_only"
    elif TRUNCATED_HEADER in ours:
        lacks = "cut_off"
    return DeadLetter(
        reason if reason in _REASONS else "unknown",
        topic,
        _number(ours.get(f"{CONNECT}partition"), -1),
        message.key(),
        message.value(),
        [pair for pair in headers[:begin] if pair[0] != REPLAYS_HEADER],
        message.timestamp()[1],
        _number(theirs.get(REPLAYS_HEADER), 0),
        lacks,
    )


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else otherwise


@dataclass(frozen=True)
class Choice:
    """Which letters are meant.

    Attributes:
        reasons: Of these; none: of all.
        since_ms: Of records that are not older, milliseconds since the epoch.
    """

    reasons: Collection[str] = ()
    since_ms: int = 0

    def of_reason(self, letter: DeadLetter) -> bool:
        """Whether the reason is one of those."""
        return not self.reasons or letter.reason in self.reasons


@dataclass
class Progress:
    """How far a partition of dead letters is done.

    Attributes:
        floor: Every letter before it is.
        ahead: By reason, if that is further.
    """

    floor: int = 0
    ahead: dict[str, int] = field(default_factory=dict)

    def done(self, reason: str, offset: int) -> bool:
        """Whether a letter is done."""
        return offset < max(self.floor, self.ahead.get(reason, 0))

    def move(self, reasons: Collection[str], end: int) -> None:
        """Letters of some reasons, or of all, are done up to an offset."""
        if not reasons:
            self.floor = max(self.floor, end)
        for reason in reasons:
            self.ahead[reason] = max(end, self.ahead.get(reason, 0))
        self.ahead = {reason: at for reason, at in self.ahead.items() if at > self.floor}

    @classmethod
    def of(cls, committed: TopicPartition) -> Progress:
        """As it was committed."""
        if committed.offset < 0:
            return cls()
        try:
            ahead = json.loads(committed.metadata or "{}")
            return cls(committed.offset, {str(name): int(at) for name, at in ahead.items()})
        except (ValueError, AttributeError, TypeError):
            return cls(committed.offset)  # set by another tool


class DeadLetterLog:
    """The dead-letter topics of a group, and how far each is done.

    Args:
        kafka: The cluster and the group.
        topics: Dead-letter topic -> number of partitions.
    """

    def __init__(self, kafka: KafkaSection, topics: Mapping[str, int]) -> None:
        self._consumer: Consumer = clients.open_consumer(kafka, f"{kafka.group}-dead-letters")
        self.spans = {
            (topic, at): span
            for topic, number in topics.items()
            for at, span in enumerate(clients.watermarks(self._consumer, topic, number))
        }
        asked = [TopicPartition(*at) for at in self.spans]
        answered = self._consumer.committed(asked, timeout=clients.REQUEST_SECONDS)
        self.progress = {(at.topic, at.partition): Progress.of(at) for at in answered}

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def read(self, at: tuple[str, int], begin: int = 0) -> Iterator[tuple[Message, DeadLetter]]:
        """The letters of a partition that were there when the log was opened."""
        low, high = self.spans[at]
        for message in clients.read_range(self._consumer, {at: (max(low, begin), high)}):
            yield message, letter_of(message)

    def commit(self, at: tuple[str, int]) -> None:
        """Keep how far a partition is done."""
        done = self.progress[at]
        metadata = json.dumps(done.ahead, separators=(",", ":")) if done.ahead else ""
        entry = TopicPartition(*at, done.floor, metadata)
        clients.commit(self._consumer, [entry])
