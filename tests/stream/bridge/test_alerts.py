"""Triggers to alerts: what is told, in which words, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stream.bridge import Alerts
from stream.settings import AlertmanagerSection
from tests.stream.bridge.fakes import trigger

NOW = datetime(2026, 2, 1, tzinfo=UTC)
A, B = ("telemetry.triggers", 0), ("telemetry.triggers", 3)


def alerts(**settings: Any) -> Alerts:
    return Alerts(AlertmanagerSection(**settings))


def take(held: Alerts, body: bytes, offset: int = 0, tp: Any = A, **headers: str) -> str:
    return held.take(tp, offset, headers, body, NOW)


def told(held: Alerts) -> list[dict[str, Any]]:
    """What would be sent now, and then is."""
    found = []
    for places in list(held.batches(7)):
        found += held.payload(places, NOW)
        held.sent(places)
    return found


def test_what_fires_is_an_alert_with_the_labels_of_the_settings() -> None:
    """It fires for four times as long as until it is sent again."""
    held = alerts(resend_seconds=30, link="https://a.example/d/keys?key={key}&t={topic}")
    assert take(held, trigger("rack 7/ü"), ce_id="0123456789abcdef") == "firing"
    (alert,) = told(held)
    assert alert == {
        "labels": {
            "alertname": "EmberFiring",
            "key": "rack 7/ü",
            "topic": "telemetry",
            "severity": "warning",
        },
        "annotations": {
            "summary": "rack 7/ü behaves unlike itself",
            "description": "cpu 0.9",
            "channels": "cpu 71%, disk 29%",
            "explain": "ember explain 0123456789ab",
        },
        "startsAt": "2026-01-31T00:00:00.000Z",
        "endsAt": "2026-02-01T00:02:00.000Z",
        "generatorURL": "https://a.example/d/keys?key=rack%207%2F%C3%BC&t=telemetry",
    }


def test_the_end_has_the_same_labels_and_its_own_time() -> None:
    held = alerts()
    take(held, trigger("a"))
    (began,) = told(held)
    assert take(held, trigger("a", resolved=True), 1) == "resolved"
    assert (held.firing, held.unsent) == (0, 1)
    (ended,) = told(held)
    assert ended["labels"] == began["labels"]
    assert (ended["startsAt"], ended["endsAt"]) == (
        "2026-01-31T00:00:00.000Z",
        "2026-01-31T00:05:00.000Z",
    )


def test_times_of_fast_clocks_are_now() -> None:
    """An alert that begins or ends in the future would not be one, or never end."""
    held = alerts()
    take(held, trigger("a", starts="2026-03-01T00:00:00Z"))
    (began,) = told(held)
    assert began["startsAt"] == "2026-02-01T00:00:00.000Z"
    body = trigger("a", resolved=True, starts="2026-03-01T00:00:00Z", ends="2026-03-02T00:00:00Z")
    take(held, body)
    (ended,) = told(held)
    assert ended["endsAt"] == ended["startsAt"] == "2026-02-01T00:00:00.000Z"


def test_backlog_opens_nothing_and_ends_what_is_open() -> None:
    """An end wakes nobody; without it the alert would stay."""
    held = alerts()
    assert take(held, trigger("a"), **{"ember.backlog": "true"}) == "backlog"
    end = trigger("a", resolved=True)
    assert take(held, end, **{"ember.backlog": "true"}) == "unknown"
    assert told(held) == []
    take(held, trigger("a"))
    told(held)
    assert take(held, end, **{"ember.backlog": "true"}) == "resolved"
    (ended,) = told(held)
    assert ended["endsAt"] == "2026-01-31T00:05:00.000Z"


def test_what_came_and_went_before_it_was_told_is_not_told() -> None:
    """Nobody is woken for it, and what waits for Alertmanager does not grow."""
    held = alerts()
    take(held, trigger("a"))
    assert take(held, trigger("a", resolved=True), 1) == "resolved"
    take(held, trigger("b"), 2)
    assert [a["labels"]["key"] for a in told(held)] == ["b"]


def test_what_was_told_before_a_restart_is_ended() -> None:
    held = alerts()
    held.take(A, 3, {}, trigger("a"), NOW, is_sent=True)
    take(held, trigger("a", resolved=True), 7)
    (ended,) = told(held)
    assert ended["endsAt"] == "2026-01-31T00:05:00.000Z"


def test_what_fires_is_told_again_and_ends_are_not() -> None:
    held = alerts()
    for key in ("a", "b", "c"):
        take(held, trigger(key))
    take(held, trigger("b", resolved=True))
    told(held)
    assert told(held) == []
    held.resend()
    assert sorted(a["labels"]["key"] for a in told(held)) == ["a", "c"]


def test_an_end_waits_beside_a_reminder() -> None:
    """Reminding must not bring back what has just ended, nor lose its end."""
    held = alerts()
    take(held, trigger("a"))
    told(held)
    held.resend()
    take(held, trigger("a", resolved=True))
    held.resend()
    (only,) = told(held)
    assert only["endsAt"] == "2026-01-31T00:05:00.000Z"


def test_two_alerts_of_a_key_are_two() -> None:
    """A silence is not the end of an episode, and the other way round."""
    held = alerts()
    take(held, trigger("a"))
    take(held, trigger("a", name="EmberKeyStale"))
    take(held, trigger("a", resolved=True))
    assert held.firing == 1


def test_the_oldest_that_fires_is_known_by_partition() -> None:
    """From there a restart reads."""
    held = alerts()
    for offset, key in ((11, "a"), (13, "b"), (17, "c")):
        take(held, trigger(key), offset)
    take(held, trigger("d"), 5, B)
    assert held.oldest() == {A: 11, B: 5}
    take(held, trigger("a", resolved=True), 19)
    assert held.oldest() == {A: 13, B: 5}
    held.drop(A)
    assert (held.oldest(), held.firing, held.unsent) == ({B: 5}, 1, 1)


def test_there_is_a_bound_and_an_end_makes_room() -> None:
    held = alerts(max_alerts=2)
    said = [take(held, trigger(key)) for key in ("a", "b", "c")]
    assert said == ["firing", "firing", "withheld"]
    assert take(held, trigger("a")) == "firing"  # again: it is held already
    take(held, trigger("b", resolved=True))
    assert take(held, trigger("d")) == "firing"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"status": "on"}', trigger("a")[:-5], b"\xff\x00"]
)
def test_what_is_no_trigger_is_left_out(body: bytes) -> None:
    held = alerts()
    assert take(held, body) == "invalid"
    assert (held.firing, held.unsent) == (0, 0)


def test_an_episode_that_grows_is_one_more_alert_and_ends_with_it() -> None:
    """By its channel: nothing else of a known alert would make Alertmanager tell anybody."""
    held = alerts()
    assert take(held, trigger("a")) == "firing"
    (first,) = told(held)
    assert take(held, trigger("a", updated=True), 1) == "firing"
    (grown,) = told(held)
    assert grown["labels"] == {**first["labels"], "escalation": "cpu"}
    assert held.oldest() == {A: 0}
    assert take(held, trigger("a", resolved=True), 2) == "resolved"
    ended = told(held)
    assert sorted(alert["labels"].get("escalation", "") for alert in ended) == ["", "cpu"]
    assert {alert["endsAt"] for alert in ended} == {"2026-01-31T00:05:00.000Z"}
    assert held.firing == 0


def test_growth_of_an_alert_that_was_never_sent_is_unknown() -> None:
    """Its firing was backlog: it pages nobody, and neither does the rest of it."""
    held = alerts()
    assert take(held, trigger("a"), **{"ember.backlog": "1"}) == "backlog"
    assert take(held, trigger("a", updated=True), 1) == "unknown"
    assert told(held) == []
