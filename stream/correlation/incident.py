"""One open incident: its keys, first cause and channels, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from stream.records import fingerprint, rfc3339
from stream.types import TP

from .body import ALERT_NAME, IncidentBody, MemberBody, SeverityClass, class_of
from .trigger import Channel, TriggerView

_MAX_CHANNELS = 256
_MAX_SIGNS = 64
_SHOWN_CHANNELS = 5
_MAX_KEYS = 100_000
_MAX_CHARACTERS = 50_000
"""Characters of the listed keys; one may be escaped as six bytes."""
_DESCRIBED_KEYS = 20
_SHOWN_ID = 12
_EXPLAIN = "ember explain "


class AlertId(NamedTuple):
    """Identity of an alert of a key, in its partition."""

    tp: TP
    key: str
    alert: str


class Member(NamedTuple):
    """A key of an incident, in order of the first cause: by time, then by severity."""

    since: float
    negative_margin: float
    key: str
    alert: str


@dataclass
class Incident:
    """An incident that is not resolved.

    Attributes:
        id: Id, that of the trigger that opened it.
        stream: Input topic.
        since: Begin of its first key.
        latest: Begin of its latest key.
        max_members: Number of keys to list.
        count: Number of its keys.
        listed: First keys.
        keys: Keys that are known to be in it; after a restart fewer than `count`.
        firing: Offset of the firing trigger, of each alert that fires.
        weights: Sum of the shares of each channel.
        signs: Kinds of alert and leading channels of its triggers.
        groups: Values of the labels that keys must have alike to be related.
        margin: Largest margin of a trigger.
        is_limit: A hard limit was crossed.
        is_storm: Time alone decides who joins.
        until: End of the last alert that ended.
        page: Decision of the budget: True once it has paged.
        is_decided: The budget has been asked.
        sent: The last message; None before the first.
        sent_at: Time of the last message.
        idle_since: Time since which no key fires; None while one does.
        unlisted: Keys that the message before a restart has counted and not listed.
        counted_to: Begin of the latest of these keys.
        cause: Summary and event id of the first cause.
        common_labels: Labels that all its keys have alike; None before the first.
        reason: Reason of the first cause.
        end_reason: Reason of the last end.
        offsets: Offset of its first trigger, of each partition: a restart reads from there.
    """

    id: str
    stream: str
    since: float
    latest: float
    max_members: int
    count: int = 0
    listed: list[Member] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    firing: dict[AlertId, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    signs: set[str] = field(default_factory=set)
    groups: set[tuple[str, ...]] = field(default_factory=set)
    margin: float = 0.0
    is_limit: bool = False
    is_storm: bool = False
    until: float = 0.0
    page: bool = False
    is_decided: bool = False
    sent: IncidentBody | None = None
    sent_at: float = 0.0
    idle_since: float | None = None
    unlisted: int = 0
    counted_to: float = 0.0
    cause: tuple[str, str] = ("", "")
    common_labels: dict[str, str] | None = None
    reason: str = ""
    end_reason: str = ""
    offsets: dict[TP, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, body: IncidentBody, sent_at: float, now: float, max_members: int) -> Incident:
        """Return an open incident by its last message; its firing alerts come from the triggers."""
        members = [Member(_seconds(m.since), -m.margin, m.key, m.alert) for m in body.members]
        return cls(
            id=body.id,
            stream=body.labels.get("topic", ""),
            since=_seconds(body.starts_at),
            latest=_seconds(body.latest),
            max_members=max_members,
            count=body.member_count,
            listed=members,
            keys={member.key for member in members},
            weights={c.name: c.share * body.member_count for c in body.top_channels},
            margin=max(0.0, body.severity - math.log10(max(1, body.member_count))),
            is_limit=body.is_limit,
            is_storm=body.is_storm,
            page=body.page,
            sent=body,
            sent_at=sent_at,
            idle_since=now,
            unlisted=body.member_count - len({member.key for member in members}),
            counted_to=_seconds(body.latest),
            cause=(body.annotations.get("cause", ""), _event_id(body.annotations)),
            common_labels=dict(body.common_labels),
        )

    @property
    def severity(self) -> float:
        """Improbability: that of the most severe trigger, and the decades of the keys' number."""
        return self.margin + math.log10(max(1, self.count))

    @property
    def severity_class(self) -> SeverityClass:
        """Class by the improbability."""
        return class_of(self.severity, is_limit=self.is_limit)

    @property
    def leader(self) -> str:
        """Channel with the largest share."""
        return min(self.weights, key=lambda name: (-self.weights[name], name), default="")

    def join(
        self,
        alert_id: AlertId,
        offset: int,
        trigger: TriggerView,
        labels: dict[str, str],
        group: tuple[str, ...],
    ) -> None:
        """Add the alert of a key.

        Args:
            alert_id: Identity of the alert.
            offset: Offset of its firing trigger.
            trigger: The trigger.
            labels: Labels of the key.
            group: Values of the labels that keys must have alike.
        """
        self.firing[alert_id] = offset
        self.idle_since = None
        self.include(alert_id, offset, trigger, labels, group)

    def include(
        self,
        alert_id: AlertId,
        offset: int,
        trigger: TriggerView,
        labels: dict[str, str],
        group: tuple[str, ...],
    ) -> None:
        """Add an alert of a key, whether it fires or has ended; arguments as of `join`."""
        self.offsets[alert_id.tp] = min(offset, self.offsets.get(alert_id.tp, offset))
        self.since, self.latest = min(self.since, trigger.since), max(self.latest, trigger.since)
        if trigger.key not in self.keys:
            if len(self.keys) < _MAX_KEYS:
                self.keys.add(trigger.key)
            is_counted = self._is_counted(trigger)
            self.count += not is_counted
            member = Member(trigger.since, -trigger.margin, trigger.key, trigger.alert)
            self._list(member)
            if self.listed[0] is member:
                self.cause = trigger.summary, trigger.event_id[:_SHOWN_ID]
                self.reason = trigger.reason
            if not is_counted:
                self._weigh(trigger.channels)
            if self.common_labels is None:
                self.common_labels = dict(labels)
            else:
                common = self.common_labels.items() & labels.items()
                self.common_labels = {
                    k: v for k, v in self.common_labels.items() if (k, v) in common
                }
        if len(self.signs) < _MAX_SIGNS:
            self.signs.add(trigger.sign)
        if group and len(self.groups) < _MAX_SIGNS:
            self.groups.add(group)
        self.grow(trigger)

    def _is_counted(self, trigger: TriggerView) -> bool:
        """Return True if a message before the restart has counted a key that it did not list."""
        is_counted = self.unlisted > 0 and trigger.since <= self.counted_to
        self.unlisted -= is_counted
        return is_counted

    def grow(self, trigger: TriggerView) -> None:
        """Take over the severity of a newer trigger of one of its keys."""
        self.margin = max(self.margin, trigger.margin)
        self.is_limit = self.is_limit or trigger.is_limit

    def leave(self, alert_id: AlertId, trigger: TriggerView, now: float) -> None:
        """Note that an alert of a key has ended."""
        del self.firing[alert_id]
        self.note_end(trigger)
        if not self.firing:
            self.idle_since = now

    def note_end(self, trigger: TriggerView) -> None:
        """Take over time and reason of the end of an alert."""
        self.end_reason = trigger.reason
        self.until = max(self.until, trigger.until or trigger.since)

    def _list(self, member: Member) -> None:
        if len(self.listed) >= self.max_members and member > self.listed[-1]:
            return
        self.listed = sorted([*self.listed, member])[: self.max_members]
        # Long keys: the broker must accept the message.
        while len(self.listed) > 1 and sum(len(m.key) for m in self.listed) > _MAX_CHARACTERS:
            self.listed.pop()

    def _weigh(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if channel.name in self.weights or len(self.weights) < _MAX_CHANNELS:
                self.weights[channel.name] = self.weights.get(channel.name, 0.0) + channel.share

    def body(self, status: Literal["firing", "updated", "resolved"], reason: str) -> IncidentBody:
        """Return the next message about it."""
        labels = {"alertname": ALERT_NAME, "incident": self.id, "topic": self.stream}
        total = sum(self.weights.values()) or 1.0
        leading = sorted(self.weights.items(), key=lambda item: (-item[1], item[0]))
        channels = [Channel(name, weight / total) for name, weight in leading[:_SHOWN_CHANNELS]]
        first = self.listed[0]
        return IncidentBody(
            status=status,
            labels=labels,
            annotations=self._annotations(status, first, channels),
            starts_at=_text(self.since),
            ends_at=_text(max(self.until, self.since)) if status == "resolved" else None,
            fingerprint=fingerprint(labels),
            severity=round(self.severity, 3),
            severity_class=self.severity_class,
            page=self.page,
            is_limit=self.is_limit,
            reason=reason,
            member_count=self.count,
            firing_count=len({alert_id.key for alert_id in self.firing}),
            members=[
                MemberBody(m.key, m.alert, _text(m.since), -m.negative_margin) for m in self.listed
            ],
            top_channels=channels,
            common_labels=self.common_labels or {},
            latest=_text(self.latest),
            is_storm=self.is_storm,
            number=1 if self.sent is None else self.sent.number + 1,
        )

    def _annotations(self, status: str, first: Member, channels: list[Channel]) -> dict[str, str]:
        """Return summary and description, the first cause, and the command that explains it."""
        cause, event_id = self.cause
        is_over = status == "resolved"
        keys = "1 key" if self.count == 1 else f"{self.count:,} keys"
        verb = "fired" if is_over else "fires" if self.count == 1 else "fire together"
        leader = f", {channels[0].name}" if channels else ""
        summary = f"{keys} {verb}, first {first.key}{leader}"
        labels = ", ".join(f"{name} {value}" for name, value in (self.common_labels or {}).items())
        if self.count == 1 and cause and not is_over:
            summary = cause  # it says more of a single key
        elif labels and self.count > 1:
            summary += f" ({labels})"
        firing = len({alert_id.key for alert_id in self.firing})
        names = [member.key for member in self.listed[:_DESCRIBED_KEYS]]
        unnamed = self.count - len(names)
        suffix = f" and {unnamed:,} more" if unnamed > 0 else ""
        sentences = [f"First: {cause}."] if cause and self.count > 1 else []
        sentences.append(f"{firing:,} of {keys} fire now: {', '.join(names)}{suffix}.")
        return {
            "summary": summary + ("; it is over" if is_over else ""),
            "description": " ".join(sentences),
            "first": first.key,
            **({"cause": cause} if cause else {}),
            **({"explain": f"{_EXPLAIN}{event_id}"} if event_id else {}),
        }


def _event_id(annotations: Mapping[str, str]) -> str:
    return annotations.get("explain", "").removeprefix(_EXPLAIN)


def _text(seconds: float) -> str:
    return rfc3339(round(seconds * 1e6))


def _seconds(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # of a foreign producer
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
