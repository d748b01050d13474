"""Episodes that the service has told, as incidents of a history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ember_core.data.sources import open_bytes
from ember_core.pipeline.fit import Incident

from .errors import UserError
from .event_times import parse_time
from .keys import key_of

FALSE_MARKS: Final = ("false alarm", "normal")
"""Values of `feedback` in an event, its labels or annotations: the episode was usual."""
_WRAPPERS: Final = ("body", "payload", "value")


@dataclass
class _Episode:
    """Window of an episode, as far as its events have told it."""

    key: str
    start_us: int
    end_us: int
    is_open: bool = True
    is_false: bool = False


def read_told_episodes(path: Path, until_us: int) -> list[Incident]:
    """Return the episodes of a file of events, without those marked as false alarm or normal.

    Args:
        path: Events, one JSON object a line: those of `ember backtest --events`, values of the
            trigger topic, or records of it as `kcat -C -J` and `ember tail` print them.
        until_us: End of an episode that no event resolves.

    Raises:
        UserError: If the file cannot be read, or no line of it is an event.
    """
    try:
        with open_bytes(path) as file:
            lines = [line for line in file if line.strip()]
    except (OSError, EOFError) as error:
        raise UserError(
            "The episodes cannot be read. Expected a file of events, one JSON object a line. "
            f"Received: --without-episodes {path}: {getattr(error, 'strerror', None) or error}.",
            exit_code=2,
        ) from error
    return told_episodes(_bodies(lines, path), until_us)


def told_episodes(events: Iterable[Mapping[str, Any]], until_us: int) -> list[Incident]:
    """Return the episodes of trigger events, in order of their first event.

    Events of one episode have its fingerprint and start. It ends with the event that resolves it.

    Args:
        events: Bodies of events; anomalies are passed over.
        until_us: End of an episode that no event resolves.
    """
    episodes: dict[tuple[Any, ...], _Episode] = {}
    for body in events:
        labels = body.get("labels") or {}
        start = parse_time(body.get("startsAt"))
        if not start or "key" not in labels or labels.get("alertname") == "EmberAnomaly":
            continue
        name = (labels["key"], body.get("fingerprint"), body["startsAt"])
        episode = episodes.setdefault(name, _Episode(str(labels["key"]), start, start))
        evidence_start = parse_time((body.get("evidence") or {}).get("since"))
        episode.start_us = min(episode.start_us, evidence_start or start)
        ends = parse_time((body.get("window") or {}).get("end")), parse_time(body.get("endsAt"))
        episode.end_us = max(episode.end_us, *ends)
        episode.is_open &= body.get("status") != "resolved"
        episode.is_false |= _is_false(body)
    return [
        Incident(
            key_of(episode.key),
            episode.start_us,
            max(episode.end_us, until_us) if episode.is_open else episode.end_us,
        )
        for episode in episodes.values()
        if not episode.is_false
    ]


def _is_false(body: Mapping[str, Any]) -> bool:
    """Test for an event that somebody has marked as usual."""
    parts = (body, body.get("labels") or {}, body.get("annotations") or {})
    marks = [str(part.get("feedback", "")) for part in parts]
    return any(mark.lower().replace("_", " ").replace("-", " ") in FALSE_MARKS for mark in marks)


def _bodies(lines: list[bytes], path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the bodies of events, whatever they are wrapped in.

    Raises:
        UserError: If a line is no event.
    """
    for number, line in enumerate(lines, 1):
        body = _unwrapped(line)
        if body is None:
            raise UserError(
                "The line is no event. Expected those of `ember backtest --events`, or values of "
                f"the trigger topic. Received: {path}, line {number:,}: {line[:80]!r}.",
                exit_code=2,
            )
        yield body


def _unwrapped(line: bytes | str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    for _ in range(2):
        if not isinstance(value, Mapping) or "startsAt" in value:
            break
        wrapper = next((name for name in _WRAPPERS if name in value), None)
        value = value[wrapper] if wrapper else None
        if wrapper and value is None:
            return {}  # the tombstone of a record
        if isinstance(value, str):
            return _unwrapped(value)
    return value if isinstance(value, Mapping) and "startsAt" in value else None
