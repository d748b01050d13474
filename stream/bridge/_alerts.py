"""Table of firing alerts, and of those to send to Alertmanager. No Kafka, no network, no clock."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from stream.settings import AlertmanagerSection
from stream.types import TP

Outcome = Literal["firing", "resolved", "backlog", "unknown", "withheld", "invalid"]
OUTCOMES: tuple[Outcome, ...] = (
    *("firing", "resolved", "backlog"),
    *("unknown", "withheld", "invalid"),
)
"""Outcome of a trigger; `unknown` is the end or growth of an alert that was never sent."""

_LIFETIME_INTERVALS = (
    4  # an alert expires after as many intervals without a resend, as Prometheus's
)
_SHOWN_ID = 12


class _Channel(msgspec.Struct):
    name: str
    share: float = 0.0


class _Trigger(msgspec.Struct):
    """Fields of a trigger's body that an alert has too."""

    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815  # the wire's name
    annotations: dict[str, str] = {}  # msgspec copies defaults
    endsAt: datetime | None = None  # noqa: N815
    top_channels: list[_Channel] = []


class _AlertId(NamedTuple):
    """Identity of an alert: the partition of its trigger, and its labels."""

    tp: TP
    labels: tuple[tuple[str, str], ...]


class _Firing(NamedTuple):
    offset: int
    alert: dict[str, Any]
    is_sent: bool


class Alerts:
    """Alerts of all partitions that are assigned to this bridge.

    Args:
        settings: Section `alertmanager`: labels, link, limits, interval of resending.
    """

    def __init__(self, settings: AlertmanagerSection) -> None:
        self._settings = settings
        self._decode = msgspec.json.Decoder(_Trigger).decode
        self._firing: dict[_AlertId, _Firing] = {}
        self._updates: dict[_AlertId, list[_AlertId]] = {}  # of each alert, those that joined it
        self._unsent: dict[_AlertId, dict[str, Any]] = {}

    @property
    def firing(self) -> int:
        """Number of firing alerts."""
        return len(self._firing)

    @property
    def unsent(self) -> int:
        """Number of alerts to send, for the first time or again."""
        return len(self._unsent)

    def take(
        self,
        tp: TP,
        offset: int,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        *,
        is_sent: bool = False,
    ) -> Outcome:
        """Apply a trigger to the table.

        A firing trigger marked as backlog opens no alert. A resolved one always counts, backlog or
        not. An alert that resolves before it was sent is not sent at all, so that the number of
        unsent alerts is bounded.

        A trigger that grows (`updated`) is an alert of its own with the label `escalation`, the
        channel that leads it: one more label is the only change of which Alertmanager tells
        anybody. It ends with the trigger.

        Args:
            tp: Topic and partition of the trigger.
            offset: Offset of the trigger.
            headers: Headers of the trigger.
            body: Value of the trigger.
            now: Current time, the upper bound of all times sent.
            is_sent: True if Alertmanager accepted the alert before a restart.

        Returns:
            The outcome, for the metrics.
        """
        try:
            trigger = self._decode(body)
        except msgspec.DecodeError:
            return "invalid"
        alert_id = _AlertId(tp, tuple(sorted(trigger.labels.items())))
        if trigger.status == "resolved":
            for update in self._updates.pop(alert_id, ()):
                self._end(update, trigger, headers, now)
            return self._end(alert_id, trigger, headers, now)
        if "ember.backlog" in headers:
            return "backlog"
        if trigger.status == "updated":
            if alert_id not in self._firing:
                return "unknown"
            trigger.labels["escalation"] = next((c.name for c in trigger.top_channels), "")
            first, alert_id = alert_id, _AlertId(tp, tuple(sorted(trigger.labels.items())))
            self._updates.setdefault(first, []).append(alert_id)
        firing = self._firing.get(alert_id)
        if firing is None and self.firing >= self._settings.max_alerts:
            return "withheld"
        alert = self._alert(trigger, headers, now)
        was_sent = firing is not None and firing.is_sent
        self._firing[alert_id] = _Firing(offset, alert, is_sent or was_sent)
        self._unsent[alert_id] = alert
        return "firing"

    def _end(
        self, alert_id: _AlertId, trigger: _Trigger, headers: Mapping[str, str], now: datetime
    ) -> Outcome:
        """End an alert by its resolved trigger."""
        firing = self._firing.pop(alert_id, None)
        if firing is None:
            return "unknown"
        if not firing.is_sent:
            self._unsent.pop(alert_id, None)
            return "resolved"
        # Alertmanager refuses an end before the start, so that one in the future ends at once.
        ends = max(min(_aware(trigger.endsAt or now), now), min(_aware(trigger.startsAt), now))
        alert = self._alert(trigger, headers, now)
        labels = {**dict(alert_id.labels), **self._settings.labels}
        self._unsent[alert_id] = {**alert, "labels": labels, "endsAt": _text(ends)}
        return "resolved"

    def drop(self, tp: TP) -> None:
        """Drop the alerts of a partition that was revoked."""
        for table in (self._firing, self._unsent, self._updates):
            for alert_id in [alert_id for alert_id in table if alert_id.tp == tp]:
                del table[alert_id]

    def oldest(self) -> dict[TP, int]:
        """Return the offset of the oldest firing trigger, for each partition that has one."""
        offsets: dict[TP, int] = {}
        for alert_id, firing in self._firing.items():
            offsets[alert_id.tp] = min(firing.offset, offsets.get(alert_id.tp, firing.offset))
        return offsets

    def resend(self) -> None:
        """Mark all firing alerts as unsent; resolved ones that are still unsent stay."""
        self._unsent = {i: firing.alert for i, firing in self._firing.items()} | self._unsent

    def batches(self, size: int) -> Iterator[list[_AlertId]]:
        """Yield the unsent alerts in batches."""
        alert_ids = list(self._unsent)
        yield from (alert_ids[i : i + size] for i in range(0, len(alert_ids), size))

    def sent(self, alert_ids: Sequence[_AlertId]) -> None:
        """Mark alerts as sent: Alertmanager has accepted them, or refuses them for good."""
        for alert_id in alert_ids:
            self._unsent.pop(alert_id, None)
            if alert_id in self._firing:
                self._firing[alert_id] = self._firing[alert_id]._replace(is_sent=True)

    def payload(self, alert_ids: Sequence[_AlertId], now: datetime) -> list[dict[str, Any]]:
        """Return unsent alerts as the API takes them.

        Args:
            alert_ids: Alerts to send.
            now: Current time.

        Returns:
            The alerts; the end of a firing one is in the future, until it is sent again.
        """
        expiry = now + timedelta(seconds=_LIFETIME_INTERVALS * self._settings.resend_seconds)
        return [{"endsAt": _text(expiry), **self._unsent[alert_id]} for alert_id in alert_ids]

    def _alert(
        self, trigger: _Trigger, headers: Mapping[str, str], now: datetime
    ) -> dict[str, Any]:
        notes = dict(trigger.annotations)
        if trigger.top_channels:
            notes["channels"] = ", ".join(f"{c.name} {c.share:.0%}" for c in trigger.top_channels)
        if headers.get("ce_id"):
            notes["explain"] = f"ember explain {headers['ce_id'][:_SHOWN_ID]}"
        # The settings' labels win: routes depend on them.
        alert: dict[str, Any] = {
            "labels": {**trigger.labels, **self._settings.labels},
            "annotations": notes,
            # A producer's clock may be ahead of ours.
            "startsAt": _text(min(_aware(trigger.startsAt), now)),
        }
        if self._settings.link:
            alert["generatorURL"] = self._link(trigger.labels)
        return alert

    def _link(self, labels: Mapping[str, str]) -> str:
        link = self._settings.link
        for name in ("key", "topic", "alertname"):
            link = link.replace(f"{{{name}}}", urllib.parse.quote(labels.get(name, ""), safe=""))
        return link


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
