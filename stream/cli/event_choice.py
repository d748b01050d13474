"""Events that a command names by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.errors import UserError
from stream.feedback import with_episode
from stream.tools.event_lookup import EventLog, PublishedEvent


def event_of(text: str, log: EventLog) -> PublishedEvent:
    """Return the event that an id names.

    Args:
        text: First digits of the id.
        log: Events to search.

    Raises:
        UserError: If it names none, or several.
    """
    prefix = text.strip().lower()  # ids are hexadecimal in lower case
    matches = {event.id: event for event in log.scan(id_prefix=prefix)} if prefix else {}
    if len(matches) != 1:
        raise UserError(
            "An id names one event. Expected the first digits of one, as `ember tail --json` shows "
            f"it. Received: {text!r}, which fits {len(matches)} events in {log.name}.",
            exit_code=2,
        )
    (event,) = matches.values()
    return event


def episode_of(event: PublishedEvent, log: EventLog) -> list[PublishedEvent]:
    """Return the other triggers of an event's episode, in order of time.

    Args:
        event: The event.
        log: Events to search.
    """
    if event.kind != "trigger":
        return []
    alert = event.body.get("fingerprint"), event.body.get("startsAt")
    episode = {
        candidate.id: candidate
        for candidate in log.scan(key=event.key)
        if candidate.kind == "trigger" and candidate.id != event.id
        if (candidate.body.get("fingerprint"), candidate.body.get("startsAt")) == alert
    }
    return sorted(episode.values(), key=lambda candidate: candidate.time_us)


def with_episode_of(event: PublishedEvent, log: EventLog) -> list[Mapping[str, Any]]:
    """Return the bodies of an event's episode, its own first; anomalies of that time last.

    Args:
        event: The event.
        log: Events to search.
    """
    events = {other.id: other for other in log.scan(key=event.key) if other.id != event.id}
    in_order = sorted(events.values(), key=lambda other: other.time_us)
    return with_episode(event.body, [other.body for other in in_order])
