"""Lines for people."""

from __future__ import annotations

from stream.cli import lines

RECORD = {
    "status": "firing",
    "severity": 6.21,
    "key": "db-7",
    "time": "2026-01-31T00:00:00Z",
    "reason": "evidence",
    "top_channels": [
        {"name": "cpu", "value": 93.1, "expected": 41.0, "share": 0.71, "direction": "above"},
        {"name": "mem", "value": None, "expected": 1.5, "share": 0.2, "direction": "below"},
        {"name": "io", "value": 0.001, "expected": None, "share": 0.05, "direction": "below"},
        {"name": "net", "value": 1, "expected": 1, "share": 0.04, "direction": "below"},
    ],
}


def test_an_event_names_key_time_and_the_first_three_channels() -> None:
    text = lines.event_line(RECORD).plain
    expected = (
        "FIRING    6.2  db-7  2026-01-31 00:00:00Z   cpu 71% 93.1\u2191 (expected 41)"
        "  mem 20% missing (expected 1.5)  io 5% 0.001\u2193"
    )
    assert expected == text
    assert "net" not in text


def test_a_reason_that_is_not_evidence_is_shown() -> None:
    assert " stale " in lines.event_line({**RECORD, "reason": "stale"}).plain
    assert "evidence" not in lines.event_line(RECORD).plain


def test_backlog_is_said_to_be_that() -> None:
    assert " backlog " in lines.event_line({**RECORD, "backlog": True}).plain
    assert "backlog" not in lines.event_line(RECORD).plain


def test_a_foreign_message_does_not_break_the_line() -> None:
    text = lines.event_line({"key": None, "time": "x", "value": "hello"}).plain
    assert "?" in text
    assert "hello" in text


def test_no_control_character_reaches_the_terminal() -> None:
    letter = {
        "reason": "not_json",
        "key": "\x1b[31mred",
        "detail": "line\nbreak",
        "source": {"topic": "t", "partition": 0, "offset": 7},
        "value": "\x07" * 500,
    }
    text = lines.dead_letter_line(letter).plain
    assert text.isprintable()
    assert "t[0]@7" in text
    assert len(text) < 300


def test_an_incident_shows_class_decision_and_summary() -> None:
    record = {
        "status": "firing",
        "severity_class": "critical",
        "page": False,
        "time": "2026-01-31T00:00:00Z",
        "key": "08078091170ac0bc",
        "annotations": {"summary": "100 keys fire together, first a\x1b[31m"},
    }
    text = lines.incident_line(record).plain
    assert "FIRING" in text
    assert "critical" in text
    assert " digest " in text
    assert "100 keys fire together, first a" in text
    assert "\x1b" not in text
    assert " page " in lines.incident_line({**record, "page": True}).plain
    assert lines.incident_line({"key": None, "time": "", "annotations": 3}).plain
