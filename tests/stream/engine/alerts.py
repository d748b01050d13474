"""A feed that leaves alerts of every kind open, and the open ones among some events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream.records import Event
from tests.stream.engine.conftest import Sent, body_of, interleaved, rows_of, signal

FAULT = 330
"""Row from which key `a` is at fault, and lacks a channel."""


def faulty(rows: int = FAULT + 40) -> list[Sent]:
    """Key `a` fires and lacks a channel at the end; key `b` has fallen silent before."""
    values = signal(rows, 3, 0)
    values[FAULT:, 0] += 300.0
    values[FAULT - 60 :, 2] = np.nan
    return interleaved(rows_of(b"a", values), rows_of(b"b", signal(FAULT - 20, 3, 1)))


def open_alerts(events: Sequence[Event]) -> set[tuple[str, str, str]]:
    """Name, key and channel of the alerts that no trigger has resolved."""
    alerts: dict[str, tuple[str, str, str]] = {}
    for body in (body_of(event) for event in events if event.kind == "trigger"):
        labels = body["labels"]
        if body["status"] == "firing":
            name = labels["alertname"], labels["key"], labels.get("channel", "")
            alerts[body["fingerprint"]] = name
        else:
            alerts.pop(body["fingerprint"], None)
    return set(alerts.values())
