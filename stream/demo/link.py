"""Connection of the demo to Kafka: records out, events in, and the worker's lag."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from stream.errors import UserError
from stream.keys import key_text
from stream.records import TopChannel
from stream.settings import KafkaSection
from stream.tools import clients, reading

from .evaluation import NAMED, Alarm
from .fleet import CHANNELS
from .scenario import Rows

TOPIC = "telemetry"
PARTITIONS = 8
MAX_LAG = 24_000  # the embedded broker drops the oldest records beyond its buffer
_LAG_EVERY_SECONDS = 0.15


class _Trigger(msgspec.Struct):
    """Fields of a trigger or an anomaly that the demo reads."""

    status: str
    startsAt: str  # noqa: N815  # the name in the JSON
    severity: float = 0.0
    reason: str = ""
    top_channels: list[TopChannel] = []  # msgspec copies defaults


@dataclass(slots=True)
class Received:
    """Events received so far.

    Attributes:
        alarms: Episodes that started, each once.
        triggers: Number of triggers, resolved ones included.
        anomalies: Number of anomalies.
        state: Keys in trouble, `firing` or `stale`.
        severity: Event time and severity of each key's latest anomalies.
    """

    alarms: list[Alarm] = field(default_factory=list)
    triggers: int = 0
    anomalies: int = 0
    state: dict[str, str] = field(default_factory=dict)
    severity: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


class Link:
    """Connection to the embedded broker.

    Args:
        bootstrap: Address of the broker.
        group: Consumer group of the worker.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        kafka = KafkaSection(bootstrap_servers=bootstrap, group=group)
        self._producer = clients.open_producer(kafka)
        self._events = clients.open_consumer(kafka, f"{group}-demo")
        self._events.assign(
            [
                TopicPartition(f"{TOPIC}.{kind}", partition, 0)
                for kind in ("triggers", "anomalies")
                for partition in range(PARTITIONS)
            ]
        )
        self._group = clients.open_consumer(kafka, group)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Trigger).decode
        self._seen: set[object] = set()
        self._partition: dict[str, int] = {}
        self._refused: list[str] = []
        self._asked = 0.0
        self.received = Received()
        self.sent = 0
        self.processed = 0

    def send(self, names: tuple[str, ...], rows: Rows) -> None:
        """Send the fleet's records, row by row."""
        for time_us, values, sent in zip(
            rows.time_us.tolist(), rows.values.tolist(), rows.sent.tolist(), strict=True
        ):
            for name, channels, is_sent in zip(names, values, sent, strict=True):
                if is_sent:
                    self.send_one(name, time_us, dict(zip(CHANNELS, channels, strict=True)))
        self._producer.poll(0)
        if self._refused:
            raise UserError(f"The embedded broker refused a record: {self._refused[0]}.")

    def send_one(self, key: str, time_us: int, values: Mapping[str, float]) -> None:
        """Send one record."""
        partition = self._partition.get(key)
        if partition is None:
            partition = self._partition[key] = zlib.crc32(key.encode()) % PARTITIONS
        value = self._encode({"ts": time_us, "values": values})
        clients.put(
            self._producer,
            TOPIC,
            value=value,
            key=key,
            partition=partition,
            on_delivery=self._delivered,
        )
        self.sent += 1

    def _delivered(self, error: object, _message: Message) -> None:
        if error is not None:
            self._refused.append(str(error))

    def lag(self) -> int:
        """Return the number of records without a durable checkpoint; refreshed at intervals."""
        now = time.monotonic()
        if now - self._asked >= _LAG_EVERY_SECONDS:
            self._asked = now
            marks = reading.committed(self._group, TOPIC, PARTITIONS)
            self.processed = sum(mark or 0 for mark in marks)
        return self.sent - self.processed

    def listen(self, now: float, seconds: float = 0.0) -> int:
        """Receive the worker's events.

        Args:
            now: Time of the demo's clock, kept with each alarm.
            seconds: Longest time to wait for a message.

        Returns:
            Number of messages received.
        """
        count = 0
        for message in self._events.consume(1_000, timeout=seconds):
            if message.error() is None:
                self._take(message, now)
                count += 1
            else:
                reading.raise_if_fatal(message)
        return count

    def _take(self, message: Message, now: float) -> None:
        identity, raw = _identity(message), message.value()
        if identity in self._seen or raw is None:
            return
        self._seen.add(identity)
        key = key_text(message.key() or b"")
        body = self._decode(raw)
        if str(message.topic()).endswith(".anomalies"):
            self.received.anomalies += 1
            recent = self.received.severity.setdefault(key, [])
            recent.append((_micros(body.startsAt), body.severity))
            del recent[:-64]
            return
        if body.reason in ("channel_missing", "channel_returned", "limit", "within_limit"):
            return  # no fault of the demo, and no state of the whole key
        self.received.triggers += 1
        if body.status == "updated":
            return  # the episode goes on
        if body.status != "firing":
            self.received.state.pop(key, None)
            return
        stale = body.reason == "stale"
        self.received.state[key] = "stale" if stale else "firing"
        if body.reason == "returned":  # the episode that the silence interrupted continues
            return
        self.received.alarms.append(
            Alarm(
                key=key,
                time_us=_micros(body.startsAt),
                top=tuple(channel.name for channel in body.top_channels),
                stale=stale,
                explanation="silent" if stale else _explanation(body.top_channels),
                received_at=now,
            )
        )

    def close(self) -> None:
        """Close the clients; records not yet delivered are lost."""
        self._producer.purge()
        self._events.close()
        self._group.close()


def _identity(message: Message) -> object:
    """Return the id by which duplicates are recognised."""
    headers: Any = message.headers() or ()
    return dict(headers).get("ce_id")


def _micros(rfc3339: str) -> int:
    """Convert a time to microseconds since the epoch."""
    return round(datetime.fromisoformat(rfc3339).timestamp() * 1e6)


def _explanation(channels: list[TopChannel]) -> str:
    """Describe the first channels, with observed and expected values."""
    return ", ".join(
        f"{c.name} {_short(c.value)} (expected {_short(c.expected)})" for c in channels[:NAMED]
    )


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
