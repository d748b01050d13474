"""Times, numbers and texts of answers, short enough for a reader with little room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

_MOST_CHARACTERS: Final = 400
_MOST_CHANNELS: Final = 8


def time_text(time_us: int | None) -> str | None:
    """Return a time in UTC as ISO 8601; None for none.

    Examples:
        >>> time_text(1_764_000_000_000_000)
        '2025-11-24T16:00:00Z'
    """
    if time_us is None:
        return None
    time = datetime.fromtimestamp(time_us / 1_000_000, UTC)
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def number(value: float | None, digits: int = 5) -> float | None:
    """Return a number with few digits; None for an unknown one.

    Examples:
        >>> number(1234567.0), number(0.1234567)
        (1234600.0, 0.12346)
    """
    return None if value is None else float(f"{value:.{digits}g}")


def short(text: Any) -> str:
    """Return a text that telemetry or people have chosen, cut to a length."""
    line = " ".join(str(text).split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def episode_answer(episode: Mapping[str, Any]) -> dict[str, Any]:
    """Return an episode of the API as a tool shows it."""
    channels: Sequence[Mapping[str, Any]] = episode["channels"]
    answer = {
        "event": episode["id"],
        "key": episode["key"],
        "alert": episode["alert"],
        "status": episode["status"],
        "began": time_text(episode["starts_us"]),
        "ended": time_text(episode["ends_us"]),
        "severity": number(episode["severity"]),
        "peak": number(episode["peak"]),
        "reason": episode["reason"],
        "summary": short(episode["summary"]),
        "description": short(episode["description"]),
        "channels": [
            {
                "name": channel["name"],
                "share": number(channel["share"], 3),
                "value": number(channel["value"]),
                "expected": number(channel["expected"]),
                "usual_range": [number(channel["low"]), number(channel["high"])],
            }
            for channel in channels[:_MOST_CHANNELS]
        ],
        "incident": episode["incident"],
    }
    for name in ("acknowledged", "feedback", "silenced"):
        document = episode.get(name)
        if document:
            answer[name] = document_answer(document)
    return answer


def document_answer(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of operators as a tool shows it."""
    return {
        "document": document["key"],
        "author": short(document["author"]),
        "time": document["time"],
        "reason": short(document["reason"]),
        "body": document["body"],
    }


def incident_answer(incident: Mapping[str, Any], most_members: int) -> dict[str, Any]:
    """Return an incident of the API as a tool shows it."""
    members = incident["members"][:most_members]
    return {
        "incident": incident["id"],
        "status": incident["status"],
        "began": time_text(incident["starts_us"]),
        "ended": time_text(incident["ends_us"]),
        "class": incident["severity_class"],
        "severity": number(incident["severity"]),
        "pages": incident["page"],
        "is_storm": incident["is_storm"],
        "summary": short(incident["summary"]),
        "description": short(incident["description"]),
        "keys": incident["member_count"],
        "firing_keys": incident["firing_count"],
        "first_keys": [
            {"key": member["key"], "since": time_text(member["since_us"])} for member in members
        ],
        "channels": [
            {"name": channel["name"], "share": number(channel["share"], 3)}
            for channel in incident["top_channels"][:_MOST_CHANNELS]
        ],
    }
