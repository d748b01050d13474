"""Record of the model topic that says whether a trained candidate went into service, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from .manifest import Manifest, ManifestError

_FORMAT: Final = 1
_KEY: Final = re.compile(rb"decision/([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Decision about a candidate that the workers have trained.

    Attributes:
        manifest: Manifest of the candidate, with the time and the host of the training.
        accepted: Whether it was published; else its chunks are kept, and nobody takes it.
        reasons: Sentences that say why.
        figures: Figures that the decision rests on.
    """

    manifest: Manifest
    accepted: bool
    reasons: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """Key of the record."""
        return f"decision/{self.manifest.digest}".encode()

    def body(self) -> dict[str, Any]:
        """Return accepted, reasons and figures as plain values."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "figures": dict(self.figures),
        }

    def encode(self) -> bytes:
        """Return the value of the record."""
        return msgspec.json.encode(
            {"format": _FORMAT, **self.body(), "manifest": msgspec.Raw(self.manifest.encode())}
        )

    @classmethod
    def decode(cls, key: bytes | None, value: bytes) -> Decision | None:
        """Read a record; None where it is something else, or cannot be read."""
        match = _KEY.fullmatch(key or b"")
        if match is None:
            return None
        try:
            stored = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            if msgspec.json.decode(stored.get("format", b"0")) != _FORMAT:
                return None
            return cls(
                manifest=Manifest.decode(bytes(stored["manifest"]), match[1].decode()),
                accepted=msgspec.json.decode(stored["accepted"], type=bool),
                reasons=msgspec.json.decode(stored["reasons"], type=tuple[str, ...]),
                figures=msgspec.json.decode(stored["figures"], type=dict[str, float]),
            )
        except (msgspec.MsgspecError, ManifestError, KeyError):
            return None  # of another version: it decides nothing here
