"""Documents that are about a key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from .bodies import Feedback, Silence
from .calendar_body import Calendar
from .documents import ControlSet, Document
from .rules import Rule


def documents_for_key(
    control: ControlSet, topic: str, key: str, event_ids: Collection[str] = ()
) -> list[Document]:
    """Return the documents that are about a key, in the order of kind and name.

    Args:
        control: Documents in force.
        topic: Name of the stream in events.
        key: Text of the key in events.
        event_ids: Ids of events of the key, by which acknowledgements are known.
    """
    return [d for d in control.documents if _is_about(d, topic, key, event_ids)]


def _is_about(document: Document, topic: str, key: str, event_ids: Collection[str]) -> bool:
    body = document.body
    if isinstance(body, Rule):
        return body.is_for_key(topic, key)
    if isinstance(body, Calendar):
        return _matches(body.topics, topic) and _matches(body.keys, key)
    if isinstance(body, Silence):
        return _matches(body.keys, key)
    if isinstance(body, Feedback):
        return (body.key, body.topic) == (key, topic) or body.event in event_ids
    return body.event in event_ids


def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(pattern == name or fnmatchcase(name, pattern) for pattern in patterns)
