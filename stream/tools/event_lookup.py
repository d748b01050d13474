"""Published events, from the alert topics or from a file of `ember backtest --events`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec
from confluent_kafka import Message

from stream.errors import UserError
from stream.records import text_of
from stream.settings import Settings

from . import clients

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = ("anomaly", "trigger")


@dataclass(frozen=True)
class Found:
    """An event as it was published.

    Attributes:
        id: Its `ce_id`.
        kind: `anomaly` or `trigger`.
        key: The stream key as text.
        raw: Body, JSON.
    """

    id: str
    kind: str
    key: str
    raw: bytes = field(repr=False)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body; empty where somebody else wrote something else into the topic."""
        try:
            body = msgspec.json.decode(self.raw)
        except msgspec.DecodeError:
            return {}
        return body if isinstance(body, dict) else {}

    @cached_property
    def time_us(self) -> int:
        """Event time of its row, microseconds; of a trigger the row that moved the neuron."""
        window = self.body.get("window") or {}
        return moment(window.get("start") or self.body.get("startsAt"))

    @property
    def name(self) -> str:
        """Its alert name."""
        return str((self.body.get("labels") or {}).get("alertname", ""))


class EventLog(Protocol):
    """Where events are looked up."""

    where: str

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[Found]:
        """Events whose id begins so and whose key is this one; duplicates are possible."""


class FileLog:
    """The events of a file, one JSON object per line.

    Args:
        path: As `ember backtest --events` writes it.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[Found]:
        """Events whose id begins so and whose key is this one.

        Raises:
            UserError: If the file cannot be read or holds something else.
        """
        line = msgspec.json.Decoder(_Line)
        try:
            with self._path.open("rb") as file:
                for number, text in enumerate(file, 1):
                    try:
                        event = line.decode(text)
                    except msgspec.DecodeError as error:
                        raise UserError(
                            "The file holds no events. Expected lines as `ember backtest --events`"
                            f" writes them. Received: {self._path}, line {number}: {error}."
                        ) from None
                    if event.id.startswith(id_prefix) and key in (None, event.key):
                        yield Found(event.id, event.kind, event.key, bytes(event.body))
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
    """The anomalies and triggers of the service's topics.

    Args:
        settings: Cluster, input topics and the names of the outputs.
        topic: Input topic in place of those of the settings.
        since_ms: Nothing written before this, milliseconds.

    Raises:
        UserError: If no broker answers, or there are no such topics.
    """

    def __init__(self, settings: Settings, topic: str | None, since_ms: int | None) -> None:
        self._settings, self._since = settings, since_ms
        metadata = clients.fetch_metadata(settings.kafka)
        counts = clients.partition_counts(metadata)
        inputs = [topic] if topic else settings.input.topics
        wanted = [settings.output.topic("anomalies", t) for t in inputs]
        wanted += [settings.output.topic("triggers", t) for t in inputs]
        self._partitions = {name: counts[name] for name in wanted if name in counts}
        self._searchable = not clients.is_embedded(metadata)
        self.where = ", ".join(self._partitions)
        if not self._partitions:
            names = ", ".join(repr(name) for name in wanted)
            raise UserError(
                f"There are no alert topics here. Expected {names} at "
                f"{settings.kafka.bootstrap_servers}. Name the input with --topic, or a file of "
                "`ember backtest --events` with --events."
            )

    def scan(self, *, id_prefix: str = "", key: str | None = None) -> Iterator[Found]:
        """Events whose id begins so and whose key is this one, in no order."""
        consumer = clients.open_consumer(self._settings.kafka)
        try:
            spans = {
                (topic, at): span
                for topic, number in self._partitions.items()
                for at, span in enumerate(clients.watermarks(consumer, topic, number))
            }
            if self._since is not None:
                firsts = clients.starts_since(
                    consumer, self._partitions, self._since, searchable=self._searchable
                )
                spans = {at: (firsts[at], end) for at, (_, end) in spans.items()}
            for message in clients.read_range(consumer, spans):
                event = _published(message)
                if event and event.id.startswith(id_prefix) and key in (None, event.key):
                    yield event
        finally:
            consumer.close()


def _published(message: Message) -> Found | None:
    headers = clients.headers_of(message)
    parts = headers.get("ce_type", "").split(".")
    kind = next((part for part in parts if part in _KINDS), None)
    if kind is None or "ce_id" not in headers:
        return None
    key = text_of(message.key() or b"")
    return Found(headers["ce_id"], kind, key, message.value() or b"")


def moment(text: Any) -> int:
    """Microseconds of an RFC 3339 time; 0 for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return 0
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (time - _EPOCH) // timedelta(microseconds=1)
