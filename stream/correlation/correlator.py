"""Triggers to incidents: which key belongs to which, and when a message is due."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from stream.key_pattern import KeyPattern
from stream.types import TP

from .body import IncidentBody, incident_id
from .incident import AlertId, Incident
from .page_budget import PageBudget
from .rereading import Rereading
from .trigger import TriggerView

Outcome = Literal["firing", "resolved", "backlog", "unknown", "withheld"]

_CLASS_ORDER: Final = ("info", "warning", "critical")
_MAX_CLOSED: Final = 10_000
_MAX_BEGINS: Final = 2_000
_URGENT_SECONDS: Final = 60.0
"""Least time between two messages where the class has risen."""
_MAX_DOUBLINGS: Final = 8


@dataclass(frozen=True)
class Rules:
    """Rules of belonging together.

    Attributes:
        pattern: Pattern of keys.
        same_labels: Labels of the pattern that related keys have alike.
        window: Longest time between the begins of related keys, in seconds.
        gather: Time for which new triggers wait for others, in seconds.
        storm_keys: Number of keys within the window from which time alone decides.
        update: Time until the first `updated`, in seconds; each further one waits twice as long.
        max_members: Keys that a message lists.
        max_alerts: Most alerts that may fire at a time.
    """

    pattern: KeyPattern = field(default_factory=lambda: KeyPattern(""))
    same_labels: tuple[str, ...] = ()
    window: float = 300.0
    gather: float = 15.0
    storm_keys: int = 20
    update: float = 600.0
    max_members: int = 20
    max_alerts: int = 100_000


class Message(NamedTuple):
    """A message to write to the topic of incidents."""

    incident: Incident
    body: IncidentBody

    @property
    def id(self) -> str:
        """Id of the message: the same when it is written again."""
        text = f"{self.body.id} {self.body.status} {self.body.number}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def value(self) -> bytes:
        """The body as canonical JSON."""
        return msgspec.json.encode(self.body, order="deterministic")


class _Pending(NamedTuple):
    offset: int
    trigger: TriggerView
    arrived: float


class Correlator:
    """Incidents of one stream.

    Args:
        rules: Rules of belonging together.
        budget: Budget of pages; None: every incident is a page.
    """

    def __init__(self, rules: Rules, budget: PageBudget | None = None) -> None:
        self._rules = rules
        self._budget = budget
        self._pending: dict[AlertId, _Pending] = {}  # in order of arrival
        self._incidents: dict[str, Incident] = {}
        self._of_alert: dict[AlertId, Incident] = {}
        self._closed: dict[str, None] = {}
        self._begins: list[tuple[float, str]] = []  # of the latest keys, in order
        self._begin_of: dict[str, float] = {}
        self._rereading = Rereading()

    @property
    def open(self) -> int:
        """Number of open incidents."""
        return len(self._incidents)

    @property
    def firing(self) -> int:
        """Number of alerts that fire."""
        return len(self._of_alert) + len(self._pending)

    def restore(self, bodies: Iterable[tuple[float, IncidentBody]], now: float) -> None:
        """Take over the incidents of the topic, before any trigger.

        Args:
            bodies: Time and content of its messages, in their order.
            now: Current time, in seconds.
        """
        newest: dict[str, tuple[float, IncidentBody]] = {}
        for time, body in bodies:
            former = newest[body.id][1] if body.id in newest else None
            if self._budget is not None and (former is None or body.page > former.page):
                self._budget.restore(time, body.severity, paged=body.page)
            newest[body.id] = time, body
        for time, body in newest.values():
            if body.status == "resolved":
                self._close(body.id)
            else:
                restored = Incident.restored(body, time, now, self._rules.max_members)
                self._incidents[body.id] = restored

    def take(
        self,
        tp: TP,
        offset: int,
        trigger: TriggerView,
        now: float,
        *,
        is_backlog: bool = False,
        is_sent: bool = False,
    ) -> Outcome:
        """Apply a trigger.

        Args:
            tp: Topic and partition of the trigger.
            offset: Offset of the trigger.
            trigger: The trigger.
            now: Current time, in seconds.
            is_backlog: Its record was old; then it opens nothing, and an end still counts.
            is_sent: A message said it before a restart; such triggers wait for `due`.

        Returns:
            The outcome, for the metrics.
        """
        alert_id = AlertId(tp, trigger.key, trigger.alert)
        if trigger.status == "resolved":
            return self._end(alert_id, trigger, now)
        if is_backlog:
            return "backlog"
        if self._rereading.grow(alert_id, trigger):
            return "firing"
        incident = self._of_alert.get(alert_id)
        if incident is not None:
            incident.grow(trigger)
            return "firing"
        waiting = self._pending.get(alert_id)
        if waiting is None and (
            trigger.status == "updated" or self.firing >= self._rules.max_alerts
        ):
            return "unknown" if trigger.status == "updated" else "withheld"
        if waiting is None:
            self._note_begin(trigger, is_sent=is_sent)
        if waiting is None and is_sent:
            self._rereading.begin(alert_id, offset, trigger)
            return "firing"
        if waiting is None and self._attach(alert_id, offset, trigger):
            return "firing"
        if waiting is not None:  # it has grown since: the begin stays
            offset, arrived = waiting.offset, waiting.arrived
            self._pending[alert_id] = _Pending(offset, trigger, arrived)
        else:
            self._pending[alert_id] = _Pending(offset, trigger, now)
        return "firing"

    def due(self, now: float) -> list[Message]:
        """Return the messages that are due; the same ones again until they are `written`.

        Args:
            now: Current time, in seconds.
        """
        self._settle()
        self._gather(now)
        messages = []
        for incident in list(self._incidents.values()):
            if incident.sent is None and incident.idle_since is not None:
                self._close(incident.id)  # it came and went: nobody is woken for it
                continue
            change = self._change(incident, now)
            if change is not None:
                messages.append(Message(incident, incident.body(*change)))
        return messages

    def written(self, message: Message, now: float) -> None:
        """Note that a message is in the topic."""
        incident = message.incident
        incident.sent, incident.sent_at = message.body, now
        if message.body.status == "resolved":
            self._close(incident.id)

    def unwritten(self) -> Iterator[tuple[TP, int]]:
        """Yield the triggers that no message has said yet."""
        for alert_id, waiting in self._pending.items():
            yield alert_id.tp, waiting.offset
        for incident in self._incidents.values():
            if incident.sent is None:
                yield from ((alert_id.tp, offset) for alert_id, offset in incident.firing.items())

    def oldest(self) -> dict[TP, int]:
        """Return the offset of the first trigger of open incidents, for each partition with one."""
        offsets: dict[TP, int] = {}
        entries = [(alert_id.tp, waiting.offset) for alert_id, waiting in self._pending.items()]
        for incident in self._incidents.values():
            entries += incident.offsets.items()
        for tp, offset in entries:
            offsets[tp] = min(offset, offsets.get(tp, offset))
        return offsets

    # -- belonging together

    def _settle(self) -> None:
        """Give the triggers from before a restart to their incidents, now that all are read."""
        if not self._rereading:
            return
        incidents = list(self._incidents.values())
        for episode, incident in self._rereading.settle(incidents, self._belongs):
            labels, group = self._labels(episode.trigger.key)
            add = incident.join if episode.end is None else incident.include
            add(episode.alert_id, episode.offset, episode.trigger, labels, group)
            for grown in episode.grown:
                incident.grow(grown)
            if episode.end is None:
                self._of_alert[episode.alert_id] = incident
            else:
                incident.note_end(episode.end)

    def _gather(self, now: float) -> None:
        """Give the waiting triggers to incidents, once the first of them has waited enough."""
        first = next(iter(self._pending.values()), None)
        if first is None or now - first.arrived < self._rules.gather:
            return
        entries = sorted(
            self._pending.items(),
            key=lambda item: (item[1].trigger.since, -item[1].trigger.margin, item[0]),
        )
        self._pending.clear()
        for alert_id, (offset, trigger, _) in entries:
            if not self._attach(alert_id, offset, trigger):
                self._open(trigger)
                self._attach(alert_id, offset, trigger)

    def _open(self, trigger: TriggerView) -> None:
        """Open an incident, unless it was told and is over: read again after a restart."""
        opened = incident_id(trigger.stream, trigger.key, trigger.alert, trigger.since)
        if opened not in self._closed:
            incident = Incident(
                opened, trigger.stream, trigger.since, trigger.since, self._rules.max_members
            )
            incident.signs.add(trigger.sign)
            self._incidents[opened] = incident

    def _attach(self, alert_id: AlertId, offset: int, trigger: TriggerView) -> bool:
        """Give a trigger to an open incident; return False if it belongs to none."""
        labels, group = self._labels(trigger.key)
        is_storm = self._is_storm(trigger.since)
        incident = self._related(trigger, group, is_storm=is_storm)
        if incident is None:
            return False
        incident.is_storm = incident.is_storm or is_storm
        incident.join(alert_id, offset, trigger, labels, group)
        self._of_alert[alert_id] = incident
        return True

    def _labels(self, key: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the labels of a key, and the values that related keys have alike."""
        labels = self._rules.pattern.labels(key)
        return labels, tuple(labels[name] for name in self._rules.same_labels if name in labels)

    def _related(
        self, trigger: TriggerView, group: tuple[str, ...], *, is_storm: bool
    ) -> Incident | None:
        """Return the open incident that a trigger belongs to, of several the first opened."""
        for incident in self._incidents.values():
            if self._is_of(incident, trigger, group, is_storm=is_storm):
                return incident
        return None

    def _belongs(self, incident: Incident, trigger: TriggerView) -> bool:
        """Return True if a trigger from before a restart is related to an incident."""
        group = self._labels(trigger.key)[1]
        return self._is_of(incident, trigger, group, is_storm=self._is_storm(trigger.since))

    def _is_of(
        self, incident: Incident, trigger: TriggerView, group: tuple[str, ...], *, is_storm: bool
    ) -> bool:
        if trigger.key in incident.keys:
            return True
        window = self._rules.window
        if not incident.since - window <= trigger.since <= incident.latest + window:
            return False
        is_related = trigger.sign in incident.signs or (group and group in incident.groups)
        return bool(is_related or incident.is_storm or is_storm)

    def _is_storm(self, since: float) -> bool:
        """Return True if so many keys have begun around a time that it alone decides."""
        window = self._rules.window
        first = bisect_left(self._begins, since - window, key=_since)
        last = bisect_right(self._begins, since + window, key=_since)
        return last - first >= self._rules.storm_keys

    def _note_begin(self, trigger: TriggerView, *, is_sent: bool) -> None:
        """Remember the begin of a key that is, or was before a restart, in no incident yet."""
        key, since = trigger.key, trigger.since
        if abs(since - self._begin_of.get(key, float("inf"))) <= self._rules.window:
            return  # it flaps: a storm is of many keys
        if is_sent or not any(key in incident.keys for incident in self._incidents.values()):
            insort(self._begins, (since, key))
            self._begin_of[key] = since
            for begin, old in self._begins[:-_MAX_BEGINS]:
                if self._begin_of.get(old) == begin:
                    del self._begin_of[old]
            del self._begins[:-_MAX_BEGINS]

    # -- life

    def _end(self, alert_id: AlertId, trigger: TriggerView, now: float) -> Outcome:
        if self._pending.pop(alert_id, None) is not None:
            return "resolved"
        if self._rereading.end(alert_id, trigger):
            return "resolved"
        incident = self._of_alert.pop(alert_id, None)
        if incident is None:
            return "unknown"
        incident.leave(alert_id, trigger, now)
        return "resolved"

    def _change(
        self, incident: Incident, now: float
    ) -> tuple[Literal["firing", "updated", "resolved"], str] | None:
        """Return status and reason of the message that is due; None if there is none."""
        sent = incident.sent
        if sent is None:
            incident.page = self._decides(incident, now)
            return "firing", incident.reason or "evidence"
        if incident.idle_since is not None:
            is_over = now - incident.idle_since >= self._rules.gather
            return ("resolved", incident.end_reason or "evidence") if is_over else None
        pause = now - incident.sent_at
        has_risen = _CLASS_ORDER.index(incident.severity_class) > _CLASS_ORDER.index(
            sent.severity_class
        )
        crosses_limit = incident.is_limit and not sent.is_limit
        if crosses_limit or (has_risen and pause >= min(_URGENT_SECONDS, self._rules.update)):
            self._decides_again(incident, now)
            return "updated", "class"
        if pause < self._rules.update * 2 ** min(sent.number - 1, _MAX_DOUBLINGS):
            return None
        leader = sent.top_channels[0].name if sent.top_channels else ""
        if incident.count > sent.member_count:
            self._decides_again(incident, now)
            return "updated", "member"
        return ("updated", "channel") if incident.leader != leader else None

    def _decides(self, incident: Incident, now: float) -> bool:
        """Decide whether a new incident is a page; a failed write asks once only."""
        if self._budget is None or incident.page or incident.is_decided:
            return incident.page or self._budget is None
        incident.is_decided = True
        return self._budget.decide(now, incident.severity, is_limit=incident.is_limit)

    def _decides_again(self, incident: Incident, now: float) -> None:
        """Let an incident in the digest become a page, since it has grown."""
        if self._budget is not None and not incident.page:
            severity, is_limit = incident.severity, incident.is_limit
            incident.page = self._budget.reconsider(now, severity, is_limit=is_limit)

    def _close(self, closed: str) -> None:
        self._incidents.pop(closed, None)
        self._closed[closed] = None
        if len(self._closed) > _MAX_CLOSED:
            del self._closed[next(iter(self._closed))]


def _since(begin: tuple[float, str]) -> float:
    return begin[0]
