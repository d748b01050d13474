"""Marks of false alarms, by the channels of an event."""

from __future__ import annotations

from typing import Any

import pytest

from stream.errors import UserError
from stream.feedback import feedback_of


def body(*channels: tuple[str, float | None, str, float]) -> dict[str, Any]:
    return {
        "labels": {"alertname": "EmberFiring", "key": "a", "topic": "t"},
        "window": {"start": "2026-01-01T00:00:00Z"},
        "peak": 4.0,
        "threshold": 1.0,
        "top_channels": [
            {"name": name, "value": value, "direction": direction, "share": share}
            for name, value, direction, share in channels
        ],
    }


def test_a_missing_channel_is_on_no_side() -> None:
    channels = (
        ("gone", None, "above", 0.6),
        ("low", 1.0, "below", 0.3),
        ("rest", 1.0, "above", 0.1),
    )
    feedback = feedback_of("e", [body(*channels)], "false-alarm")
    assert (feedback.above, feedback.below) == ((), ("low",))
    with pytest.raises(UserError, match="Received: gone missing"):
        feedback_of("e", [body(channels[0])], "false-alarm")
