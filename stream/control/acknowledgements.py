"""Acknowledgements, found by the events and the alert that they name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from .bodies import Acknowledgement
from .documents import ControlSet, Document

_LEAST_ID: Final = 12
"""Characters of an event's id that messages show; a document may have as few."""


class Acknowledgements:
    """Acknowledgements in force.

    Args:
        control: Documents in force.
    """

    def __init__(self, control: ControlSet) -> None:
        self._documents = {
            document.body.event: document
            for document in control.documents
            if isinstance(document.body, Acknowledgement)
        }

    def find(self, event_ids: Iterable[str], fingerprint: str, began: datetime) -> Document | None:
        """Return the document of the person at work on an alert; None where nobody is.

        Args:
            event_ids: Ids of its events.
            fingerprint: Its fingerprint.
            began: Time at which it began.
        """
        for event_id in event_ids:
            for text in (event_id, event_id[:_LEAST_ID]):
                if text in self._documents:
                    return self._documents[text]
        # The next alert of a key has the same fingerprint, and nobody has seen it yet.
        document = self._documents.get(fingerprint)
        if document is None or datetime.fromisoformat(document.time) < began:
            return None
        return document
