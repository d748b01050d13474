"""Open alerts, by the trigger topics: firing triggers that no later one resolves.

Alertmanager and the bridge know no other truth. So a command that ends an episode beside the worker
writes the resolved trigger there, made of the firing one. The topic itself then says that it is
done: run again, the command finds nothing open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from stream.engine import MetaRow, alerts_of, descriptions_of
from stream.given_up import SUMMARIES
from stream.keys import key_text
from stream.settings import KafkaSection
from stream.types import TP

from . import clients, reading

Headers = list[tuple[str, str | bytes | None]]

_KEPT_HEADERS = frozenset(
    {
        *("ce_specversion", "ce_type", "ce_source", "content-type"),
        *("ember.topic", "ember.partition"),
    }
)
"""Headers of a firing trigger that its resolved one has too."""


Put = Callable[[str, int, bytes, bytes, Headers], None]
"""Writer of a record: topic, partition, key, value and headers."""


@dataclass(frozen=True)
class OpenAlert:
    """A firing trigger that is not resolved.

    Attributes:
        tp: Topic and partition of the trigger.
        offset: Its offset.
        timestamp_ms: Kafka timestamp, milliseconds since the epoch.
        key: Stream key.
        body: The trigger.
        headers: Its headers.
    """

    tp: TP
    offset: int
    timestamp_ms: int
    key: bytes
    body: dict[str, Any] = field(repr=False)
    headers: Headers = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Hash of the labels."""
        return str(self.body["fingerprint"])

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the alert."""
        labels: dict[str, str] = self.body["labels"]
        return labels

    @property
    def name(self) -> str:
        """Name of the alert."""
        return self.labels.get("alertname", "")

    def resolved(self, reason: str) -> tuple[bytes, Headers]:
        """Return body and headers of the trigger that resolves it.

        Both depend on the firing trigger alone: an unsuccessful attempt may be repeated.

        Args:
            reason: Reason, one of `stream.given_up`.
        """
        began = str(self.body.get("startsAt") or "")
        window = self.body.get("window") or {}
        ended = max(began, str(window.get("end") or began), key=_time)
        notes = {**(self.body.get("annotations") or {})}
        notes["summary"] = f"{key_text(self.key)} {SUMMARIES[reason]}"
        end = {"status": "resolved", "endsAt": ended, "annotations": notes, "reason": reason}
        body = msgspec.json.encode({**self.body, **end})
        identity = f"{dict(self.headers).get('ce_id')!r} {self.tp} {self.offset} {reason}"
        event_id = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        headers: Headers = [("ce_id", event_id), ("ce_time", ended)]
        return body, headers + [pair for pair in self.headers if pair[0] in _KEPT_HEADERS]


def open_alerts(kafka: KafkaSection, partitions: Mapping[str, int]) -> list[OpenAlert]:
    """Return the open alerts of some trigger topics, the oldest first.

    Args:
        kafka: The `[kafka]` section.
        partitions: Number of partitions of each topic.
    """
    alerts: dict[tuple[TP, str], OpenAlert] = {}
    # With `exactly_once` triggers are parts of transactions.
    consumer = clients.open_consumer(kafka, isolation__level="read_committed")
    try:
        ranges = reading.offset_ranges(consumer, partitions)
        for message in reading.read_range(consumer, ranges):
            alert = _alert(message)
            if alert is None:
                continue
            place = alert.tp, alert.fingerprint
            if alert.body.get("status") == "resolved":
                alerts.pop(place, None)
            else:
                alerts[place] = alert
    finally:
        consumer.close()
    return sorted(alerts.values(), key=lambda alert: (alert.timestamp_ms, alert.tp, alert.offset))


def _alert(message: Message) -> OpenAlert | None:
    """Return a trigger; None for a record that is none."""
    try:
        body = msgspec.json.decode(message.value() or b"")
    except msgspec.DecodeError:
        return None
    is_trigger = isinstance(body, dict) and isinstance(body.get("labels"), dict)
    if not is_trigger or not isinstance(body.get("fingerprint"), str):
        return None
    headers: Any = message.headers() or []
    return OpenAlert(
        tp=reading.partition_of(message),
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key() or b"",
        body=body,
        headers=list(headers),
    )


def of_stream(alerts: Sequence[OpenAlert], stream: str) -> list[OpenAlert]:
    """Return the alerts of one stream: several may share a trigger topic."""
    return [alert for alert in alerts if alert.labels.get("topic") == stream]


def resolve(alerts: Sequence[OpenAlert], reason: str, put: Put) -> None:
    """Write the resolved triggers of open alerts.

    Args:
        alerts: The alerts.
        reason: Reason, one of `stream.given_up`.
        put: Writer of records.
    """
    for alert in alerts:
        body, headers = alert.resolved(reason)
        # Beside the firing one: readers rely on the order within a partition.
        put(*alert.tp, alert.key, body, headers)


def not_held(
    alerts: Sequence[OpenAlert], states: Iterable[tuple[Mapping[bytes, bytes], MetaRow | None]]
) -> list[OpenAlert]:
    """Return the alerts that no row of the state holds open.

    Args:
        alerts: Open alerts of one stream.
        states: Rows and meta row of every partition of its input topic.
    """
    held = {alert for rows, meta in states for alert in _held(rows, meta)}
    return [
        alert
        for alert in alerts
        if (alert.key, alert.name, alert.labels.get("channel", "")) not in held
    ]


def _held(rows: Mapping[bytes, bytes], meta: MetaRow | None) -> Iterator[tuple[bytes, str, str]]:
    """Yield key, name and channel of the alerts that rows hold open."""
    # Rows of former models lie unchanged in the changelog until their key is used.
    layouts = {} if meta is None else descriptions_of(meta)
    for key, row in rows.items():
        alerts = alerts_of(row, layouts)
        if alerts is None:
            continue
        if alerts.episode is not None:
            yield key, "EmberFiring", ""
        if alerts.stale_since_us is not None:
            yield key, "EmberKeyStale", ""
        for channel, _ in alerts.missing:
            yield key, "EmberChannelMissing", channel
        for channel, _, _ in alerts.limits:
            yield key, "EmberLimit", channel


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # of a foreign producer
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
