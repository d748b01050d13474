"""Documents of operators, as episodes and keys see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import translate

from stream.control import Acknowledgement, Calendar, ControlSet, Document, Feedback, Rule, Silence
from stream.event_times import parse_time

from ._episodes import Episode

_LEAST_ID = 12
"""Characters of an event's id that messages show; a document may have as few."""


class Documents:
    """Documents in force, found by event and key.

    Args:
        control: Documents in force.
    """

    def __init__(self, control: ControlSet) -> None:
        self.control = control
        self._acknowledgements: dict[str, Document] = {}
        self._feedback: dict[str, Document] = {}
        self._silences: list[tuple[Document, re.Pattern[str], re.Pattern[str]]] = []
        for document in control.documents:
            body = document.body
            if isinstance(body, Acknowledgement):
                self._acknowledgements[body.event] = document
            elif isinstance(body, Feedback):
                self._feedback[body.event] = document
            elif isinstance(body, Silence):
                self._silences.append((document, _pattern(body.keys), _pattern(body.channels)))

    def acknowledgement(self, episode: Episode) -> Document | None:
        """Return the document of the person at work on an episode; None where nobody is."""
        for event_id in episode.bodies:
            for text in (event_id, event_id[:_LEAST_ID]):
                if text in self._acknowledgements:
                    return self._acknowledgements[text]
        # The next alert of a key has the same fingerprint, and nobody has seen it yet.
        document = self._acknowledgements.get(episode.fingerprint)
        is_of_it = document is not None and parse_time(document.time) >= episode.starts_us
        return document if is_of_it else None

    def feedback(self, episode: Episode) -> Document | None:
        """Return the judgement of a person about an event of an episode; None without one."""
        documents = (self._feedback.get(event_id) for event_id in episode.bodies)
        return next((document for document in documents if document is not None), None)

    def silence(self, episode: Episode, now: datetime | None = None) -> Document | None:
        """Return the silence that is for an episode now; None where none is."""
        present = now or datetime.now(UTC)
        for document, keys, channels in self._silences:
            body = document.body
            assert isinstance(body, Silence)
            if datetime.fromisoformat(body.until).astimezone(UTC) <= present:
                continue
            if keys.match(episode.key) and channels.match(episode.leader):
                return document
        return None

    def of_key(self, key: str) -> list[Document]:
        """Return the documents that apply to a key."""
        return [document for document in self.control.documents if _is_of(document, key)]


def _is_of(document: Document, key: str) -> bool:
    body = document.body
    if isinstance(body, Feedback):
        return body.key == key
    if isinstance(body, Rule | Silence | Calendar):
        return _pattern(body.keys).match(key) is not None
    return False


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    # A name such as `disk[0]` matches itself too, as in rules.
    return re.compile("|".join(f"(?:{translate(p)}|{re.escape(p)}\\Z)" for p in patterns))
