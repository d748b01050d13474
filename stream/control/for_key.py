"""Documents that are about a key."""

from __future__ import annotations

from collections.abc import Collection

from .bodies import Feedback, Silence
from .calendar_body import Calendar
from .documents import ControlSet, Document
from .patterns import matches
from .rules import Rule


def documents_for_key(
    control: ControlSet, topic: str | None, key: str, event_ids: Collection[str] = ()
) -> list[Document]:
    """Return the documents that are about a key, in the order of kind and name.

    Args:
        control: Documents in force.
        topic: Name of the stream in events; None: any.
        key: Text of the key in events.
        event_ids: Ids of events of the key, by which acknowledgements are known.
    """
    return [d for d in control.documents if _is_about(d, topic, key, event_ids)]


def _is_about(document: Document, topic: str | None, key: str, event_ids: Collection[str]) -> bool:
    body = document.body
    if isinstance(body, Rule | Calendar):
        return matches(body.keys, key) if topic is None else body.is_for_key(topic, key)
    if isinstance(body, Silence):
        return matches(body.keys, key)
    if isinstance(body, Feedback):
        is_of_key = body.key == key and topic in (None, body.topic)
        return is_of_key or body.event in event_ids
    return body.event in event_ids
