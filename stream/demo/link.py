"""The demo's wires to Kafka: the fleet's records out, alarms in, and how far the worker is."""

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
from stream.records import TopChannel
from stream.settings import KafkaSection
from stream.tools import clients, reading

from .fleet import CHANNELS
from .judge import NAMED, Alarm
from .stage import Rows

TOPIC = "telemetry"
PARTITIONS = 8
MAX_BEHIND = 24_000  # records the worker may be behind: the broker forgets the oldest
_LAG_EVERY_SECONDS = 0.15


class _Trigger(msgspec.Struct):
    """What the demo reads of a trigger or an anomaly."""

    status: str
    startsAt: str  # noqa: N815  # the wire's name
    severity: float = 0.0
    reason: str = ""
    top_channels: list[TopChannel] = []  # msgspec copies defaults


@dataclass(slots=True)
class Heard:
    """What came in so far.

    Attributes:
        alarms: episodes that began, each once.
        triggers: triggers, resolved ones included.
        anomalies: anomalies.
        state: what each key last said: `firing`, `stale`, or nothing when all is well.
        severity: event time and severity of each key's latest anomalies.
    """

    alarms: list[Alarm] = field(default_factory=list)
    triggers: int = 0
    anomalies: int = 0
    state: dict[str, str] = field(default_factory=dict)
    severity: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


class Link:
    """Connection to the embedded broker.

    Args:
        bootstrap: its address.
        group: the worker's consumer group.
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
        self.heard = Heard()
        self.sent = 0
        self.done = 0

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

    def behind(self) -> int:
        """Return how many records the worker has not yet made durable; asks now and then."""
        now = time.monotonic()
        if now - self._asked >= _LAG_EVERY_SECONDS:
            self._asked = now
            marks = reading.committed(self._group, TOPIC, PARTITIONS)
            self.done = sum(mark or 0 for mark in marks)
        return self.sent - self.done

    def listen(self, now: float, seconds: float = 0.0) -> int:
        """Take in what the worker has said.

        Args:
            now: on the demo's clock, kept with each alarm.
            seconds: wait so long for something.

        Returns:
            How many messages came.
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
        identity, body = _identity(message), message.value()
        if identity in self._seen or body is None:
            return
        self._seen.add(identity)
        key = (message.key() or b"").decode(errors="replace")
        said = self._decode(body)
        if str(message.topic()).endswith(".anomalies"):
            self.heard.anomalies += 1
            recent = self.heard.severity.setdefault(key, [])
            recent.append((_micros(said.startsAt), said.severity))
            del recent[:-64]
            return
        self.heard.triggers += 1
        if said.status != "firing":
            self.heard.state.pop(key, None)
            return
        stale = said.reason == "stale"
        self.heard.state[key] = "stale" if stale else "firing"
        if said.reason == "returned":  # the episode is known
            return
        self.heard.alarms.append(
            Alarm(
                key=key,
                time_us=_micros(said.startsAt),
                top=tuple(channel.name for channel in said.top_channels),
                stale=stale,
                why="silent" if stale else _why(said.top_channels),
                last_heartbeat=now,
            )
        )

    def close(self) -> None:
        """Leave; what is still on its way is lost."""
        self._producer.purge()
        self._events.close()
        self._group.close()


def _identity(message: Message) -> object:
    """The id by which a duplicate is recognised."""
    headers: Any = message.headers() or ()
    return dict(headers).get("ce_id")


def _micros(rfc3339: str) -> int:
    """Microseconds since the epoch."""
    return round(datetime.fromisoformat(rfc3339).timestamp() * 1e6)


def _why(channels: list[TopChannel]) -> str:
    """The first channels, with what was observed and expected."""
    return ", ".join(
        f"{c.name} {_short(c.value)} (expected {_short(c.expected)})" for c in channels[:NAMED]
    )


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
