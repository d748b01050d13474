"""Rules of operators for some keys, topics and channels."""

from __future__ import annotations

import msgspec

from .patterns import ALL, patterns_fault


class Rule(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="rule",
):
    """Rule for the channels of some keys."""

    keys: tuple[str, ...] = ALL
    """Shell patterns of keys."""
    topics: tuple[str, ...] = ALL
    """Shell patterns of input topics."""
    channels: tuple[str, ...] = ALL
    """Shell patterns of channels."""
    ignore: bool = False
    """Whether the channels are left out of alerts."""

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound rule."""
        return (
            patterns_fault("keys", self.keys)
            or patterns_fault("topics", self.topics)
            or patterns_fault("channels", self.channels)
        )
