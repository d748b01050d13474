"""Silences and acknowledgements of the control topic, as alerts see them. No Kafka, no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from stream.control import (
    NO_CONTROL,
    Acknowledgements,
    ControlSet,
    Document,
    Silence,
    compiled,
)

from ._alerts import Alert


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
        self._acknowledgements = Acknowledgements(control)
        for document in control.documents:
            body = document.body
            if isinstance(body, Silence):
                since, until = (
                    datetime.fromisoformat(text).astimezone(UTC)
                    for text in (document.time, body.until)
                )
                patterns = compiled(body.keys), compiled(body.channels)
                self._silences.append(_Silence(since, until, *patterns, "*" in body.keys))

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
        found = self._acknowledgements.find(alert.names, alert.fingerprint, alert.starts)
        return "" if found is None else _text(found)


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
