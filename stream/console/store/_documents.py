"""Documents of operators, as episodes and keys see them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from stream.control import (
    Acknowledgements,
    ControlSet,
    Document,
    Feedback,
    Silence,
    compiled,
)

from ._episodes import Episode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Documents:
    """Documents in force, found by event and key.

    Args:
        control: Documents in force.
    """

    def __init__(self, control: ControlSet) -> None:
        self.control = control
        self._acknowledgements = Acknowledgements(control)
        self._feedback: dict[str, Document] = {}
        self._silences: list[tuple[Document, re.Pattern[str], re.Pattern[str]]] = []
        for document in control.documents:
            body = document.body
            if isinstance(body, Feedback):
                self._feedback[body.event] = document
            elif isinstance(body, Silence):
                self._silences.append((document, compiled(body.keys), compiled(body.channels)))

    def acknowledgement(self, episode: Episode) -> Document | None:
        """Return the document of the person at work on an episode; None where nobody is."""
        began = _EPOCH + timedelta(microseconds=episode.starts_us)
        return self._acknowledgements.find(episode.bodies, episode.fingerprint, began)

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
