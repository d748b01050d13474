"""Answers about events: episodes, anomalies, incidents and documents. The caller holds the lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stream.control import Document
from stream.correlation.body import IncidentBody
from stream.event_times import parse_time
from stream.keys import key_of

from . import answers
from .numbers import rounded
from .store import Episode, Store

_NUMBERS = ("value", "expected", "usual_low", "usual_high", "share")


def events_answer(
    store: Store, kinds: Sequence[str], key: str, status: str, limit: int, before_us: int
) -> answers.EventsAnswer:
    """Return episodes, anomalies and incidents, the newest first.

    Args:
        store: The store.
        kinds: Some of `trigger`, `anomaly` and `incident`.
        key: Text of a key; empty: all keys.
        status: `firing` or `resolved`; empty: both.
        limit: Largest number of events.
        before_us: Only events that begin before this time.
    """
    matches: list[tuple[int, Episode | IncidentBody]] = []
    episodes = [*store.episodes.episodes()] if "trigger" in kinds else []
    episodes += [*store.episodes.anomalies()] if "anomaly" in kinds else []
    for episode in episodes:
        is_of_it = key in ("", episode.key) and status in ("", _status(episode))
        if is_of_it and episode.starts_us < before_us:
            matches.append((episode.starts_us, episode))
    if "incident" in kinds:
        for incident in store.incidents.newest_first():
            starts_us = parse_time(incident.starts_at)
            is_of_key = not key or any(member.key == key for member in incident.members)
            is_of_it = is_of_key and status in ("", _incident_status(incident))
            if is_of_it and starts_us < before_us:
                matches.append((starts_us, incident))
    matches.sort(key=lambda event: -event[0])
    page = matches[:limit]
    # A page ends between two times, so that the next one begins where it ends.
    while len(page) < len(matches) and matches[len(page)][0] == page[-1][0]:
        page.append(matches[len(page)])
    return answers.EventsAnswer(
        events=[_event(store, event) for _, event in page],
        next_us=page[-1][0] if len(page) < len(matches) else None,
    )


def incidents_answer(store: Store, status: str, limit: int) -> answers.IncidentsAnswer:
    """Return incidents, the newest first."""
    incidents = [incident_answer(incident) for incident in store.incidents.newest_first()]
    return answers.IncidentsAnswer([i for i in incidents if status in ("", i.status)][:limit])


def _event(
    store: Store, event: Episode | IncidentBody
) -> answers.EpisodeAnswer | answers.IncidentAnswer:
    return episode_answer(store, event) if isinstance(event, Episode) else incident_answer(event)


def episode_answer(store: Store, episode: Episode) -> answers.EpisodeAnswer:
    """Return an episode or an anomaly, with the documents of operators about it."""
    body, first = episode.newest, episode.first
    notes = body.get("annotations") or {}
    rules = body.get("rules") or []
    documents = store.documents
    kind = answers.AnomalyAnswer if episode.kind == "anomaly" else answers.EpisodeAnswer
    return kind(
        id=episode.id,
        key=episode.key,
        status=_status(episode),
        starts_us=episode.starts_us,
        ends_us=episode.ends_us,
        severity=rounded(episode.severity),
        peak=rounded(episode.peak),
        row_seconds=_row_seconds(store, episode.key),
        threshold=_number_of(first, "threshold") or 0.0,
        channels=[_share(channel) for channel in first.get("top_channels") or []],
        reason=str(first.get("reason") or ""),
        summary=str(notes.get("summary") or ""),
        description=str(notes.get("description") or ""),
        incident=store.incidents.incident_of(episode.key, episode.starts_us),
        alert=episode.alert,
        rules=[str(rule) for rule in rules] if isinstance(rules, list) else [],
        acknowledged=_maybe(documents.acknowledgement(episode)),
        feedback=_maybe(documents.feedback(episode)),
        silenced=_maybe(documents.silence(episode)),
    )


def _row_seconds(store: Store, text: str) -> float | None:
    number = store.table.find(key_of(text))
    return None if number is None else store.table.row_seconds(number)


def incident_answer(incident: IncidentBody) -> answers.IncidentAnswer:
    """Return an incident."""
    return answers.IncidentAnswer(
        id=incident.id,
        status=_incident_status(incident),
        starts_us=parse_time(incident.starts_at),
        ends_us=None if incident.ends_at is None else parse_time(incident.ends_at),
        severity=incident.severity,
        severity_class=incident.severity_class,
        page=incident.page,
        summary=incident.annotations.get("summary", ""),
        description=incident.annotations.get("description", ""),
        member_count=incident.member_count,
        firing_count=incident.firing_count,
        members=[
            answers.IncidentMember(m.key, parse_time(m.since), m.margin, m.alert)
            for m in incident.members
        ],
        top_channels=[answers.IncidentChannel(c.name, c.share) for c in incident.top_channels],
        is_storm=incident.is_storm,
        reason=incident.reason,
    )


def document_answer(document: Document) -> dict[str, Any]:
    """Return a document as plain values, with its kind and its key."""
    body = msgspec.to_builtins(document)
    return {
        "key": document.key,
        "kind": document.kind,
        "name": document.name,
        "author": document.author,
        "reason": document.reason,
        "time": document.time,
        "source": document.source,
        "body": body["body"],
    }


def _share(channel: dict[str, Any]) -> answers.ChannelShare:
    value, expected, low, high, share = (_number_of(channel, name) for name in _NUMBERS)
    direction = channel.get("direction")
    return answers.ChannelShare(
        name=str(channel.get("name", "")),
        share=share,
        value=value,
        expected=expected,
        low=low,
        high=high,
        direction=direction if isinstance(direction, str) else None,
    )


def _number_of(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _maybe(document: Document | None) -> dict[str, Any] | None:
    return None if document is None else document_answer(document)


def _status(episode: Episode) -> str:
    return "firing" if episode.ends_us is None else "resolved"


def _incident_status(incident: IncidentBody) -> str:
    return "resolved" if incident.status == "resolved" else "firing"
