"""Alerts of a backtest: a line for each episode, open ones and those without a score too."""

from __future__ import annotations

import json
from typing import Any

from stream.cli.backtest_alerts import alert_lines
from stream.records import Event

START = "2026-05-01T10:00:00Z"
END = "2026-05-01T10:05:00Z"


def trigger(key: bytes, start: str, **fields: Any) -> Event:
    body: dict[str, Any] = {"status": "firing", "labels": {"alertname": "EmberFiring"}}
    body |= {
        "startsAt": start,
        "endsAt": None,
        "fingerprint": "f",
        "peak": 3.0,
        "top_channels": [{"name": "cpu"}],
    }
    return Event("trigger", key, "id", 0, json.dumps(body | fields).encode())


def test_episodes_have_their_end_peak_and_channel() -> None:
    lines = alert_lines(
        [
            trigger(b"web-1", START),
            Event("anomaly", b"web-1", "id", 0, b"{}"),
            trigger(b"db", END),
            trigger(b"web-1", START, status="resolved", endsAt=END, peak=4.5),
        ]
    )
    assert lines == [
        f"  web-1  {START} to {END}  severity  4.50  cpu",
        f"  db     {END} to the end               severity  3.00  cpu",
    ]


def test_alerts_without_a_score_have_their_name() -> None:
    (line,) = alert_lines([trigger(b"a", START, labels={"alertname": "EmberKeyStale"}, peak=None)])
    assert line.endswith("EmberKeyStale")


def test_of_many_those_with_the_highest_peaks_are_shown() -> None:
    events = [trigger(b"k%02d" % n, f"2026-05-01T10:{n:02}:00Z", peak=3.0 + n) for n in range(25)]
    *lines, last = alert_lines(events)
    assert [line.split()[0] for line in lines] == [f"k{n:02}" for n in range(5, 25)]
    assert "20 with the highest peaks of 25" in last


def test_control_characters_of_a_key_do_not_reach_the_terminal() -> None:
    (line,) = alert_lines([trigger(b"a\x1b[2J", START)])
    assert "\x1b" not in line
