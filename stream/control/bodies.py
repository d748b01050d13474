"""Bodies of feedback, silences and acknowledgements.

A field with its default is not written. So a field that a later version adds changes neither bytes
nor digest of a document that does not use it.
"""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

from .patterns import ALL, patterns_fault
from .times import time_fault

MOST_CHARACTERS = 2_000
"""Characters in a note or a reason."""
_MOST_CHANNELS = 20
_MOST_NAME = 1_024

Verdict = Literal["false-alarm", "real", "normal-now"]


class Feedback(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="feedback",
):
    """Judgement of a person about an event."""

    event: str
    """Id of the event."""
    verdict: Verdict
    key: str
    """Text of the stream key, as `stream.keys.key_text` writes it."""
    topic: str
    """Input topic of the event."""
    note: str = ""
    above: tuple[str, ...] = ()
    """Channels that the event showed above their usual values."""
    below: tuple[str, ...] = ()
    """Channels that it showed below them."""
    companions_above: tuple[str, ...] = ()
    """Channels that went above with these. They belong to it while one of these does."""
    companions_below: tuple[str, ...] = ()
    """Channels that went below with them."""
    time: str = ""
    """Time of the event, from which a false alarm counts; with channels only."""
    excess: float = 0.0
    """Severity of the episode's peak over the threshold."""

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound body."""
        return (
            _name_fault("event", self.event)
            or _name_fault("key", self.key)
            or _name_fault("topic", self.topic)
            or text_fault("note", self.note)
            or self._channels_fault()
        )

    def _channels_fault(self) -> str:
        channels = (*self.above, *self.below, *self.companions_above, *self.companions_below)
        if len(channels) > _MOST_CHANNELS or not all(channels):
            return (
                f"`above` and `below` name channels. Expected at most {_MOST_CHANNELS}, none "
                f"empty. Received: {len(channels)}. Write it with `ember feedback`."
            )
        if not (isfinite(self.excess) and self.excess >= 0.0):
            return (
                "`excess` is a severity over the threshold. Expected 0 or more. Received: "
                f"{self.excess}. Write it with `ember feedback`."
            )
        return time_fault("time", self.time) if channels or self.time else ""


class Silence(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="silence",
):
    """Keys and channels that alert nobody until a time."""

    until: str
    keys: tuple[str, ...] = ALL
    """Shell patterns of keys."""
    channels: tuple[str, ...] = ALL
    """Shell patterns of channels."""

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound body."""
        return (
            time_fault("until", self.until)
            or patterns_fault("keys", self.keys)
            or patterns_fault("channels", self.channels)
        )


class Acknowledgement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="acknowledgement",
):
    """Word of a person that an alert is in work."""

    event: str
    """Id of the event, or fingerprint of the alert."""
    note: str = ""

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound body."""
        return _name_fault("event", self.event) or text_fault("note", self.note)


def text_fault(field: str, text: str) -> str:
    """Return the fault of a free text as a sentence; empty for a sound one.

    Args:
        field: Name of the text in the document.
        text: The text.
    """
    if len(text) <= MOST_CHARACTERS:
        return ""
    return (
        f"`{field}` is too long. Expected at most {MOST_CHARACTERS} characters. Received: "
        f"{len(text)}. Shorten it, and link to the rest."
    )


def _name_fault(field: str, name: str) -> str:
    if 0 < len(name) <= _MOST_NAME:
        return ""
    return (
        f"`{field}` is {'too long' if name else 'empty'}. Expected 1 to {_MOST_NAME} characters. "
        f"Received: {len(name)}. Copy it from the event."
    )
