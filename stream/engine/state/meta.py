"""The meta row of an input partition: what became of every message."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream.records import RESERVED_KEY_PREFIX

from .model_version import FormerModel, ModelEpoch

META_KEY = RESERVED_KEY_PREFIX + b"meta"


class Outcome(StrEnum):
    """What became of a message that was not refused; refusals count under their `Reason`."""

    SCORED = "scored"  # gave at least one scored row
    WARMING = "warming"  # its key still warms up
    WINDOWED = "windowed"  # went into an interval that is still open
    LATE = "late"  # too old to apply
    REPEATED = "repeated"  # its row had absorbed it before a crash
    ABSENT = "absent"  # no message at that offset: transaction marker, compacted


class MetaRow(msgspec.Struct, kw_only=True):
    """Kept with the state of a partition, under a key of its own.

    `counts` adds up to the offsets: `sum(counts) == absorbed + 1 - first_offset`.
    """

    topic_id: str = ""
    """Kafka's id of the input topic; empty where the broker has none."""
    changelog_id: str = ""
    """Of the changelog; empty where the broker has none, and until known."""
    partition_count: int = 0
    """Partitions of the input topic; 0 until known."""
    first_offset: int = -1
    """Offset the counting began at; -1 before the first message."""
    absorbed: int = -1
    """Highest source offset absorbed; -1 none."""
    events_from: int = -1
    """Records below this offset warm keys up and give no events."""
    clock_us: int = -(2**62)
    """Largest event time of the partition."""
    model: str = ""
    """SHA-256 of the model that wrote the rows."""
    rebased: int = 0
    """How often `ember state rebase` has written all rows anew: copies from before do not fit."""
    counts: dict[str, int] = {}
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    """Name, type and shape of every field of the rows, in the order they lie in."""
    channels: list[str] = []
    """The model's channels, in the order of the fields that have one number each."""
    judges: list[ModelEpoch] = []
    """Which model judged from which offset on, under which thresholds; newest last."""
    former: list[FormerModel] = []
    """What rows of earlier models are; newest last."""

    def add(self, outcome: str, messages: int) -> None:
        """Count messages under a outcome."""
        if messages:
            self.counts[outcome] = self.counts.get(outcome, 0) + messages

    def encode(self) -> bytes:
        """JSON, readable with any Kafka tool."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> MetaRow:
        """Inverse of `encode`.

        Raises:
            msgspec.DecodeError: If the value is not a meta row.
            UnicodeError: If its text is not UTF-8.
        """
        return msgspec.json.decode(value, type=cls)
