"""A fleet whose triggers a correlator gets, with a clock, a topic of incidents and restarts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from stream.correlation import (
    Correlator,
    IncidentBody,
    PageBudget,
    Rules,
    read_incident,
    read_trigger,
)
from stream.key_pattern import KeyPattern
from stream.types import TP

PARTITIONS = 4
START = datetime(2026, 1, 31, tzinfo=UTC).timestamp()


def trigger(
    key: str,
    since: float = 0.0,
    *,
    status: str = "firing",
    margin: float = 0.5,
    channels: Iterable[str] = ("cpu",),
    name: str = "EmberFiring",
    until: float | None = None,
    summary: str = "",
    direction: str = "",
    reason: str = "evidence",
) -> bytes:
    """A trigger's body with the fields that count; times in seconds after `START`."""
    body = {
        "status": status,
        "labels": {"alertname": name, "key": key, "topic": "telemetry"}
        | ({} if name == "EmberFiring" else {"channel": next(iter(channels))})
        | ({"direction": direction} if direction else {}),
        "reason": reason,
        "startsAt": datetime.fromtimestamp(START + since, UTC),
        "endsAt": None if until is None else datetime.fromtimestamp(START + until, UTC),
        "annotations": {"summary": summary} if summary else {},
        "peak": 2.0 + margin,
        "severity": 1.0,
        "threshold": 2.0,
        "top_channels": [
            {"name": channel, "share": 0.6 * 0.5**n} for n, channel in enumerate(channels)
        ],
    }
    return msgspec.json.encode(body)


class Fleet:
    """One stream."""

    def __init__(self, *, pages: float | None = None, pattern: str = "", **rules: Any) -> None:
        key_pattern = KeyPattern(pattern)
        self.rules = Rules(pattern=key_pattern, same_labels=key_pattern.names[:1], **rules)
        self.pages = pages
        self.now = START
        self.log: dict[TP, list[bytes]] = {("t", p): [] for p in range(PARTITIONS)}
        self.topic: list[tuple[float, IncidentBody]] = []
        self.ids: list[str] = []
        self.outcomes: list[str] = []
        self.committed: dict[TP, tuple[int, int]] = {}  # read to, oldest
        self.unwritten: set[tuple[TP, int]] = set()
        self.start()

    def start(self) -> None:
        """Start anew, from the topics and what was committed."""
        budget = None if self.pages is None else PageBudget(self.pages)
        self.correlator = Correlator(self.rules, budget)
        self.correlator.restore(self.topic, self.now)
        for tp, bodies in self.log.items():
            read_to, oldest = self.committed.get(tp, (0, 0))
            for offset in range(oldest, len(bodies)):
                is_sent = offset < read_to and (tp, offset) not in self.unwritten
                self._take(tp, offset, bodies[offset], is_sent=is_sent)

    def _take(self, tp: TP, offset: int, body: bytes, **more: bool) -> None:
        view = read_trigger(body)
        assert view is not None
        self.outcomes.append(self.correlator.take(tp, offset, view, self.now, **more))

    def write(self, key: str, since: float = 0.0, **more: Any) -> None:
        """Write a trigger of a key, and read it."""
        tp = "t", sum(key.encode()) % PARTITIONS
        self.log[tp].append(trigger(key, since, **more))
        self._take(tp, len(self.log[tp]) - 1, self.log[tp][-1])

    def end(self, key: str, since: float = 0.0, until: float = 600.0, **more: Any) -> None:
        self.write(key, since, status="resolved", until=until, **more)

    def send(self, *, is_killed_before_commit: bool = False) -> list[IncidentBody]:
        """Write the messages that are due."""
        messages = self.correlator.due(self.now)
        for message in messages:
            body = read_incident(message.value)
            assert body is not None
            self.topic.append((self.now, body))
            self.ids.append(message.id)
            self.correlator.written(message, self.now)
        if not is_killed_before_commit:
            self.unwritten = set(self.correlator.unwritten())
            oldest = self.correlator.oldest()
            for tp, bodies in self.log.items():
                self.committed[tp] = (len(bodies), oldest.get(tp, len(bodies)))
        return [body for _, body in self.topic[-len(messages) :]] if messages else []

    def run(self, seconds: float, step: float = 5.0) -> list[IncidentBody]:
        """Let time pass; return the messages of it."""
        end = self.now + seconds
        bodies = []
        while self.now < end:
            self.now = min(end, self.now + step)
            bodies += self.send()
        return bodies
