"""The engine as edges and backtest see it: partitions in, results and changed rows out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ember_core import ops
from ember_core.pipeline import FleetModel
from stream.engine.state.layout import RowLayout, WindowSpec
from stream.engine.state.merge import LoadReport
from stream.engine.state.meta import META_KEY, MetaRow
from stream.engine.state.model_version import ModelVersion, model_version_of
from stream.engine.state.partition import Partition
from stream.engine.state.snapshot import RowBlock, SnapshotScan
from stream.engine.state.spill import Spill
from stream.engine.state.table import Store
from stream.engine.state.tombstones import Tombstone
from stream.engine.state.transfer import copy_rows, transfer_rows
from stream.records import Decoded
from stream.types import TP

from .decide import Decider
from .episodes import Episodes
from .loading import StateLoader
from .result import DirtyRows, Fetch, Moved, RowsTaken, StepResult
from .shadow import Comparison, check_candidate
from .step import Limits, Stepper


class Engine:
    """State and decisions of all partitions a worker owns. Pure: no clock, no I/O, no threads.

    Attributes:
        model: The live model.
        comparison: Comparison of it and a candidate on the same rows; None without one.

    Args:
        model: The fleet's model.
        window: Windows that make rows of samples.
        limits: Bounds of the records.
        spill: Function that makes a place for rows of a partition that memory does not hold; None:
            a new key beyond `limits.max_keys` is refused.

    Raises:
        ValueError: If the model is not on NumPy's arrays, which rows of state are.
    """

    comparison: Comparison | None = None
    _candidate: Engine | None = None

    def __init__(
        self,
        model: FleetModel,
        window: WindowSpec | None = None,
        limits: Limits | None = None,
        spill: Callable[[], Spill] | None = None,
    ) -> None:
        self._window, self._limits = window or WindowSpec(), limits or Limits()
        self._spill = spill
        self._parts: dict[TP, Partition] = {}
        self._attached = 0  # partitions so far: the number of the last one
        self._use(model, self._new_store(model))

    def _new_store(self, model: FleetModel) -> Store:
        backend = ops.backend_name(model.pipeline.rbm.weights.data)
        if backend != "numpy":
            raise ValueError(
                "The engine scores on NumPy, where a row's bits do not depend on its batch. "
                f"Expected a model on numpy. Received: backend={backend!r}. "
                'Move it with model.to(backend="numpy"), or load it so: '
                'FleetModel.load(folder, backend="numpy").'
            )
        limits = self._limits
        return Store(model, self._window, limits.max_keys, limits.stale_intervals, limits.ttl_us)

    def _use(self, model: FleetModel, store: Store) -> None:
        window = self._window
        row_us = window.interval_us if window.mode == "time" else 0
        self.model, self._store = model, store
        self._model_version = model_version_of(model)
        self._loader = StateLoader(store, model.sha256)
        decider, episodes = Decider(model.pipeline, store.decided), Episodes(model, store, row_us)
        self._stepper = Stepper(store, decider, episodes, window, self._limits)

    @property
    def judge(self) -> ModelVersion:
        """The live model and its thresholds."""
        return self._model_version

    def schedule_switch(self, tp: TP, offset: int, model: FleetModel) -> None:
        """Note in the meta row that a model scores from an offset on; `switch_model` must follow.

        The meta row has to be written before it does, so that a replay changes at this record.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            model: The model, configured.
        """
        self.meta(tp).note_model(offset, model_version_of(model))

    def switch_model(self, model: FleetModel, owned: Collection[TP] = ()) -> None:
        """Score with a model from the next record on, in all partitions.

        Under the same weights nothing but the thresholds changes. Of another model's rows the
        measurements of each key are kept, as at a start (`state.migration`), and the key stays
        without events for `quiet_rows` rows.

        Args:
            model: The model, configured.
            owned: Partitions whose rows this worker writes to the changelog.

        Raises:
            ValueError: If the model is not on NumPy's arrays.
        """
        store, former = self._new_store(model), self._store
        self.shadow_by(None)  # the model that was compared is not the live one any more
        for tp, part in self._parts.items():
            # A scan of the old rows ends: it sees its own partition gone.
            self._parts[tp] = replace(part, evicted_during_scan=None)
            part.gone = True
        transfer_rows(former, store, self._parts.values(), owned)
        self._use(model, store)
        for part in self._parts.values():
            self._loader.describe_rows(part.meta)

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
        """Return the number of keys in memory that fire now, or are idle."""
        slab, dtype_fields = self._store.slab, self._store.layout.dtype.fields
        assert dtype_fields is not None
        column = slab.rows[: slab.high, dtype_fields[field][1]]  # both fields are one byte
        return int(np.count_nonzero(column[slab.owner[: slab.high] >= 0]))

    def attached(self) -> list[TP]:
        """Return the partitions owned."""
        return list(self._parts)

    def shadow_by(self, candidate: FleetModel | None) -> None:
        """Let a candidate score the same records from now on, without events; None: end that.

        It begins with the measurements in the rows of each key. No result depends on it.

        Args:
            candidate: The model, configured; its channels must be those of the model.

        Raises:
            ValueError: If it has other channels, or is not on NumPy's arrays.
        """
        self._candidate, self.comparison = None, None
        if candidate is None:
            return
        check_candidate(candidate, self.channels)
        self._candidate = Engine(candidate, self._window, self._limits)
        self.comparison = Comparison()

    def _copy_to(self, candidate: Engine, part: Partition) -> None:
        """Give a candidate the rows of a partition it sees for the first time."""
        if part.tp in candidate._parts:
            return
        candidate.attach(part.tp)
        twin = candidate._parts[part.tp]
        twin.meta.clock_us, twin.meta.events_from = part.meta.clock_us, part.meta.events_from
        twin.meta.absorbed, twin.meta.first_offset = part.meta.absorbed, part.meta.first_offset
        twin.index = dict(part.index)
        copy_rows(twin, self._store, candidate._store, dirty=False)

    def _compare(
        self, partitions: Sequence[tuple[TP, int]], batch: Decoded, fetch: Fetch, live: StepResult
    ) -> None:
        """Let a candidate score the same records; one that fails is given up."""
        candidate, comparison = self._candidate, self.comparison
        if candidate is None or comparison is None:
            return
        try:
            result = candidate.step_all(partitions, batch, fetch)
            comparison.add(batch.keys, live.scores, result.scores)
        except Exception as error:  # noqa: BLE001  # a candidate must not end the worker
            self._candidate = None
            comparison.failed = f"{type(error).__name__}: {error}"

    def attach(self, tp: TP) -> None:
        """Begin owning a partition, with no keys and a fresh meta row. No-op when owned."""
        tp = (tp[0], tp[1])
        if tp not in self._parts:
            self._attached += 1
            part = Partition(tp, self._attached)
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
        if self._candidate is not None:
            self._candidate.detach(tp)

    def step(self, tp: TP, batch: Decoded, fetch: Fetch) -> StepResult:
        """Absorb a fetch of a partition.

        Args:
            tp: The partition; attached.
            batch: The fetch, decoded for `channels`.
            fetch: Offsets and Kafka timestamps of its messages.

        Raises:
            KeyError: If the partition is not attached.
        """
        return self.step_all([(tp, len(fetch.offsets))], batch, fetch)

    def step_all(
        self, partitions: Sequence[tuple[TP, int]], batch: Decoded, fetch: Fetch
    ) -> StepResult:
        """Absorb a fetch of several partitions of one topic at once.

        State and events of each partition are those of a step of its own. The fixed cost of a
        step is shared.

        Args:
            partitions: The partitions, all attached and none twice, and the messages of each.
            batch: The fetch, decoded for `channels`: the messages of the first partition, then
                those of the next.
            fetch: Offsets and Kafka timestamps of its messages, rising within each partition.

        Raises:
            KeyError: If a partition is not attached.
        """
        parts = [(self._parts[tp[0], tp[1]], count) for tp, count in partitions]
        if self._candidate is not None:
            for part, _ in parts:
                self._copy_to(self._candidate, part)
        result = self._stepper.step(parts, batch, fetch)
        self._compare(partitions, batch, fetch, result)
        return result

    def open(self, tp: TP, position: int, events_from: int) -> bool:
        """Note the offset at which absorbing begins or goes on, before it does.

        Args:
            tp: The partition; its rows are loaded.
            position: Next offset to absorb.
            events_from: Offset before which records warm keys up and give no events, where there
                is no state yet; -1: every record may.

        Returns:
            Whether the meta row is to be written before the next record: a replay must find it.
        """
        part = self._parts[tp[0], tp[1]]
        self._store.slab.mark_migrated_dirty(part.number)
        meta = part.meta
        has_state = meta.absorbed >= 0
        if meta.first_offset < 0 and events_from > position:
            meta.first_offset, meta.absorbed = position, position - 1
            meta.events_from = events_from
            has_state = True
        return meta.note_model(position, self._model_version) and has_state

    def meta(self, tp: TP) -> MetaRow:
        """Return the meta row of a partition; may be written to."""
        return self._parts[tp[0], tp[1]].meta

    def room(self) -> int:
        """Return the number of new keys with room: slots that are free, or may be evicted."""
        slab = self._store.slab
        if self._spill is None:
            return slab.max_keys  # a wait would free no slot
        return slab.max_keys - slab.dirty_count()

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

    def walk(self, tp: TP) -> SnapshotScan:
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
