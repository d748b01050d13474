"""Triggers to alerts: which are told, in which words, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stream.bridge._alerts import Alert, AlertTable
from tests.stream.bridge.fakes import trigger

NOW = datetime(2026, 2, 1, tzinfo=UTC)
A, B = ("telemetry.triggers", 0), ("telemetry.triggers", 3)
BACKLOG = {"ember.backlog": "true"}


def take(
    table: AlertTable,
    body: bytes,
    offset: int = 0,
    tp: Any = A,
    *,
    is_sent: bool = False,
    **headers: str,
) -> str:
    return table.take(tp, offset, headers, body, NOW, is_sent=is_sent)


def told(table: AlertTable) -> list[Alert]:
    """Mark all news as sent, and return it."""
    alerts = list(table.unsent)
    for alert in alerts:
        table.sent(alert)
    return alerts


def keys(alerts: Any) -> list[str]:
    return sorted(alert.labels["key"] for alert in alerts)


def test_a_firing_trigger_is_an_alert_with_its_fields() -> None:
    table = AlertTable(10)
    assert take(table, trigger("rack 7/ü"), ce_id="0123456789abcdef") == "firing"
    (alert,) = told(table)
    assert alert.labels == {"alertname": "EmberFiring", "key": "rack 7/ü", "topic": "telemetry"}
    assert alert.annotations == {
        "summary": "rack 7/ü behaves unlike itself",
        "description": "cpu 0.9",
        "channels": "cpu 71%, disk 29%",
        "explain": "ember explain 0123456789ab",
    }
    assert alert.starts == datetime(2026, 1, 31, tzinfo=UTC)
    assert (alert.status, alert.severity) == ("firing", 7.0)


def test_the_end_has_the_same_identity_and_its_own_time() -> None:
    table = AlertTable(10)
    take(table, trigger("a"))
    (began,) = told(table)
    assert take(table, trigger("a", resolved=True), 1) == "resolved"
    assert (table.firing, len(table.unsent)) == (0, 1)
    (ended,) = told(table)
    assert ended.fingerprint == began.fingerprint
    assert ended.ends == datetime(2026, 1, 31, 0, 5, tzinfo=UTC)
    assert list(table) == []


def test_times_of_fast_clocks_are_now() -> None:
    """An alert that begins or ends in the future would not be one, or never end."""
    table = AlertTable(10)
    take(table, trigger("a", starts="2026-03-01T00:00:00Z"))
    (alert,) = told(table)
    assert alert.starts == NOW
    body = trigger("a", resolved=True, starts="2026-03-01T00:00:00Z", ends="2026-03-02T00:00:00Z")
    take(table, body)
    assert alert.ends == NOW


def test_backlog_opens_nothing_and_ends_what_is_open() -> None:
    """An end wakes nobody; without it the alert would stay."""
    table = AlertTable(10)
    end = trigger("a", resolved=True)
    assert take(table, trigger("a"), **BACKLOG) == "backlog"
    assert take(table, end, **BACKLOG) == "unknown"
    assert told(table) == []
    take(table, trigger("a"))
    told(table)
    assert take(table, end, **BACKLOG) == "resolved"
    assert keys(told(table)) == ["a"]


def test_an_alert_that_came_and_went_before_it_was_told_is_not_told() -> None:
    """Nobody is woken for it, and what waits for a receiver does not grow."""
    table = AlertTable(10)
    take(table, trigger("a"))
    assert take(table, trigger("a", resolved=True), 1) == "resolved"
    take(table, trigger("b"), 2)
    assert keys(told(table)) == ["b"]


def test_a_digest_has_it_nevertheless_each_time_it_came() -> None:
    table = AlertTable(10, keeps_short=True)
    for offset in range(0, 6, 2):
        take(table, trigger("a"), offset)
        take(table, trigger("a", resolved=True), offset + 1)
    assert keys(table) == ["a", "a", "a"]
    assert keys(told(table)) == ["a", "a", "a"]
    assert list(table) == []


def test_short_alerts_are_bounded() -> None:
    table = AlertTable(3, keeps_short=True)
    for offset in range(0, 100, 2):
        take(table, trigger("a"), offset)
        take(table, trigger("a", resolved=True), offset + 1)
    assert len(list(table)) <= 4
    assert set(table) == set(table.unsent)


def test_an_alert_told_before_a_restart_is_ended() -> None:
    table = AlertTable(10)
    take(table, trigger("a"), 3, is_sent=True)
    assert len(table.unsent) == 0
    take(table, trigger("a", resolved=True), 7)
    assert keys(told(table)) == ["a"]


def test_an_end_told_before_a_restart_is_not_told_again() -> None:
    table = AlertTable(10)
    take(table, trigger("a"), 3, is_sent=True)
    assert take(table, trigger("a", resolved=True), 7, is_sent=True) == "resolved"
    assert list(table) == []


def test_an_alert_that_fires_again_before_its_end_is_told_goes_on() -> None:
    table = AlertTable(10)
    take(table, trigger("a"))
    told(table)
    take(table, trigger("a", resolved=True), 1)
    take(table, trigger("a"), 2)
    (alert,) = told(table)
    assert (alert.ends, alert.offset) == (None, 2)
    assert table.firing == 1


def test_two_alerts_of_a_key_are_two() -> None:
    """A silence is not the end of an episode, and the other way round."""
    table = AlertTable(10)
    take(table, trigger("a"))
    take(table, trigger("a", name="EmberKeyStale"))
    take(table, trigger("a", resolved=True))
    assert table.firing == 1


def test_the_oldest_alert_is_known_by_partition_until_its_end_is_told() -> None:
    """From there a restart reads."""
    table = AlertTable(10)
    for offset, key in ((11, "a"), (13, "b"), (17, "c")):
        take(table, trigger(key), offset)
    take(table, trigger("d"), 5, B)
    assert table.oldest() == {A: 11, B: 5}
    told(table)
    take(table, trigger("a", resolved=True), 19)
    assert table.oldest() == {A: 11, B: 5}
    told(table)
    assert table.oldest() == {A: 13, B: 5}
    table.drop(A)
    assert (table.oldest(), table.firing, len(table.unsent)) == ({B: 5}, 1, 0)


def test_there_is_a_bound_and_an_end_makes_room() -> None:
    table = AlertTable(2)
    outcomes = [take(table, trigger(key)) for key in ("a", "b", "c")]
    assert outcomes == ["firing", "firing", "withheld"]
    assert take(table, trigger("a")) == "firing"  # again: it is there already
    take(table, trigger("b", resolved=True))
    assert take(table, trigger("d")) == "firing"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"status": "on"}', trigger("a")[:-5], b"\xff\x00"]
)
def test_a_body_that_is_no_trigger_is_left_out(body: bytes) -> None:
    table = AlertTable(10)
    assert take(table, body) == "invalid"
    assert list(table) == []


def test_an_episode_that_grows_is_news_with_its_channel() -> None:
    table = AlertTable(10)
    take(table, trigger("a"))
    told(table)
    for offset in (1, 2):
        assert take(table, trigger("a", updated=True), offset) == "firing"
    (alert,) = told(table)
    assert alert.escalations == ["cpu"]
    assert table.oldest() == {A: 0}


def test_growth_of_an_alert_that_was_never_sent_is_unknown() -> None:
    """Its firing was backlog: it pages nobody, and neither does the rest of it."""
    table = AlertTable(10)
    take(table, trigger("a"), **BACKLOG)
    assert take(table, trigger("a", updated=True), 1) == "unknown"
    assert told(table) == []


def test_alerts_older_than_the_bridge_that_have_ended_are_no_news() -> None:
    """A digest tells of short alerts, but not of those of the past."""
    for is_past, expected in ((True, ["on"]), (False, ["ended", "on"])):
        table = AlertTable(10, keeps_short=True)
        bodies = (trigger("ended"), trigger("on"), trigger("ended", resolved=True))
        for offset, body in enumerate(bodies):
            table.take(A, offset, {}, body, NOW, is_past=is_past)
        assert keys(table.unsent) == expected


def test_silenced_alerts_are_counted() -> None:
    table = AlertTable(10)
    for offset, key in enumerate(("a", "b")):
        take(table, trigger(key), offset)
    table.hold(lambda alert, *_: alert.labels["key"] == "a", lambda _: "", NOW, repeats=True)
    assert (table.silenced, table.firing) == (1, 2)
