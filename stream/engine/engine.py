"""The engine as edges and backtest see it: partitions in, results and changed rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from ember_core import ops
from ember_core.fleet import FleetModel
from stream.engine.adopt import describe, mark_of
from stream.engine.decide import Decider
from stream.engine.layout import RowLayout, WindowSpec
from stream.engine.meta import META_KEY, MetaRow
from stream.engine.partition import Partition
from stream.engine.result import TP, DirtyRows, Fetch, LoadReport, Moved, StepResult
from stream.engine.snapshot import RowBlock, Walk
from stream.engine.spill import Spill
from stream.engine.step import Limits, Stepper
from stream.engine.store import Store
from stream.records import Decoded


class Engine:
    """State and decisions of all partitions a worker owns. Pure: no clock, no I/O, no threads.

    Args:
        model: The fleet's model.
        window: How samples become rows.
        limits: Bounds of what may come in.
        spill: Makes a place for rows of a partition that memory does not hold; None: a new key
            beyond `limits.max_keys` is refused.

    Raises:
        ValueError: If the model is not on NumPy's arrays, which rows of state are.
    """

    def __init__(
        self,
        model: FleetModel,
        window: WindowSpec | None = None,
        limits: Limits | None = None,
        spill: Callable[[], Spill] | None = None,
    ) -> None:
        backend = ops.backend_name(model.pipeline.rbm.weights.data)
        if backend != "numpy":
            raise ValueError(
                "The engine scores on NumPy, where a row's bits do not depend on its batch. "
                f"Expected a model on numpy. Received: backend={backend!r}. "
                'Move it with model.to(backend="numpy"), or load it so: '
                'FleetModel.load(folder, backend="numpy").'
            )
        window, limits = window or WindowSpec(), limits or Limits()
        self.model = model
        self._store = Store(model, window, limits.max_keys, limits.stale_intervals)
        self._spill = spill
        row_us = window.interval_us if window.mode == "time" else 0
        decider = Decider(model, self._store, row_us)
        self._stepper = Stepper(self._store, decider, window, limits)
        self._parts: dict[TP, Partition] = {}
        self._numbers = 0

    @property
    def layout(self) -> RowLayout:
        """Fields of a row."""
        return self._store.layout

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, in memory and in the changelog."""
        return self._store.layout.nbytes

    @property
    def channels(self) -> tuple[str, ...]:
        """The model's channels, in the order of `Decoded.values`."""
        return self.model.channels

    @property
    def active_keys(self) -> int:
        """Keys held, over all partitions."""
        return self._store.slab.used

    def flagged(self, field: Literal["firing", "stale"]) -> int:
        """Keys in memory that fire now, or count as silent."""
        slab, at = self._store.slab, self._store.layout.dtype.fields
        assert at is not None
        column = slab.rows[: slab.high, at[field][1]]
        return int(np.count_nonzero(column[slab.owner[: slab.high] >= 0]))

    def attached(self) -> list[TP]:
        """Partitions owned."""
        return list(self._parts)

    def attach(self, tp: TP) -> None:
        """Begin owning a partition, with no keys and a fresh meta row. No-op when owned."""
        tp = (tp[0], tp[1])
        if tp not in self._parts:
            self._numbers += 1
            part = Partition(tp, self._numbers)
            self._describe(part.meta)
            if self._spill is not None:
                part.spill = self._spill()
            self._store.overflow.opened(part)
            self._parts[tp] = part

    def detach(self, tp: TP) -> None:
        """Stop owning a partition and free its rows. No-op when not owned."""
        part = self._parts.pop((tp[0], tp[1]), None)
        if part is not None:
            self._store.drop(part)

    def step(self, tp: TP, batch: Decoded, fetch: Fetch) -> StepResult:
        """Absorb a fetch of a partition.

        Args:
            tp: The partition; attached.
            batch: The fetch, decoded for `channels`.
            fetch: Offsets and Kafka timestamps of its messages.

        Raises:
            KeyError: If the partition is not attached.
        """
        return self._stepper.step(self._parts[tp[0], tp[1]], batch, fetch)

    def open(self, tp: TP, position: int, events_from: int) -> bool:
        """Say where absorbing goes on, before it does.

        Args:
            tp: The partition; its rows are loaded.
            position: Next offset to absorb.
            events_from: Where there is no state yet: the offset before which records warm keys up
                and give no events; -1: every record may.

        Returns:
            Whether the meta row says something new, to be written before the next record: a
            replay must find it.
        """
        meta = self.meta(tp)
        if meta.first_offset >= 0 or events_from <= position:
            return False
        meta.first_offset, meta.absorbed = position, position - 1
        meta.events_from = events_from
        return True

    def meta(self, tp: TP) -> MetaRow:
        """Meta row of a partition; may be written to."""
        return self._parts[tp[0], tp[1]].meta

    def room(self) -> int:
        """New keys that find room now: slots that are free, or whose rows may leave memory."""
        slab = self._store.slab
        if self._spill is None:
            return slab.max_keys  # nothing would be gained by waiting
        return slab.max_keys - int(np.count_nonzero(slab.dirty[: slab.high]))

    @property
    def moved(self) -> Moved:
        """Rows moved out of memory, back, and forgotten for want of disk, so far."""
        overflow = self._store.overflow
        return Moved(overflow.evicted, overflow.returned, overflow.forgotten)

    def keys(self, tp: TP) -> int:
        """Number of keys of a partition that are in memory."""
        return len(self._parts[tp[0], tp[1]].index)

    def row(self, tp: TP, key: bytes) -> bytes | None:
        """Bytes of a key's row, or None."""
        part = self._parts[tp[0], tp[1]]
        slot = part.index.get(key)
        if slot is None:
            return self._store.overflow.away(part, [key]).get(key)
        return bytes(self._store.slab.rows[slot])

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
        flat = slab.rows[slots].tobytes()
        slab.dirty[slots] = False
        n = self.row_bytes
        rows: list[bytes | None] = [flat[i : i + n] for i in range(0, len(flat), n)]
        keys = [slab.key(slot) for slot in slots.tolist()]
        gone, part.tombstones = [k for k in part.tombstones if k not in part.index], []
        keys, rows = [*gone, *keys], [*[None] * len(gone), *rows]
        return DirtyRows([*keys, META_KEY], [*rows, part.meta.encode()])

    def mark_dirty(self, tp: TP, keys: Iterable[bytes]) -> None:
        """Mark rows as changed again, after they could not be written."""
        index = self._parts[tp[0], tp[1]].index
        slots = [index[k] for k in keys if k in index]
        self._store.slab.dirty[np.asarray(slots, dtype=np.int64)] = True

    def load(self, tp: TP, keys: Sequence[bytes], values: Sequence[bytes | None]) -> LoadReport:
        """Merge changelog rows in: a row is taken only if its source offset is not older.

        Args:
            tp: The partition; attached if it was not.
            keys: Stream keys, or `META_KEY`.
            values: Rows; None is a tombstone.
        """
        self.attach(tp)
        part = self._parts[tp[0], tp[1]]
        damaged: list[tuple[bytes, str]] = []
        rows: list[tuple[bytes, bytes | None]] = []
        for key, value in zip(keys, values, strict=True):
            if key != META_KEY:
                rows.append((key, value))
            elif value is None:
                part.meta = MetaRow()  # the partition begins anew
                self._describe(part.meta)
            else:
                try:
                    meta = MetaRow.decode(value)
                except (msgspec.DecodeError, UnicodeError) as error:
                    damaged.append((key, f"not a meta row: {error}"))
                    continue
                described = describe(meta)
                if described is not None and meta.model:
                    part.described[mark_of(meta.model)] = described
                if meta.absorbed >= part.meta.absorbed:
                    part.meta = meta
                    self._describe(meta)
        accepted, stale, broken = self._store.merge(part, rows)
        return LoadReport(accepted, stale, damaged + broken)

    def row_kind(self) -> tuple[str, list[tuple[str, str, tuple[int, ...]]]]:
        """What rows are: SHA-256 of their model; name, type and shape of every field."""
        return self.model.sha256, self._store.layout.spec

    def walk(self, tp: TP) -> Walk:
        """Begin to copy the rows of a partition; only one walk of a partition at a time."""
        store = self._store
        return Walk(store.slab, store.overflow, self._parts[tp[0], tp[1]])

    def load_block(self, tp: TP, block: RowBlock) -> LoadReport:
        """Merge rows of a walk in, into a partition that is attached."""
        return LoadReport(*self._store.load_block(self._parts[tp[0], tp[1]], block))

    def _describe(self, meta: MetaRow) -> None:
        """What this worker's rows are: what it writes from now on."""
        meta.model = self.model.sha256
        meta.fields, meta.channels = self._store.layout.spec, list(self.channels)

    def adopt(self, tp: TP) -> LoadReport:
        """After all rows are loaded: take over those of another layout or model, by field name."""
        made, damaged = self._store.adopt(self._parts[tp[0], tp[1]])
        return LoadReport(made, 0, damaged)
