"""Names and headers of re-keying: the topic of re-keyed records, and where each came from.

A leaf, as `stream.records`: settings, codecs and Kafka edge share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from stream.records import SourcePosition
from stream.types import TP

SOURCE_HEADER = "ember.source"
"""Header of a re-keyed record: `topic:partition:offset:number` of the record it was made of."""

SEQUENCE_HEADER = "ember.sequence"
"""Header of a re-keyed record that was written without a transaction, and may be there twice: name
of the source partition, with Kafka's id of the topic where it has one."""


def rekey_topic(group: str) -> str:
    """Return the topic of re-keyed records of a consumer group."""
    return f"{group}-rekey"


def rekey_group(group: str) -> str:
    """Return the consumer group that reads the input topics to re-key them."""
    return f"{group}-rekey"


class Source(NamedTuple):
    """Place of the record that a re-keyed one was made of.

    Attributes:
        topic: Input topic.
        partition: Its partition.
        offset: Offset of the message.
        number: Number of the re-keyed record among those of this message.
    """

    topic: str
    partition: int
    offset: int
    number: int = 0

    def prefix(self) -> bytes:
        """Return a format of offset and number, for the headers of one partition."""
        return b"%s:%d:%%d:%%d" % (self.topic.encode(), self.partition)

    def encode(self) -> bytes:
        """Return the value of the header."""
        return self.prefix() % (self.offset, self.number)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Inverse of `encode`; a topic's name has no colon.

        Raises:
            ValueError: If the value is no such header.
        """
        topic, partition, offset, number = value.decode("ascii").split(":")
        return cls(topic, int(partition), int(offset), int(number))

    @property
    def tp(self) -> TP:
        """Topic and partition."""
        return self.topic, self.partition


def source_of(headers: Sequence[tuple[str, bytes]]) -> Source | None:
    """Return the source of a record; None where it was not re-keyed."""
    for name, value in headers:
        if name == SOURCE_HEADER:
            try:
                return Source.decode(value)
            except ValueError:
                return None
    return None


def position_of(headers: Sequence[tuple[str, bytes]]) -> SourcePosition | None:
    """Return the place by which a duplicate is known; None where there can be none."""
    sequence = next((value for name, value in headers if name == SEQUENCE_HEADER), None)
    source = None if sequence is None else source_of(headers)
    if sequence is None or source is None:
        return None
    return SourcePosition(sequence.decode("utf-8", "replace"), source.offset, source.number)
