"""Records of output topics, read whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from stream.keys import key_text

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message


class Event(NamedTuple):
    """A record of an output topic.

    Attributes:
        key: Stream key as text.
        headers: Headers as text.
        body: Body; decoded JSON for anomalies and triggers, the refused bytes for dead letters.
    """

    key: str
    headers: dict[str, str]
    body: Any


def open_consumer(bootstrap: str, group: str) -> Consumer:
    """Open a consumer that commits nothing.

    Args:
        bootstrap: Addresses of the brokers.
        group: Consumer group whose offsets it asks for.
    """
    from confluent_kafka import Consumer

    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )


def read_events(
    bootstrap: str, partitions: Sequence[tuple[str, int]], *, decode: bool
) -> list[Event]:
    """Read some partitions from their beginning to their end.

    Args:
        bootstrap: Addresses of the brokers.
        partitions: Topics and partitions.
        decode: Decode the bodies as JSON.

    Returns:
        The records in the order of `partitions`.
    """
    from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

    consumer = open_consumer(bootstrap, "ember-test-reader")
    # Assigned, not subscribed: no group is joined, and each call reads everything again.
    consumer.assign([TopicPartition(*tp, OFFSET_BEGINNING) for tp in partitions])
    events: dict[tuple[str, int], list[Event]] = {tp: [] for tp in partitions}
    unread = set(partitions)
    try:
        while unread:
            for message in consumer.consume(1_000, timeout=1.0):
                tp, error = (str(message.topic()), message.partition() or 0), message.error()
                if error is None:
                    events[tp].append(_event(message, decode=decode))
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    unread.discard(tp)
    finally:
        consumer.close()
    return [event for tp in partitions for event in events[tp]]


def _event(message: Message, *, decode: bool) -> Event:
    headers: Any = message.headers() or ()
    body = message.value() or b""
    return Event(
        key_text(message.key() or b""),
        {name: (value or b"").decode("utf-8", "replace") for name, value in headers},
        json.loads(body) if decode else body,
    )
