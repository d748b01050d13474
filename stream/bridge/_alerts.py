"""Table of the alerts of a bridge. No Kafka, no network, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from stream.records import fingerprint
from stream.types import TP

Outcome = Literal["firing", "resolved", "backlog", "unknown", "withheld", "digest", "invalid"]
OUTCOMES: tuple[Outcome, ...] = (
    *("firing", "resolved", "backlog"),
    *("unknown", "withheld", "digest", "invalid"),
)
"""Outcome of a trigger; `unknown` is the end or growth of an alert that was never sent."""

_SHOWN_ID = 12
_MAX_ESCALATIONS = 32


class _Channel(msgspec.Struct):
    name: str
    share: float = 0.0


class _Member(msgspec.Struct):
    key: str


class _Trigger(msgspec.Struct):
    """Fields of the body of a trigger or an incident that an alert has too."""

    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815  # the wire's name
    annotations: dict[str, str] = {}  # msgspec copies defaults
    endsAt: datetime | None = None  # noqa: N815
    top_channels: list[_Channel] = []
    reason: str = ""
    severity: float | None = None
    severity_class: str = ""
    page: bool = True
    members: list[_Member] = []
    member_count: int = 0


class AlertId(NamedTuple):
    """Identity of an alert: the partition of its trigger, and its labels."""

    tp: TP
    labels: tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class Alert:
    """An alert that fires, or that has ended and was not sent since.

    Attributes:
        id: Identity.
        offset: Offset of the firing trigger.
        starts: Begin, not after the time it was read.
        ends: End; None while it fires.
        labels: Labels of the trigger.
        annotations: Annotations of the trigger, with channels and the command that explains it.
        reason: Cause of the newest trigger.
        severity: Severity of the newest trigger.
        severity_class: Class of an incident; empty for a trigger.
        escalations: Leading channels of `updated` triggers; of an incident, its higher classes.
        is_sent: True if the receiver has accepted it while it fired.
        unsent: Offset of the first trigger that the receiver has not accepted; None: it has all.
        keys: Its key, or the listed ones of an incident.
        is_listed: False for an incident with more keys than are listed.
        channel: Channel of the alert, or its leading one.
        names: Ids of its events, and of its incident.
        is_held: True while a silence is for it.
        acknowledged: Name of the person at work on it, and since when; empty: nobody is.
        told_escalations: Number of the escalations that the receiver has accepted.
    """

    id: AlertId
    offset: int
    starts: datetime
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    ends: datetime | None = None
    reason: str = ""
    severity: float = 0.0
    severity_class: str = ""
    escalations: list[str] = field(default_factory=list)
    is_sent: bool = False
    unsent: int | None = None
    keys: tuple[str, ...] = ()
    is_listed: bool = True
    channel: str = ""
    names: list[str] = field(default_factory=list)
    is_held: bool = False
    acknowledged: str = ""
    told_escalations: int = 0

    @property
    def fingerprint(self) -> str:
        """Hash of the labels, the same for begin and end."""
        return fingerprint(self.labels)

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """`firing` until the end."""
        return "firing" if self.ends is None else "resolved"


class AlertTable:
    """Alerts of all partitions that are assigned to a bridge.

    Args:
        max_alerts: Most alerts that may fire at a time.
        keeps_short: Keep an alert that begins and ends before it was sent, for a digest. Other
            receivers would only wake somebody for an alert of the past.
        takes_digest: Keep incidents that the budget of pages leaves to a digest.
    """

    def __init__(
        self, max_alerts: int, *, keeps_short: bool = False, takes_digest: bool = False
    ) -> None:
        self._max_alerts = max_alerts
        self._keeps_short = keeps_short
        self._takes_digest = takes_digest
        self._decode = msgspec.json.Decoder(_Trigger).decode
        self._alerts: dict[AlertId, Alert] = {}
        self._short: list[Alert] = []  # ended before they were sent, in the place of a new one
        self._unsent: dict[Alert, None] = {}  # in order of their triggers

    def __iter__(self) -> Iterator[Alert]:
        """Iterate over the alerts that fire or whose end is unsent, but for silenced new ones."""
        return (alert for alert in self._all() if alert.is_sent or not alert.is_held)

    def _all(self) -> Iterator[Alert]:
        yield from self._alerts.values()
        yield from self._short

    @property
    def firing(self) -> int:
        """Number of firing alerts."""
        return sum(alert.ends is None for alert in self._alerts.values())

    @property
    def silenced(self) -> int:
        """Number of firing alerts that a silence is for."""
        return sum(alert.is_held for alert in self._alerts.values())

    @property
    def unsent(self) -> Collection[Alert]:
        """Alerts with something to send, the oldest first: nothing of silenced ones."""
        return {alert: None for alert in self._unsent if not alert.is_held}.keys()

    @property
    def unaccepted(self) -> Collection[Alert]:
        """Alerts with something that the receiver has not accepted, silenced ones too."""
        return self._unsent.keys()

    def hold(
        self,
        is_silenced: Callable[..., bool],
        acknowledgement: Callable[[Alert], str],
        now: datetime,
        *,
        repeats: bool,
    ) -> None:
        """Follow silences and acknowledgements.

        Args:
            is_silenced: Function that says whether an alert is silenced at a time.
            acknowledgement: Function that returns who works on an alert, or nothing.
            now: Current time.
            repeats: Send news of an acknowledged alert all the same.
        """
        for alert in list(self._all()):
            alert.acknowledged = acknowledgement(alert)
            alert.is_held = alert.ends is None and is_silenced(alert, now)
            if alert.ends is not None and not alert.is_sent:
                if is_silenced(alert, alert.ends, by=alert.ends):
                    self._remove(alert)  # it came and went in silence
            elif alert.ends is None and alert.is_sent and alert.acknowledged and not repeats:
                self.sent(alert)

    def take(
        self,
        tp: TP,
        offset: int,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        *,
        is_sent: bool = False,
        is_past: bool = False,
    ) -> Outcome:
        """Apply a trigger to the table.

        A firing trigger marked as backlog opens no alert. A resolved one always counts, backlog or
        not. An alert that resolves before it was sent is dropped, so that the number of unsent
        alerts is bounded.

        Args:
            tp: Topic and partition of the trigger.
            offset: Offset of the trigger.
            headers: Headers of the trigger.
            body: Value of the trigger.
            now: Current time, the upper bound of the begin.
            is_sent: True if the receiver accepted the trigger before a restart.
            is_past: True if it is older than the bridge: an alert that has ended is no news.

        Returns:
            The outcome, for the metrics.
        """
        try:
            trigger = self._decode(body)
        except msgspec.DecodeError:
            return "invalid"
        alert_id = AlertId(tp, tuple(sorted(trigger.labels.items())))
        alert = self._alerts.get(alert_id)
        if trigger.status == "resolved":
            if alert is None or alert.ends is not None:
                return "unknown"
            keeps_short = self._keeps_short and not is_past
            return self._end(alert, trigger, offset, now, is_sent=is_sent, keeps_short=keeps_short)
        if "ember.backlog" in headers:
            return "backlog"
        if not trigger.page and not self._takes_digest:
            return "digest"
        if trigger.status == "updated" and alert is None and not trigger.severity_class:
            return "unknown"  # an incident may become a page as it grows, a trigger may not
        if alert is None and len(self._alerts) >= self._max_alerts:
            return "withheld"
        if alert is None or alert.ends is not None:
            alert = self._begin(alert_id, alert, trigger, offset, now)
        self._change(alert, trigger, headers, offset, is_sent=is_sent)
        return "firing"

    def _begin(
        self, alert_id: AlertId, former: Alert | None, trigger: _Trigger, offset: int, now: datetime
    ) -> Alert:
        """Open an alert. Where the end of the former one is unsent, that one goes on instead."""
        if former is not None and former.is_sent:
            former.ends = None
            former.offset = offset
            return former
        if former is not None and len(self._short) < self._max_alerts:
            self._short.append(former)
        elif former is not None:
            self._unsent.pop(former, None)
        starts = min(_aware(trigger.startsAt), now)  # a producer's clock may be ahead of ours
        labels = dict(trigger.labels)
        if trigger.severity_class:  # the first one: labels must not change
            labels["class"] = trigger.severity_class
        alert = Alert(alert_id, offset, starts, labels)
        self._alerts[alert_id] = alert
        return alert

    def _change(
        self,
        alert: Alert,
        trigger: _Trigger,
        headers: Mapping[str, str],
        offset: int,
        *,
        is_sent: bool,
    ) -> None:
        """Take over the fields of a newer trigger of a firing alert."""
        self._name(alert, trigger, headers.get("ce_id", ""))
        notes = dict(trigger.annotations)
        if trigger.top_channels:
            notes["channels"] = ", ".join(f"{c.name} {c.share:.0%}" for c in trigger.top_channels)
        if headers.get("ce_id") and not trigger.severity_class:
            notes["explain"] = f"ember explain {headers['ce_id'][:_SHOWN_ID]}"
        alert.annotations = notes
        alert.reason, alert.severity = trigger.reason, trigger.severity or 0.0
        has_changed = trigger.severity_class != alert.severity_class
        alert.severity_class = trigger.severity_class
        if trigger.status == "updated" and (has_changed or not trigger.severity_class):
            leader = next((c.name for c in trigger.top_channels), "")
            escalation = trigger.severity_class or leader
            escalations = {*alert.escalations, alert.labels.get("class")}
            if escalation not in escalations and len(alert.escalations) < _MAX_ESCALATIONS:
                alert.escalations.append(escalation)
        if is_sent:
            alert.is_sent = True
            alert.told_escalations = len(alert.escalations)
        else:
            self._mark(alert, offset)

    def _name(self, alert: Alert, trigger: _Trigger, event_id: str) -> None:
        """Take over what silences and acknowledgements name an alert by."""
        labels = trigger.labels
        leader = next((c.name for c in trigger.top_channels), "")
        alert.channel = labels.get("channel", "") or leader
        alert.keys = (labels["key"],) if "key" in labels else tuple(m.key for m in trigger.members)
        alert.is_listed = trigger.member_count <= len(trigger.members) or "key" in labels
        cause = trigger.annotations.get("explain", "").rpartition(" ")[2]
        for name in (event_id, labels.get("incident", ""), cause):
            if name and name not in alert.names and len(alert.names) < _MAX_ESCALATIONS:
                alert.names.append(name)

    def _end(
        self,
        alert: Alert,
        trigger: _Trigger,
        offset: int,
        now: datetime,
        *,
        is_sent: bool,
        keeps_short: bool,
    ) -> Outcome:
        """End an alert by its resolved trigger."""
        # Alertmanager refuses an end before the start, so that one in the future ends at once.
        ends = min(_aware(trigger.endsAt or now), now)
        alert.ends = max(ends, alert.starts)
        alert.reason = trigger.reason
        alert.annotations = {**alert.annotations, **trigger.annotations}
        keeps_short = keeps_short and not alert.is_held  # nobody hears of a silenced one
        alert.is_held = False
        if is_sent or not (alert.is_sent or keeps_short):
            self._remove(alert)
        else:
            self._mark(alert, offset)
        return "resolved"

    def _mark(self, alert: Alert, offset: int) -> None:
        if alert.unsent is None:
            alert.unsent = offset
            self._unsent[alert] = None

    def _remove(self, alert: Alert) -> None:
        self._unsent.pop(alert, None)
        if self._alerts.get(alert.id) is alert:
            del self._alerts[alert.id]
        else:
            self._short.remove(alert)

    def sent(self, alert: Alert) -> None:
        """Mark an alert as sent: the receiver has accepted it, or refuses it for good."""
        self._unsent.pop(alert, None)
        alert.unsent = None
        alert.is_sent = True
        alert.told_escalations = len(alert.escalations)
        if alert.ends is not None:
            self._remove(alert)

    def drop(self, tp: TP) -> None:
        """Drop the alerts of a partition that was revoked."""
        for alert in [alert for alert in self._all() if alert.id.tp == tp]:
            self._remove(alert)

    def oldest(self) -> dict[TP, int]:
        """Return the offset of the oldest firing trigger, for each partition that has one."""
        offsets: dict[TP, int] = {}
        for alert in self._all():
            offsets[alert.id.tp] = min(alert.offset, offsets.get(alert.id.tp, alert.offset))
        return offsets


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
