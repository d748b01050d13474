"""The meta row of an input partition: its clock, and the outcomes of all messages."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from stream.records import RESERVED_KEY_PREFIX, SourcePosition

from .model_version import KEPT, ControlEpoch, FormerModel, ModelEpoch, ModelVersion

META_KEY = RESERVED_KEY_PREFIX + b"meta"
_FORMER_MODELS = 8
"""Earlier models whose rows can still be read where they lie unchanged in the changelog."""


class Outcome(StrEnum):
    """Outcome of a message that was not refused; refusals count under their `Reason`."""

    SCORED = "scored"  # gave at least one scored row
    WARMING = "warming"  # its key still warms up
    WINDOWED = "windowed"  # went into an interval that is still open
    LATE = "late"  # too old to apply
    REPEATED = "repeated"  # its row had absorbed it before a crash
    DUPLICATE = "duplicate"  # re-keying had written it before
    NO_PROFILE = "no_profile"  # its key matches no pattern, and there is no model for it
    ABSENT = "absent"  # no message at that offset: transaction marker, compacted


class MetaRow(msgspec.Struct, kw_only=True):
    """Kept with the state of a partition, under a key of its own.

    `counts` adds up to the offsets: `sum(counts) == absorbed + 1 - first_offset`.
    """

    topic_id: str = ""
    """Kafka's id of the input topic; empty where the broker has none."""
    changelog_id: str = ""
    """Kafka's id of the changelog; empty where the broker has none, and until known."""
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
    events_from_ms: int | msgspec.UnsetType = msgspec.UNSET
    """Records with a lower Kafka timestamp warm keys up and give no events. With re-keying only:
    there the offsets of history are not known when a group begins."""
    sequences: dict[str, tuple[int, int]] | msgspec.UnsetType = msgspec.UNSET
    """Offset and number of the last record of each source partition, where one may come twice."""
    clock_bound_us: int = 0
    """Latest time that a worker's clock allows, since a record claimed a later one; 0: none did."""
    silent_until_us: int | msgspec.UnsetType = msgspec.UNSET
    """Clock up to which silence is told without a record, before the next one is absorbed; unset
    once it is told."""
    quiet_us: tuple[int, int] | msgspec.UnsetType = msgspec.UNSET
    """Longest two usual times without any record, by the worker's clock; unset before the first."""
    model: str = ""
    """SHA-256 of the model that wrote the rows."""
    rebased: int = 0
    """Runs of `ember state rebase`. It writes all rows anew, so that older snapshots do not fit."""
    counts: dict[str, int] = {}
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    """Name, type and shape of every field of the rows, in the order they lie in."""
    channels: list[str] = []
    """The model's channels, in the order of the fields that have one number each."""
    epochs: list[ModelEpoch] = msgspec.field(default_factory=list, name="judges")
    """Models and their thresholds, each from an offset on; newest last."""
    control: list[ControlEpoch] | msgspec.UnsetType = msgspec.UNSET
    """Sets of documents of operators, each from an offset on; newest last. Unset until a worker
    follows a control topic."""
    former: list[FormerModel] = []
    """Layouts of rows of earlier models; newest last."""
    profiles: list[FormerModel] | msgspec.UnsetType = msgspec.UNSET
    """Layouts of the rows of the other models; only where there are profiles."""

    def begin_at(self, position: int) -> None:
        """Begin the counting at an offset, unless it has begun: the row is written before a record.

        Without it the group would have an offset, and no state for it.
        """
        if self.first_offset < 0:
            self.first_offset, self.absorbed = position, position - 1

    def open_at(
        self,
        position: int,
        events_from: int,
        events_from_ms: int | None,
        version: ModelVersion,
    ) -> bool:
        """Note the offset at which absorbing begins or goes on, and the model that scores there.

        Args:
            position: Next offset to absorb.
            events_from: Offset before which records warm keys up and give no events, where there
                is no state yet; -1: every record may.
            events_from_ms: Kafka timestamp before which they do; None: it does not matter.
            version: The model and its thresholds.

        Returns:
            Whether the row is to be written before the next record: a replay must find it.
        """
        has_state = self.absorbed >= 0
        if self.first_offset < 0 and events_from > position:
            self.begin_at(position)
            self.events_from = events_from
            has_state = True
        elif self.first_offset < 0 and events_from_ms is not None:
            self.begin_at(position)
            self.events_from_ms = events_from_ms
            has_state = True
        return self.note_model(position, version) and has_state

    def add(self, outcome: str, messages: int) -> None:
        """Count messages under an outcome."""
        if messages:
            self.counts[outcome] = self.counts.get(outcome, 0) + messages

    def gives_events(self, offset: Any, timestamp_ms: Any) -> Any:
        """Return whether records may give events; works on numbers and on arrays of them.

        Args:
            offset: Offsets of the records.
            timestamp_ms: Kafka timestamps of the records.
        """
        gives = offset >= self.events_from
        if self.events_from_ms is not msgspec.UNSET:
            gives = gives & (timestamp_ms >= self.events_from_ms)
        return gives

    def note_source(self, position: SourcePosition) -> bool:
        """Note a re-keyed record, and return whether it was noted before.

        A writer copies a source partition in its order, and begins again at an offset below which
        everything is written. So a record stands in the topic only behind all earlier ones of its
        source, and whatever is not beyond the last one was there before.
        """
        if self.sequences is msgspec.UNSET:
            self.sequences = {}
        if position[1:] <= self.sequences.get(position.sequence, (-1, -1)):
            return True
        self.sequences[position.sequence] = position.offset, position.number
        return False

    def note_model(self, offset: int, version: ModelVersion) -> bool:
        """Note that a model scores from an offset on.

        Args:
            offset: Next offset to absorb.
            version: The model and its thresholds.

        Returns:
            Whether it is another one than before.
        """
        if self.epochs and self.epochs[-1].version == version:
            return False
        # Without a record in between thresholds leave no trace; another model migrates the rows.
        earlier = [
            epoch
            for epoch in self.epochs
            if epoch.offset < offset
            or (epoch.offset == offset and not epoch.version.same_models(version))
        ][-KEPT + 1 :]
        self.epochs = [*earlier, ModelEpoch(offset, version)]
        return True

    @property
    def control_epochs(self) -> list[ControlEpoch]:
        """Sets of documents by their first offset; empty until a worker follows them."""
        return [] if self.control is msgspec.UNSET else self.control

    @property
    def control_digest(self) -> str:
        """Digest of the documents that were noted last; empty: of none."""
        epochs = self.control_epochs
        return epochs[-1].digest if epochs else ""

    def note_control(self, offset: int, digest: str) -> bool:
        """Note that a set of documents is in force from an offset on.

        Args:
            offset: Next offset to absorb.
            digest: Digest of the set.

        Returns:
            Whether it is another one than before.
        """
        epochs = self.control_epochs
        if epochs and digest == epochs[-1].digest:
            return False
        # A later epoch was noted but never used.
        earlier = [epoch for epoch in epochs if epoch.offset < offset][-KEPT + 1 :]
        if not earlier or digest != earlier[-1].digest:
            earlier.append(ControlEpoch(offset, digest))
        self.control = earlier
        return True

    def last_other_model(self, model: str, profile: str = "") -> int:
        """Return the offset at which the last other model came; -1 where none did.

        Args:
            model: SHA-256 of the model.
            profile: Pattern of the keys that it is for; empty: those of no profile.
        """
        offsets = [
            epoch.offset for epoch in self.epochs if epoch.version.model_for(profile) != model
        ]
        return offsets[-1] if offsets else -1

    def drop_unused_model(self, *models: str) -> None:
        """Forget models that were noted, and whose worker died before it wrote a row under them.

        The meta row must be as it was read.

        Args:
            *models: SHA-256 of the models that score now; those stay.
        """
        if not self.epochs:
            return
        written = {layout.model for layout in self.described()}
        if self.epochs[-1].version.models not in (written, set(models)):
            self.epochs = self.epochs[:-1]

    def described(self) -> list[FormerModel]:
        """Return the layouts of all rows that are written now, those of the profiles last."""
        layout = FormerModel(self.model, self.fields, self.channels)
        return [layout, *(() if self.profiles is msgspec.UNSET else self.profiles)]

    def describe_rows(self, rows: FormerModel, *profiles: FormerModel) -> None:
        """Describe the rows that this worker writes from now on.

        Args:
            rows: Layout of the model's rows.
            *profiles: Layouts of the rows of further models, where there are profiles.
        """
        current = {layout.model for layout in (rows, *profiles)}
        for layout in self.described():
            if layout.model in ("", *current) or not layout.fields:
                continue
            earlier = [former for former in self.former if former.model != layout.model]
            self.former = [*earlier[-_FORMER_MODELS * len(current) + 1 :], layout]
        self.model, self.fields, self.channels = rows.model, rows.fields, list(rows.channels)
        self.profiles = list(profiles) or msgspec.UNSET

    def encode(self) -> bytes:
        """Return JSON, readable with any Kafka tool."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> MetaRow:
        """Inverse of `encode`.

        Raises:
            msgspec.DecodeError: If the value is not a meta row.
            UnicodeError: If its text is not UTF-8.
        """
        return msgspec.json.decode(value, type=cls)
