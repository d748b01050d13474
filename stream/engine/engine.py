"""The engine as edges and backtest see it: partitions in, results and changed rows out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np

from ember_core import ops
from ember_core.pipeline import FleetModel
from stream.engine.state.layout import LAYOUT_VERSION, RowLayout, WindowSpec
from stream.engine.state.meta import META_KEY, MetaRow
from stream.engine.state.migration import Description, describe, mark_of
from stream.engine.state.model_version import (
    KEPT,
    FormerModel,
    ModelEpoch,
    ModelVersion,
    model_version_of,
)
from stream.engine.state.partition import Partition
from stream.engine.state.snapshot import RowBlock, SnapshotScan
from stream.engine.state.spill import Spill
from stream.engine.state.table import Store
from stream.engine.state.tombstones import Tombstone
from stream.records import Decoded

from .decide import Decider
from .result import TP, DirtyRows, Fetch, LoadReport, Moved, RowsTaken, StepResult
from .shadow import Comparison, check_candidate
from .step import Limits, Stepper

_FORMER = 8
"""Earlier models whose rows can still be read where they lie unchanged in the changelog."""
_ADOPTED = 4096
"""Rows looked at in one go, where all of them are to be adopted."""


class Engine:
    """State and decisions of all partitions a worker owns. Pure: no clock, no I/O, no threads.

    Attributes:
        model: The model that judges.
        comparison: What it and a candidate have said of the same rows; None without one.

    Args:
        model: The fleet's model.
        window: How samples become rows.
        limits: Bounds of what may come in.
        spill: Makes a place for rows of a partition that memory does not hold; None: a new key
            beyond `limits.max_keys` is refused.

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
        self._numbers = 0
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
        self._judge = model_version_of(model)
        self._stepper = Stepper(store, Decider(model, store, row_us), window, self._limits)

    @property
    def judge(self) -> ModelVersion:
        """The model and thresholds that judge now."""
        return self._judge

    def schedule_switch(self, tp: TP, offset: int, model: FleetModel) -> None:
        """Note in the meta row that from an offset on a model judges: `switch_model` must follow.

        The meta row has to be written before it does, so that a replay changes at this record.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            model: The model, configured.
        """
        self._note(self.meta(tp), offset, model_version_of(model))

    def _note(self, meta: MetaRow, offset: int, judge: ModelVersion) -> bool:
        """Whether the judge was not the one of the record before."""
        last = meta.judges[-1] if meta.judges else None
        if last is not None and last.judge == judge:
            return False
        before = [each for each in meta.judges if each.offset < offset][-KEPT + 1 :]
        meta.judges = [*before, ModelEpoch(offset, judge)]
        return True

    def switch_model(self, model: FleetModel, written_by_us: Collection[TP] = ()) -> None:
        """Let a model judge from the next record on, in all partitions.

        Under the same weights nothing but the thresholds changes. Of another model's rows what was
        measured of the key is kept, as at a start (`state.migration`), and the key stays
        without events for `quiet_rows` rows.

        Args:
            model: The model, configured.
            written_by_us: Partitions whose rows this worker writes to the changelog.

        Raises:
            ValueError: If the model is not on NumPy's arrays.
        """
        store, former = self._new_store(model), self._store
        self.shadow_by(None)  # who was compared is not who judges now
        for tp, part in self._parts.items():
            self._parts[tp] = replace(
                part, departed=None
            )  # whoever still walks through the old rows ends there
            part.gone = True
        store.take_over(former, self._parts.values(), written_by_us)
        self._use(model, store)
        for part in self._parts.values():
            self._describe(part.meta)

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

    def shadow_by(self, candidate: FleetModel | None) -> None:
        """Let a candidate score the same records from now on, without events; None: nobody.

        It begins with what the rows have measured of each key. No result depends on it.

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

    def _follow(self, candidate: Engine, part: Partition) -> None:
        """Give a candidate the rows of a partition it sees for the first time."""
        if part.tp in candidate._parts:
            return
        candidate.attach(part.tp)
        twin = candidate._parts[part.tp]
        twin.meta.clock_us, twin.meta.events_from = part.meta.clock_us, part.meta.events_from
        twin.meta.absorbed, twin.meta.first_offset = part.meta.absorbed, part.meta.first_offset
        twin.index = dict(part.index)
        theirs = Description(self.layout.dtype, self._store.channels)
        candidate._store.copy(twin, self._store, theirs, dirty=False)

    def _compare(
        self, shares: Sequence[tuple[TP, int]], batch: Decoded, fetch: Fetch, live: StepResult
    ) -> None:
        """Show a candidate what was judged; one that fails is given up, and nothing else is."""
        candidate, comparison = self._candidate, self.comparison
        if candidate is None or comparison is None:
            return
        try:
            found = candidate.step_all(shares, batch, fetch)
            comparison.add(batch.keys, live.scores, found.scores)
        except Exception as error:  # noqa: BLE001  # a candidate must not end the worker
            self._candidate = None
            comparison.failed = f"{type(error).__name__}: {error}"

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
        self, shares: Sequence[tuple[TP, int]], batch: Decoded, fetch: Fetch
    ) -> StepResult:
        """Absorb a fetch of several partitions of one topic at once.

        State, and what is said of each partition, is what a step of each would give; of what the
        step costs by itself they pay one share each.

        Args:
            shares: The partitions, all attached and none twice, and the messages of each.
            batch: The fetch, decoded for `channels`: the messages of the first partition, then
                those of the next.
            fetch: Offsets and Kafka timestamps of its messages, rising within each partition.

        Raises:
            KeyError: If a partition is not attached.
        """
        parts = [(self._parts[tp[0], tp[1]], count) for tp, count in shares]
        if self._candidate is not None:
            for part, _ in parts:
                self._follow(self._candidate, part)
        result = self._stepper.step(parts, batch, fetch)
        self._compare(shares, batch, fetch, result)
        return result

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
        part = self._parts[tp[0], tp[1]]
        self._store.slab.write_adopted(part.number)
        meta = part.meta
        begun = meta.absorbed >= 0
        if meta.first_offset < 0 and events_from > position:
            meta.first_offset, meta.absorbed = position, position - 1
            meta.events_from = events_from
            begun = True
        return self._note(meta, position, self._judge) and begun

    def meta(self, tp: TP) -> MetaRow:
        """Meta row of a partition; may be written to."""
        return self._parts[tp[0], tp[1]].meta

    def room(self) -> int:
        """New keys that find room now: slots that are free, or whose rows may leave memory."""
        slab = self._store.slab
        if self._spill is None:
            return slab.max_keys  # nothing would be gained by waiting
        return slab.max_keys - slab.dirty_count()

    def unwritten_bytes(self) -> int:
        """Bytes of the rows that have changed since they were last taken."""
        return self.row_bytes * self._store.slab.dirty_count()

    @property
    def moved(self) -> Moved:
        """Rows moved out of memory, back, and forgotten, so far."""
        overflow = self._store.overflow
        return Moved(overflow.evicted, overflow.returned, overflow.forgotten, overflow.expired)

    def keys(self, tp: TP) -> int:
        """Number of keys of a partition that are in memory."""
        return len(self._parts[tp[0], tp[1]].index)

    def row(self, tp: TP, key: bytes) -> bytes | None:
        """Bytes of a key's row, or None."""
        part = self._parts[tp[0], tp[1]]
        slot = part.index.get(key)
        if slot is None:
            away = self._store.overflow.away(part, [key]).get(key)
            return None if away is None else self._store.overflow.ours(part, key, away).tobytes()
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
        block = np.take(slab.rows, slots, axis=0)
        slab.dirty[slots] = False
        gone, part.tombstones = [k for k in part.tombstones if k not in part.index], {}
        keys = [*gone, *slab.keys(slots), META_KEY]
        return DirtyRows(keys, RowsTaken(len(gone), block, part.meta.encode()))

    def mark_dirty(self, tp: TP, keys: Iterable[bytes]) -> None:
        """Mark rows as changed again, after they could not be written."""
        index = self._parts[tp[0], tp[1]].index
        slots = [index[k] for k in keys if k in index]
        self._store.slab.dirty[np.asarray(slots, dtype=np.int64)] = True

    def load(
        self, tp: TP, keys: Sequence[bytes], values: Sequence[bytes | Tombstone | None]
    ) -> LoadReport:
        """Merge changelog rows in: a row is taken only if its source offset is not older.

        Args:
            tp: The partition; attached if it was not.
            keys: Stream keys, or `META_KEY`.
            values: Rows; None is a tombstone, as is `Tombstone`, which says up to when it holds.
        """
        self.attach(tp)
        part = self._parts[tp[0], tp[1]]
        damaged: list[tuple[bytes, str]] = []
        accepted = stale = 0
        for rows, metas in _to_each_meta(keys, values):
            taken, old, broken = self._store.merge(part, rows)
            accepted, stale, damaged = accepted + taken, stale + old, damaged + broken
            for meta in metas:
                damaged += self._take_meta(part, meta)
        return LoadReport(accepted, stale, damaged)

    def _take_meta(self, part: Partition, value: bytes | None) -> list[tuple[bytes, str]]:
        """A meta row that was read; with None the partition begins anew."""
        try:
            meta = MetaRow() if value is None else MetaRow.decode(value)
        except (msgspec.DecodeError, UnicodeError) as error:
            return [(META_KEY, f"not a meta row: {error}")]
        if value is None or meta.rebased > part.meta.rebased:
            part.graves.clear()  # offsets may begin anew
        written: list[FormerModel | MetaRow] = [*meta.former, meta]
        for each in written:
            described = describe(each)
            if described is not None and each.model:
                part.described[mark_of(each.model)] = described
        if value is None or meta.absorbed >= part.meta.absorbed:
            part.meta = meta
            self._describe(meta)
        return []

    def row_kind(self) -> tuple[str, list[tuple[str, str, tuple[int, ...]]]]:
        """What rows are: SHA-256 of their model; name, type and shape of every field."""
        return self.model.sha256, self._store.layout.spec

    def walk(self, tp: TP) -> SnapshotScan:
        """Begin to copy the rows of a partition; only one walk of a partition at a time."""
        store = self._store
        return SnapshotScan(store.slab, store.overflow, self._parts[tp[0], tp[1]])

    def load_block(self, tp: TP, block: RowBlock) -> LoadReport:
        """Merge rows of a walk in, into a partition that is attached."""
        return LoadReport(*self._store.load_block(self._parts[tp[0], tp[1]], block))

    def _describe(self, meta: MetaRow) -> None:
        """What this worker's rows are: what it writes from now on."""
        if meta.model not in ("", self.model.sha256) and meta.fields:
            others = [each for each in meta.former if each.model != meta.model]
            former = FormerModel(meta.model, meta.fields, meta.channels)
            meta.former = [*others[-_FORMER + 1 :], former]
        meta.model = self.model.sha256
        meta.fields, meta.channels = self._store.layout.spec, list(self.channels)

    def newer(self, tp: TP) -> int:
        """The highest layout version of loaded rows, where this engine does not read it; else 0."""
        highest = self._store.foreign.newest(self._parts[tp[0], tp[1]])
        return highest if highest > LAYOUT_VERSION else 0

    def migrate(self, tp: TP, limit: int | None = None) -> LoadReport:
        """After all rows are loaded: take over those of another layout or model, by field name.

        They are written to the changelog once the partition is open.

        Args:
            tp: The partition.
            limit: Most rows to look at, the others wait for the next call; None: all of them.
        """
        part = self._parts[tp[0], tp[1]]
        part.graves.clear()  # the whole changelog was read
        part.next_silence = -(2**62)
        made, damaged = 0, list[tuple[bytes, str]]()
        while True:
            more, broken = self._store.foreign.migrate(part, limit or _ADOPTED)
            made, damaged = made + more, damaged + broken
            if limit or not part.unmigrated():
                return LoadReport(made, 0, damaged)

    def unmigrated(self, tp: TP) -> int:
        """Rows that wait for `migrate`; at most so many."""
        return self._parts[tp[0], tp[1]].unmigrated()


def _to_each_meta(
    keys: Sequence[bytes], values: Sequence[bytes | Tombstone | None]
) -> Iterator[tuple[list[tuple[bytes, bytes | Tombstone | None]], list[bytes | None]]]:
    """The rows before each meta row, and that; then the rest."""
    rows: list[tuple[bytes, bytes | Tombstone | None]] = []
    for key, value in zip(keys, values, strict=True):
        if key != META_KEY:
            rows.append((key, value))
            continue
        yield rows, [None if isinstance(value, Tombstone) else value]
        rows = []
    yield rows, []
