"""Silences and acknowledgements of the control topic, as alerts see them. No Kafka, no clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import translate
from typing import NamedTuple

from stream.control import NO_CONTROL, Acknowledgement, ControlSet, Document, Silence

from ._alerts import Alert

_LEAST_ID = 12
"""Characters of an event's id that messages show; a document may have as few."""


class _Silence(NamedTuple):
    since: datetime
    until: datetime
    keys: re.Pattern[str]
    channels: re.Pattern[str]
    is_for_all: bool
    """True if it is for all keys."""


class Orders:
    """Silences and acknowledgements in force.

    Args:
        control: Documents in force.
    """

    def __init__(self, control: ControlSet = NO_CONTROL) -> None:
        self._silences: list[_Silence] = []
        self._acknowledgements: dict[str, Document] = {}
        for document in control.documents:
            body = document.body
            if isinstance(body, Silence):
                since, until = (
                    datetime.fromisoformat(text).astimezone(UTC)
                    for text in (document.time, body.until)
                )
                patterns = _pattern(body.keys), _pattern(body.channels)
                self._silences.append(_Silence(since, until, *patterns, "*" in body.keys))
            elif isinstance(body, Acknowledgement):
                self._acknowledgements[body.event] = document

    def is_silenced(self, alert: Alert, time: datetime, *, by: datetime | None = None) -> bool:
        """Return True if a silence is for an alert.

        Args:
            alert: The alert.
            time: Time at which it has to be silent.
            by: Time by which the silence must have been written; None: any.
        """
        return any(
            time < silence.until and (by is None or silence.since <= by) and _is_for(silence, alert)
            for silence in self._silences
        )

    def acknowledgement(self, alert: Alert) -> str:
        """Return who works on an alert, and since when; empty where nobody has said so."""
        if not self._acknowledgements:
            return ""
        for name in alert.names:
            for text in (name, name[:_LEAST_ID]):
                document = self._acknowledgements.get(text)
                if document is not None:
                    return _text(document)
        # The next alert of a key has the same fingerprint, and nobody has seen it yet.
        document = self._acknowledgements.get(alert.fingerprint)
        if document is None or datetime.fromisoformat(document.time) < alert.starts:
            return ""
        return _text(document)


def _is_for(silence: _Silence, alert: Alert) -> bool:
    """Return True if a silence is for all keys of an alert, and for its leading channel."""
    if not silence.channels.match(alert.channel):
        return False
    if silence.is_for_all:
        return True
    # An incident may have more keys than it lists, and nobody knows whether those are silent.
    return alert.is_listed and bool(alert.keys) and all(map(silence.keys.match, alert.keys))


def _text(document: Document) -> str:
    time = datetime.fromisoformat(document.time).astimezone(UTC)
    return f"acknowledged by {document.author}, {time:%Y-%m-%d %H:%M} UTC"


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    # A name such as `disk[0]` matches itself too, as in rules.
    return re.compile("|".join(f"(?:{translate(p)}|{re.escape(p)}\\Z)" for p in patterns))
