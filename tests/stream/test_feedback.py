"""Feedback on events: the channels of a mark, and those that went with them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stream.errors import UserError
from stream.feedback import feedback_of, with_episode

CHANNELS = ("cpu", "rx", "requests", "errors")


def page(
    severities: tuple[float, ...], lead: int, minute: int = 0, status: str = "firing"
) -> dict[str, Any]:
    """A trigger whose channels have these severities, with shares as events have them."""
    weights = [10.0**severity for severity in severities]
    weights[lead] += max(weights)
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    return {
        "status": status,
        "labels": {"alertname": "EmberFiring", "key": "web-1", "topic": "metrics"},
        "fingerprint": "f",
        "startsAt": "2026-03-09T11:00:00Z",
        "endsAt": "2026-03-09T11:30:00Z" if status == "resolved" else None,
        "window": {"start": f"2026-03-09T11:{minute:02d}:00Z"},
        "threshold": 2.0,
        "peak": severities[lead],
        "reason": "evidence",
        "top_channels": [
            {
                "name": CHANNELS[i],
                "value": 1.0,
                "direction": "below",
                "share": weights[i] / sum(weights),
            }
            for i in order
        ],
        "evidence": {"kind": "channel", "channel": CHANNELS[lead], "severity": severities[lead]},
    }


def anomaly(minute: int, *shares: tuple[str, float]) -> dict[str, Any]:
    """An improbable row."""
    return {
        "status": "firing",
        "labels": {"alertname": "EmberAnomaly", "key": "web-1", "topic": "metrics"},
        "startsAt": f"2026-03-09T{11 + minute // 60}:{minute % 60:02d}:00Z",
        "severity": 99.0,
        "top_channels": [
            {"name": name, "value": 1.0, "direction": "above", "share": share}
            for name, share in shares
        ],
    }


@pytest.mark.parametrize("lead", [0, 1])
def test_channels_that_would_have_paged_alone_are_companions(lead: int) -> None:
    body = page((6.0, 5.0, 2.1, 1.9), lead)
    assert math.isclose(sum(c["share"] for c in body["top_channels"]), 1.0)
    mark = feedback_of("e", [body], "false-alarm")
    blamed = ("cpu",) if lead == 0 else ("cpu", "rx")  # the larger one has half of the blame
    assert mark.below == blamed
    assert mark.companions_below == tuple(c for c in ("requests", "rx") if c not in blamed)
    assert (mark.above, mark.companions_above) == ((), ())
    assert mark.validate() == ""


def test_all_events_of_the_episode_count_and_no_others() -> None:
    own, end = page((6.0, 0.0, 0.0, 0.0), 0), page((1.0, 8.0, 0.0, 0.0), 1, 30, "resolved")
    other = {**page((0.0, 0.0, 0.0, 9.0), 3), "startsAt": "2026-03-09T10:00:00Z"}
    rows = [anomaly(minute, ("errors", 0.7), ("rx", 0.1)) for minute in (-1, 31)]
    during = anomaly(12, ("requests", 0.7), ("rx", 0.25), ("errors", 0.05))
    bodies = with_episode(own, [other, *rows, own, during, end])
    assert bodies == [own, end, during]
    mark = feedback_of("e", bodies, "false-alarm")
    assert (mark.below, mark.above) == (("cpu",), ())
    assert (mark.companions_below, mark.companions_above) == (("rx",), ("requests", "rx"))
    assert mark.excess == 6.0  # the severity of an anomaly is of another kind


def test_an_anomaly_has_no_episode() -> None:
    own = anomaly(12, ("rx", 0.9))
    assert with_episode(own, [own, page((6.0, 0.0, 0.0, 0.0), 0)]) == [own]


def test_a_missing_channel_is_on_no_side() -> None:
    own = anomaly(12, ("gone", 0.6), ("low", 0.3), ("rest", 0.1))
    gone, low, _ = own["top_channels"]
    gone["value"], low["direction"] = None, "below"
    mark = feedback_of("e", [own], "false-alarm")
    assert (mark.above, mark.below) == ((), ("low",))
    own["top_channels"] = [gone]
    with pytest.raises(UserError, match="Received: gone missing"):
        feedback_of("e", [own], "false-alarm")
