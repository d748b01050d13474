"""Lookup of published events, in the output topics or in a file of `ember backtest --events`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec
from confluent_kafka import Message

from stream.errors import UserError
from stream.event_times import parse_time
from stream.keys import key_text
from stream.settings import Settings

from . import clients, reading

_KINDS = ("anomaly", "trigger")


@dataclass(frozen=True)
class PublishedEvent:
    """An event as it was published.

    Attributes:
        id: Event id (header `ce_id`).
        kind: `anomaly` or `trigger`.
        key: Stream key as text.
        raw: Body as JSON.
    """

    id: str
    kind: str
    key: str
    raw: bytes = field(repr=False)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The decoded body; empty if a foreign producer wrote something else into the topic."""
        try:
            body = msgspec.json.decode(self.raw)
        except msgspec.DecodeError:
            return {}
        return body if isinstance(body, dict) else {}

    @cached_property
    def time_us(self) -> int:
        """Event time of the row in microseconds; for a trigger, of the row that caused it."""
        window = self.body.get("window") or {}
        return parse_time(window.get("start") or self.body.get("startsAt"))

    @property
    def name(self) -> str:
        """Name of the alert."""
        return str((self.body.get("labels") or {}).get("alertname", ""))


class EventLog(Protocol):
    """Store of published events."""

    name: str

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[PublishedEvent]:
        """Yield the events with an id that begins so, or of a key; duplicates are possible."""


class FileLog:
    """Events in a file, one JSON object per line.

    Args:
        path: File that `ember backtest --events` wrote.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[PublishedEvent]:
        """Yield the events with an id that begins so, or of a key.

        Raises:
            UserError: If the file cannot be read or holds something else.
        """
        decoder = msgspec.json.Decoder(_Line)
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    try:
                        event = decoder.decode(line)
                    except msgspec.DecodeError as error:
                        raise UserError(
                            "The file holds no events. Expected lines as `ember backtest --events`"
                            f" writes them. Received: {self._path}, line {number}: {error}."
                        ) from None
                    if event.id.startswith(id_prefix) and key in (None, event.key):
                        yield PublishedEvent(event.id, event.kind, event.key, bytes(event.body))
        except OSError as error:
            raise UserError(
                f"The events cannot be read. Received: --events {self._path} ({error.strerror})."
            ) from None


class _Line(msgspec.Struct):
    id: str
    kind: str
    key: str
    body: msgspec.Raw


class TopicLog:
    """Anomalies and triggers in the output topics of the service.

    Args:
        settings: Sections `kafka`, `input` and `output`.
        topic: Input topic; None for all of the settings.
        since_ms: Oldest Kafka timestamp to read, milliseconds since the epoch; None for all.

    Raises:
        UserError: If no broker answers, or there are no such topics.
    """

    def __init__(self, settings: Settings, topic: str | None, since_ms: int | None) -> None:
        self._settings, self._since_ms = settings, since_ms
        metadata = clients.fetch_metadata(settings.kafka)
        counts = clients.partition_counts(metadata)
        inputs = [topic] if topic else settings.streams
        outputs = [settings.output.topic("anomalies", t) for t in inputs]
        outputs += [settings.output.topic("triggers", t) for t in inputs]
        self._partitions = {name: counts[name] for name in outputs if name in counts}
        self._searchable = not clients.is_embedded(metadata)
        self.name = ", ".join(self._partitions)
        if not self._partitions:
            names = ", ".join(repr(name) for name in outputs)
            raise UserError(
                f"There are no alert topics here. Expected {names} at "
                f"{settings.kafka.bootstrap_servers}. Name the input with --topic, or a file of "
                "`ember backtest --events` with --events."
            )

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[PublishedEvent]:
        """Yield the events with an id that begins so, or of a key, in no order."""
        consumer = clients.open_consumer(self._settings.kafka)
        try:
            # Topics have no index by id or key: every event is read.
            ranges = reading.offset_ranges(consumer, self._partitions)
            if self._since_ms is not None:
                starts = reading.starts_since(
                    consumer, self._partitions, self._since_ms, searchable=self._searchable
                )
                ranges = {tp: (starts[tp], end) for tp, (_, end) in ranges.items()}
            for message in reading.read_range(consumer, ranges):
                event = parse_event(message)
                if event and event.id.startswith(id_prefix) and key in (None, event.key):
                    yield event
        finally:
            consumer.close()


def parse_event(message: Message) -> PublishedEvent | None:
    """Return the event of a record of an output topic; None for a record that is none."""
    headers = reading.headers_of(message)
    parts = headers.get("ce_type", "").split(".")  # such as `dev.ember.trigger.v1`
    kind = next((part for part in parts if part in _KINDS), None)
    if kind is None or "ce_id" not in headers:
        return None
    key = key_text(message.key() or b"")
    return PublishedEvent(headers["ce_id"], kind, key, message.value() or b"")
