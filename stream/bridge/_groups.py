"""Groups of alerts that are one message, and the times at which it is due. No clock, no network.

The rules are Alertmanager's: the first message of a group waits for `group_wait`, so that a storm
is in it whole; a change of a group waits until `group_interval` after the last message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from stream.settings import GroupFields

from ._alerts import Alert, AlertTable

_ALL_LABELS = "..."

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Group:
    """A group whose message is due.

    Attributes:
        labels: Labels that all its alerts have.
        alerts: Its alerts: those that fire, then those whose end is unsent, each the oldest first.
    """

    labels: dict[str, str]
    alerts: list[Alert]

    @property
    def id(self) -> str:
        """Short hash of the labels."""
        return _hash(tuple(self.labels.items()))

    @property
    def key(self) -> str:
        """Text of the labels, as Alertmanager writes the key of a group."""
        pairs = ", ".join(f'{name}="{value}"' for name, value in self.labels.items())
        return f"{{}}:{{{pairs}}}"

    @property
    def is_new(self) -> bool:
        """True if no message of this group has been sent."""
        return not any(alert.is_sent for alert in self.alerts)

    @property
    def is_over(self) -> bool:
        """True if none of its alerts fires."""
        return all(alert.ends is not None for alert in self.alerts)

    @property
    def unsent(self) -> list[Alert]:
        """Alerts with something new."""
        return [alert for alert in self.alerts if alert.unsent is not None]


@dataclass(slots=True)
class _Timer:
    not_before: float
    due: float | None = None


class Groups:
    """Groups of the alerts of a table.

    Args:
        settings: Labels to group by, and the times.
    """

    def __init__(self, settings: GroupFields) -> None:
        self._by = settings.group_by
        self._wait = settings.group_wait_seconds
        self._interval = settings.group_interval_seconds
        self._timers: dict[Labels, _Timer] = {}

    def due(self, table: AlertTable, now: float) -> list[Group]:
        """Return the groups whose message is due.

        Args:
            table: The alerts.
            now: Time of a monotonic clock, in seconds.
        """
        waiting = {self._labels(alert) for alert in table.unsent}
        for labels in waiting:
            timer = self._timers.setdefault(labels, _Timer(now))
            if timer.due is None:
                timer.due = max(timer.not_before, now + self._wait)
        is_due = {labels for labels in waiting if (self._timers[labels].due or 0.0) <= now}
        if not is_due:
            return []
        members: dict[Labels, list[Alert]] = {labels: [] for labels in is_due}
        for alert in table:
            labels = self._labels(alert)
            if labels in members:
                members[labels].append(alert)
        groups = [Group(dict(labels), _in_order(alerts)) for labels, alerts in members.items()]
        return sorted(groups, key=lambda group: (group.alerts[0].starts, group.alerts[0].offset))

    def sent(self, group: Group, now: float) -> None:
        """Note that the message of a group was accepted, or refused for good."""
        labels = tuple(group.labels.items())
        if group.is_over:
            del self._timers[labels]
        else:
            self._timers[labels] = _Timer(now + self._interval)

    def trim(self, table: AlertTable) -> set[str]:
        """Forget groups without alerts; return the ids of the others."""
        present = {self._labels(alert) for alert in table}
        self._timers = {k: timer for k, timer in self._timers.items() if k in present}
        return {_hash(labels) for labels in present}

    def id_of(self, alert: Alert) -> str:
        """Return the id of the group of an alert."""
        return _hash(self._labels(alert))

    def _labels(self, alert: Alert) -> Labels:
        if _ALL_LABELS in self._by:
            return alert.id.labels
        return tuple((name, alert.labels[name]) for name in self._by if name in alert.labels)


def _in_order(alerts: Iterable[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda alert: (alert.ends is not None, alert.starts, alert.offset))


def _hash(labels: Labels) -> str:
    text = "\0".join(part for pair in labels for part in pair)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
