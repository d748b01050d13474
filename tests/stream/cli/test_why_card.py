"""The card of an event of a model with channel evidence."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from stream.cli.why_card import Card, drawing
from stream.thresholds import once_in
from stream.tools.event_lookup import PublishedEvent


def _body(**more: Any) -> dict[str, Any]:
    top = {"name": "latency", "value": 7.2, "expected": 3.5, "share": 0.9, "direction": "above"}
    return {
        "status": "firing",
        "labels": {"alertname": "EmberFiring", "key": "web-1", "topic": "t"},
        "severity": 2.0,
        "probability": 0.3,
        "threshold": 1.8,
        "reason": "evidence",
        "top_channels": [{**top, "usual_low": 2.6, "usual_high": 4.6}],
        "window": {"start": "2026-01-20T09:20:00Z"},
        "evidence": {
            "kind": "channel",
            "channel": "latency",
            "statistic": "above it over 5 rows",
            "severity": 2.0,
            "since": "2026-01-20T09:10:00Z",
        },
        **more,
    }


def _card(body: dict[str, Any]) -> Card:
    return Card(PublishedEvent("0" * 32, "trigger", "web-1", msgspec.json.encode(body)), [])


def _drawn(body: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawing(_card(body)))
    return console.export_text()


def test_a_page_says_how_rare_it_is_what_spoke_and_the_usual_range() -> None:
    """In days of a key, not in rows."""
    assert _card(_body()).rarity == "once in 100 days of a key"
    text = _drawn(_body())
    assert "Once in 100 days of a key (severity 2.0)." in text
    assert "latency: above it over 5 rows, since 2026-01-20T09:10:00Z." in text
    assert "usually 2.6 to 4.6" in text


def test_its_end_names_the_peak_in_the_same_words() -> None:
    """It has no evidence of its own."""
    end = _body(status="resolved", severity=0.5, peak=3.0, rows=12)
    del end["evidence"]
    assert "At the peak once in 1,000 days; 12 rows in all." in _drawn(end)


def test_joint_evidence_is_told_in_rows() -> None:
    """Its severity is the probability of the row."""
    assert _card(_body(probability=0.01)).rarity == "about one row in 100 for this key"


@pytest.mark.parametrize(
    ("severity", "words"), [(2.0, "once in 100 days"), (-1.0, "10 times in a day")]
)
def test_words_of_a_rate(severity: float, words: str) -> None:
    """Both sides of a day."""
    assert once_in(severity) == words
