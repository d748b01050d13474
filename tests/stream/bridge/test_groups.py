"""Groups of alerts: one message for a storm, and the next one not at once."""

from __future__ import annotations

from typing import Any, NamedTuple

from stream.bridge._alerts import AlertTable
from stream.bridge._groups import Group, Groups
from stream.settings import GroupFields
from tests.stream.bridge.fakes import trigger
from tests.stream.bridge.test_alerts import take


class Message(NamedTuple):
    """A group at the time it was sent."""

    group: Group
    is_new: bool
    unsent: int


class Timeline:
    """Groups of a table over time."""

    def __init__(self, **settings: Any) -> None:
        self.table = AlertTable(10_000)
        self.groups = Groups(GroupFields(**settings))

    def due(self, now: float) -> list[Message]:
        """Messages due at a time, which are then sent."""
        messages = []
        for group in self.groups.due(self.table, now):
            messages.append(Message(group, group.is_new, len(group.unsent)))
            self.groups.sent(group, now)
            for alert in group.unsent:
                self.table.sent(alert)
        self.groups.trim(self.table)
        return messages


def test_a_storm_is_one_message() -> None:
    timeline = Timeline()
    for n in range(1_000):
        take(timeline.table, trigger(f"host-{n}"), n)
        assert timeline.due(n / 100) == []
    ((group, is_new, unsent),) = timeline.due(30.0)
    assert len(group.alerts) == unsent == 1_000
    assert is_new
    assert group.labels == {"alertname": "EmberFiring", "topic": "telemetry"}
    assert group.key == '{}:{alertname="EmberFiring", topic="telemetry"}'


def test_changes_wait_for_the_interval_and_the_last_end_ends_the_group() -> None:
    timeline = Timeline()
    take(timeline.table, trigger("a"), 0)
    timeline.due(0.0)
    timeline.due(30.0)
    take(timeline.table, trigger("b"), 1)
    take(timeline.table, trigger("a", resolved=True), 2)
    assert timeline.due(100.0) == timeline.due(329.0) == []
    ((group, is_new, _),) = timeline.due(330.0)
    assert [(a.labels["key"], a.status) for a in group.alerts] == [
        ("b", "firing"),
        ("a", "resolved"),
    ]
    assert not is_new
    assert not group.is_over
    take(timeline.table, trigger("b", resolved=True), 3)
    timeline.due(400.0)
    ((group, *_),) = timeline.due(630.0)
    assert group.is_over
    # The next one is a group of its own: it waits as the first did.
    take(timeline.table, trigger("c"), 4)
    assert timeline.due(640.0) == []
    ((_, is_new, _),) = timeline.due(670.0)
    assert is_new


def test_a_quiet_group_gathers_again() -> None:
    timeline = Timeline()
    take(timeline.table, trigger("a"), 0)
    timeline.due(0.0)
    timeline.due(30.0)
    take(timeline.table, trigger("b"), 1)
    assert timeline.due(10_000.0) == []
    take(timeline.table, trigger("c"), 2)
    ((group, _, unsent),) = timeline.due(10_030.0)
    assert (len(group.alerts), unsent) == (3, 2)


def test_known_alerts_of_a_restart_are_no_news() -> None:
    timeline = Timeline()
    for n in range(100):
        take(timeline.table, trigger(f"host-{n}"), n, is_sent=True)
    assert timeline.due(0.0) == timeline.due(1_000.0) == []


def test_all_labels_make_a_message_for_each_alert() -> None:
    timeline = Timeline(group_by="...", group_wait_seconds=0)
    for n in range(5):
        take(timeline.table, trigger(f"host-{n}"), n)
    assert [message.unsent for message in timeline.due(0.0)] == [1] * 5


def test_groups_are_forgotten_with_their_alerts() -> None:
    timeline = Timeline(group_by="key", group_wait_seconds=0)
    for n in range(50):
        take(timeline.table, trigger(f"host-{n}"), 2 * n)
        timeline.due(float(n))
        take(timeline.table, trigger(f"host-{n}", resolved=True), 2 * n + 1)
    timeline.due(10_000.0)
    assert timeline.groups.trim(timeline.table) == set()
