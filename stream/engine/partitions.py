"""Partitions that a worker owns: their rows and meta rows, in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from ember_core.pipeline import FleetModel
from stream.engine.state.layout import RowLayout
from stream.engine.state.merge import LoadReport
from stream.engine.state.meta import META_KEY, MetaRow
from stream.engine.state.model_version import ModelVersion
from stream.engine.state.partition import Partition
from stream.engine.state.snapshot import RowBlock, RowScan, SnapshotScan
from stream.engine.state.spill import Spill
from stream.engine.state.table import Store
from stream.engine.state.tombstones import Tombstone
from stream.types import TP

from .loading import ChangelogLoader
from .result import DirtyRows, Moved, RowsTaken


class OwnedPartitions:
    """State of all partitions a worker owns: it is loaded, read, and taken to be written.

    Attributes:
        model: The live model.

    Args:
        spill: Function that makes a place for rows of a partition that memory does not hold; None:
            there is none.
        stream_names: Name of the stream in events, by input topic that is an internal one.
    """

    model: FleetModel
    _model_version: ModelVersion
    _store: Store
    _loader: ChangelogLoader

    def __init__(
        self, spill: Callable[[], Spill] | None, stream_names: Mapping[str, str] | None = None
    ) -> None:
        self._spill, self._stream_names = spill, stream_names or {}
        self._parts: dict[TP, Partition] = {}
        self._attached = 0  # partitions so far: the number of the last one

    @property
    def layout(self) -> RowLayout:
        """Fields of a row."""
        return self._store.layout

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, in memory and in the changelog."""
        return self._store.layout.nbytes

    @property
    def state_bytes(self) -> int:
        """Bytes of all rows in memory."""
        return self.row_bytes * self.active_keys

    @property
    def active_keys(self) -> int:
        """Keys held, over all partitions."""
        return self._store.slab.used

    def flagged(self, field: Literal["firing", "stale", "known"]) -> int:
        """Return the number of keys in memory that fire now, are idle, or are in the model."""
        slab, dtype_fields = self._store.slab, self._store.layout.dtype.fields
        assert dtype_fields is not None
        column = slab.rows[: slab.high, dtype_fields[field][1]]  # all are one byte
        return int(np.count_nonzero(column[slab.owner[: slab.high] >= 0]))

    def missing_channels(self) -> dict[str, int]:
        """Return the number of keys in memory that lack a channel, by channel; some do."""
        store = self._store
        if "channel_gone" not in store.fields:
            return {}
        slab = store.slab
        used = slab.owner[: slab.high] >= 0
        counts = (store.fields["channel_gone"][: slab.high][used] > 0).sum(axis=0)
        names = self.model.channels
        return {names[i]: int(counts[i]) for i in np.flatnonzero(counts).tolist()}

    def open_intervals(self) -> int:
        """Return the number of intervals of keys in memory that no sample has closed yet."""
        if "window_open" not in self._store.fields:
            return 0
        slots = np.flatnonzero(self._store.slab.owner >= 0)
        return int(self._store.fields["window_open"][slots].sum())

    def attached(self) -> list[TP]:
        """Return the partitions owned."""
        return list(self._parts)

    def attach(self, tp: TP) -> None:
        """Begin owning a partition, with no keys and an empty meta row. No-op when owned."""
        tp = (tp[0], tp[1])
        if tp not in self._parts:
            self._attached += 1
            part = Partition(tp, self._attached, self._stream_names.get(tp[0], tp[0]))
            self._loader.describe_rows(part.meta)
            if self._spill is not None:
                part.spill = self._spill()
            self._store.evictor.add_partition(part)
            self._parts[tp] = part

    def detach(self, tp: TP) -> None:
        """Stop owning a partition and free its rows. No-op when not owned."""
        part = self._parts.pop((tp[0], tp[1]), None)
        if part is not None:
            self._store.drop(part)

    def open(
        self, tp: TP, position: int, events_from: int, events_from_ms: int | None = None
    ) -> bool:
        """Note the offset at which absorbing begins or goes on, before it does.

        Args:
            tp: The partition; its rows are loaded.
            position: Next offset to absorb.
            events_from: Offset before which records warm keys up and give no events, where there
                is no state yet; -1: every record may.
            events_from_ms: Kafka timestamp before which they do; None: it does not matter.

        Returns:
            Whether the meta row is to be written before the next record: a replay must find it.
        """
        part = self._parts[tp[0], tp[1]]
        self._store.slab.mark_migrated_dirty(part.number)
        return part.meta.open_at(position, events_from, events_from_ms, self._model_version)

    def meta(self, tp: TP) -> MetaRow:
        """Return the meta row of a partition; may be written to."""
        return self._parts[tp[0], tp[1]].meta

    def key_capacity(self) -> int:
        """Return the number of new keys that fit: slots that are free, or may be evicted."""
        slab = self._store.slab
        if self._spill is None:
            return slab.max_keys  # a wait would free no slot
        return slab.max_keys - slab.dirty_count()

    def has_unwritten(self, tp: TP) -> bool:
        """Return whether rows of a partition changed since they were last taken."""
        return bool(self._store.slab.dirty_slots(self._parts[tp[0], tp[1]].number).size)

    def unwritten_bytes(self) -> int:
        """Return the bytes of the rows that changed since they were last taken."""
        return self.row_bytes * self._store.slab.dirty_count()

    @property
    def moved(self) -> Moved:
        """Rows moved out of memory, back, and forgotten, so far."""
        evictor = self._store.evictor
        return Moved(evictor.evicted, evictor.returned, evictor.forgotten, evictor.expired)

    def keys(self, tp: TP) -> int:
        """Return the number of keys of a partition that are in memory."""
        return len(self._parts[tp[0], tp[1]].index)

    def row(self, tp: TP, key: bytes) -> bytes | None:
        """Return the bytes of a key's row, or None."""
        part = self._parts[tp[0], tp[1]]
        slot = part.index.get(key)
        if slot is not None:
            return bytes(self._store.slab.rows[slot])
        evictor = self._store.evictor
        spilled = evictor.spilled(part, [key]).get(key)
        return None if spilled is None else evictor.migrated_row(part, key, spilled).tobytes()

    def take_dirty(self, tp: TP, limit: int | None = None) -> DirtyRows:
        """Copy rows changed since they were last taken, and mark them clean.

        Args:
            tp: The partition.
            limit: Most rows to take; the others stay dirty.

        Returns:
            Keys and rows; the last entry is the meta row, under `META_KEY`.
        """
        part, slab = self._parts[tp[0], tp[1]], self._store.slab
        slots = slab.dirty_slots(part.number)[:limit]
        block = np.take(slab.rows, slots, axis=0)
        slab.dirty[slots] = False
        tombstones, part.tombstones = [k for k in part.tombstones if k not in part.index], {}
        keys = [*tombstones, *slab.keys(slots), META_KEY]
        return DirtyRows(keys, RowsTaken(len(tombstones), block, part.meta.encode()))

    def load(
        self, tp: TP, keys: Sequence[bytes], values: Sequence[bytes | Tombstone | None]
    ) -> LoadReport:
        """Merge changelog rows: a row is taken only if its source offset is not older.

        Args:
            tp: The partition; attached if it was not.
            keys: Stream keys, or `META_KEY`.
            values: Rows; None is a tombstone, as is `Tombstone`, which holds up to an offset.
        """
        self.attach(tp)
        return self._loader.load(self._parts[tp[0], tp[1]], keys, values)

    def load_block(self, tp: TP, block: RowBlock) -> LoadReport:
        """Merge rows of a snapshot into a partition that is attached."""
        return self._loader.load_block(self._parts[tp[0], tp[1]], block)

    def row_kind(self) -> tuple[str, list[tuple[str, str, tuple[int, ...]]]]:
        """Return SHA-256 of the rows' model; name, type and shape of every field."""
        return self.model.sha256, self._store.layout.spec

    def scan(self, tp: TP) -> RowScan:
        """Begin to copy the rows of a partition; only one scan of a partition at a time."""
        store = self._store
        return SnapshotScan(store.slab, store.evictor, self._parts[tp[0], tp[1]])

    def newer(self, tp: TP) -> int:
        """Return the highest layout version of loaded rows if it cannot be read; else 0."""
        return self._loader.newer_layout(self._parts[tp[0], tp[1]])

    def migrate(self, tp: TP, limit: int | None = None) -> LoadReport:
        """Migrate rows of another layout or model, by field name, after all rows are loaded.

        They are written to the changelog once the partition is open.

        Args:
            tp: The partition.
            limit: Most rows to look at, the others wait for the next call; None: all of them.
        """
        return self._loader.migrate(self._parts[tp[0], tp[1]], limit)

    def unmigrated(self, tp: TP) -> int:
        """Return the number of rows that wait for `migrate`; at most so many."""
        return self._parts[tp[0], tp[1]].unmigrated_rows()
