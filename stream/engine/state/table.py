"""Rows of all keys of a worker: where they lie, how they begin, how they are merged on load."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, Role, names_with
from stream.engine.idle import deadlines
from stream.engine.result import TP
from stream.engine.windows import NEVER
from stream.records import Reason, Rejected, quoted

from .eviction import Evictor
from .layout import LAYOUT_VERSION, RowLayout, WindowSpec, engine_fields
from .migration import HEAD_BYTES, Description, RowMigrator, mark_of, offset_in
from .partition import Partition
from .slab import Slab
from .snapshot import RowBlock
from .spill import Spilled
from .tombstones import Tombstone
from .unmigrated_rows import UnmigratedRows

_NO_SLOTS = np.zeros(0, dtype=np.int64)
_COPIED = 16_384
"""Rows that go from one model to another at once."""


class Store:
    """State rows of one model.

    Args:
        model: The model; it says what a key remembers and how a known key begins.
        window: How samples become rows.
        max_keys: Most keys held in memory.
        stale_intervals: Usual intervals after which a key is silent; 0: never.
        ttl_us: Silence after which a key is forgotten, microseconds; 0: never.
    """

    def __init__(
        self,
        model: FleetModel,
        window: WindowSpec,
        max_keys: int,
        stale_intervals: float = 0.0,
        ttl_us: int = 0,
    ) -> None:
        pipeline = model.pipeline
        fields = pipeline.state_fields()
        self.layout = RowLayout((*fields, *engine_fields(len(model.channels), window)))
        self.channels = tuple(model.channels)
        self.model_mark = mark_of(model.sha256)
        self.decided = names_with(Role.DECIDED, fields)
        self.observed = tuple(f.name for f in fields if f.name not in self.decided)
        self._warm_rows = pipeline.config.warmup_alarm
        self._row_of_key = {key: i for i, key in enumerate(model.keys)}
        self._known = self._first_rows(model.key_state, len(model.keys))
        self._new = self._first_rows(model.new_state, 1)
        self._stale_intervals, self._ttl_us = stale_intervals, ttl_us
        self._adopter = RowMigrator(
            self.layout,
            self.model_mark,
            self.channels,
            self._warm_rows,
            pipeline.config.quiet_rows,
        )
        self._use(Slab(self.layout.nbytes, max_keys))

    def _use(self, slab: Slab) -> None:
        self.slab = slab
        self._all = self.layout.views(slab.rows)
        self.overflow = Evictor(slab, self._due, self._ours_of)
        self.foreign = UnmigratedRows(slab, self.overflow, self._adopter, self._first, self._due_of)

    def _first_rows(self, state: dict[str, Any], n: int) -> NDArray[np.uint8]:
        """Rows that keys begin with, `(n, nbytes)`."""
        rows = np.zeros((n, self.layout.nbytes), dtype=np.uint8)
        views = self.layout.views(rows)
        for name, value in state.items():
            views[name][...] = value
        views["layout"][...] = LAYOUT_VERSION
        views["model"][...] = self.model_mark
        views["offset"][...] = -1
        views["seen"][...] = NEVER
        views["peak_channel"][...] = -1
        if "max_time" in views:
            views["max_time"][...] = NEVER
        return rows

    def slots(
        self,
        part: Partition,
        keys: Sequence[bytes],
        message: NDArray[np.int32],
        keep: NDArray[np.bool_],
        others: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], dict[int, Rejected]]:
        """Slot of every sample's key; new keys get one.

        Args:
            part: The partition.
            keys: Key of each sample.
            message: Message of each sample, never falling.
            keep: False for samples that are not wanted; they make no new key.
            others: Slots of other partitions in the same batch, which must stay where they are.

        Returns:
            Slots, `(n,)`, -1 where there is none; and the messages refused, which leave no key
            behind: they found all slots taken, or have a key whose state is in another partition.
        """
        index = part.index
        self.slab.tick += 1
        slots = np.fromiter(map(index.get, keys, repeat(-1)), dtype=np.int64, count=len(keys))
        new = np.flatnonzero((slots < 0) & keep).tolist()
        refused: dict[int, Rejected] = {}
        if not new:
            return slots, refused
        absent = list(dict.fromkeys(keys[i] for i in new))
        away, elsewhere = self._look_for(part, absent, np.concatenate((others, slots)))
        at, made = -1, list[bytes]()  # the message at hand, and the keys it is the first to send
        for i in new:
            if message[i] != at:
                at, made = int(message[i]), []
            elif at in refused:
                continue
            key = keys[i]
            slot = index.get(key, -1)
            if slot < 0:
                why = (
                    _strayed(at, key, elsewhere[key], part.tp[1])
                    if key in elsewhere
                    else self._too_many(at)
                    if self.slab.full()
                    else None
                )
                if why is not None:
                    refused[at] = why
                    for own in made:
                        self.slab.free(index.pop(own))
                    continue
                made.append(key)
                back = away.get(key)
                if back is not None:
                    slot = self.overflow.take_in(part, key, back)
                else:
                    slot = self.slab.allocate(key, part.number)
                    index[key] = slot
                    self.slab.rows[slot] = self._first(key)
            slots[i] = slot
        return slots, refused

    def _look_for(
        self, part: Partition, absent: list[bytes], slots: NDArray[np.int64]
    ) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
        """Of keys that are not in memory: rows that were put away, and those of other partitions.

        Makes room for them, but not of the rows at `slots`.
        """
        away: dict[bytes, bytes] = {}
        if part.spill is not None:
            self.overflow.make_room(len(absent), slots)
            away = self.overflow.away(part, absent)
        return away, self.overflow.elsewhere(part, [key for key in absent if key not in away])

    def _due(
        self, slots: NDArray[np.int64], views: dict[str, Any] | None = None
    ) -> NDArray[np.int64]:
        """Clock at which the keys of rows fall silent, or are forgotten; far off where neither.

        Args:
            slots: Which rows, `(n,)`.
            views: Of which block; None: of the slab.
        """
        views = self._all if views is None else views
        ends = self._silent(slots, views)
        if self._ttl_us:
            seen = views["seen"][slots]
            ends = np.where(seen > NEVER, np.minimum(ends, seen + self._ttl_us), ends)
        return ends

    def _due_of(self, rows: NDArray[np.uint8]) -> list[int]:
        """The same of rows that lie elsewhere, `(n, nbytes)`."""
        due: list[int] = self._due(np.arange(len(rows)), self.layout.views(rows)).tolist()
        return due

    def _silent(
        self, slots: NDArray[np.int64], views: dict[str, Any] | None = None
    ) -> NDArray[np.int64]:
        """Clock at which the keys of rows fall silent; far off for those that are."""
        views = self._all if views is None else views
        fields = (views[name][slots] for name in ("interval", "rows", "known", "seen"))
        ends = self.patience(*fields)
        ends[views["stale"][slots] > 0] = 2**62
        return ends

    def _first(self, key: bytes) -> NDArray[np.uint8]:
        """The row a key begins with, `(nbytes,)`."""
        known = self._row_of_key.get(key)
        row: NDArray[np.uint8] = self._new[0] if known is None else self._known[known]
        return row

    def seen(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The partition's clock when keys last sent."""
        found: NDArray[np.int64] = self._all["seen"][slots]
        return found

    def renew(self, slots: NDArray[np.int64]) -> None:
        """Let keys begin anew; what they have absorbed of the log stays absorbed."""
        for slot in slots.tolist():
            offset = int(self._all["offset"][slot])
            self.slab.rows[slot] = self._first(self.slab.key(slot))
            self._all["offset"][slot] = offset

    def gather(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of rows, `(B, nbytes)`."""
        return self.slab.rows[slots]

    def scatter(self, slots: NDArray[np.int64], block: NDArray[np.uint8]) -> None:
        """Write rows back and mark them dirty."""
        self.slab.rows[slots] = block
        self.slab.dirty[slots] = True
        self.slab.touched[slots] = self.slab.tick

    def patience(
        self,
        interval: NDArray[np.float64],
        rows: NDArray[np.int64],
        known: NDArray[np.uint8],
        seen: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Clock at which keys fall silent if they send nothing more; far off while they warm up.

        Args:
            interval: Usual interval, seconds; all of shape `(n,)`.
            rows: Rows absorbed.
            known: 1 where the bundle knows the key.
            seen: The clock when the key last sent.
        """
        if self._stale_intervals <= 0:
            return np.full(seen.size, 2**62, dtype=np.int64)
        warm = (known > 0) | (rows >= self._warm_rows)
        able = warm & (rows > 0) & (interval > 0)
        return np.where(able, deadlines(seen, interval, self._stale_intervals), 2**62)

    def silent_before(
        self, part: Partition, clock: NDArray[np.int64], batch: NDArray[np.int64]
    ) -> Iterator[tuple[int, int, int]]:
        """Keys whose patience, as stored, ends within the clock of a batch.

        Args:
            part: The partition.
            clock: Its clock after each sample of the batch, `(n,)`.
            batch: Slots of the step, which must stay where they are; -1 is none.

        Yields:
            Slot, deadline, and the sample index at which the clock passes it.
        """
        now = int(clock[-1])
        if now <= part.next_silence:
            return
        if part.spill is not None:
            due_away = [*part.overdue, *part.spill.due(now)]
            part.overdue = self.overflow.restore(part, due_away, batch)
        slots = self.slab.slots_of(part.number)
        ends = self._silent(slots)
        due = ends < now
        part.next_silence = int(ends[~due].min(initial=2**62))
        if part.spill is not None:
            part.next_silence = min(part.next_silence, part.spill.next_due())
            if part.overdue:
                part.next_silence = -(2**62)  # with the next batch, when there is room
        for slot, end in zip(slots[due].tolist(), ends[due].tolist(), strict=True):
            yield slot, end, int(np.searchsorted(clock, end, side="right"))

    def drop(self, part: Partition) -> None:
        """Free all rows of a partition."""
        for slot in part.index.values():
            self.slab.free(slot)
        part.index.clear()
        part.gone = True
        self.overflow.closed(part)

    def merge(
        self, part: Partition, rows: Iterable[tuple[bytes, bytes | Tombstone | None]]
    ) -> tuple[int, int, list[tuple[bytes, str]]]:
        """Take changelog rows in; a row counts only if its source offset is not older.

        A tombstone counts only if what is there is not newer, where it says up to when it holds.
        Rows of another layout or model are put aside (`foreign`). A damaged row takes the older
        one of its key with it: half of a memory is worse than none.

        Returns:
            How many were taken, how many were older than what was there, and the damaged ones.
        """
        accepted = old = 0
        damaged: list[tuple[bytes, str]] = []
        slab, index, overflow, graves = self.slab, part.index, self.overflow, part.graves
        slab.tick += 1
        for key, value in rows:
            slot = index.get(key)
            ends = value is None or isinstance(value, Tombstone) or len(value) < HEAD_BYTES
            away = None  # a row in memory may have left an old copy, which ends with it
            if slot is None or ends:
                away = overflow.away(part, [key]).get(key)
            if isinstance(value, Tombstone) or key in graves:
                if graves.late(key, value, self._newest(part, key, away)):
                    old += 1
                    continue
                value = None if isinstance(value, Tombstone) else value
            if away is not None and part.spill is not None:
                if value is None or len(value) < HEAD_BYTES:
                    part.spill.remove([key])
                elif offset_in(value) < offset_in(away):
                    old += 1
                    continue
            if value is None or len(value) < HEAD_BYTES:
                part.foreign.pop(key, None)
                if slot is not None:
                    slab.free(slot)
                    del index[key]
                if value is None:
                    accepted += 1
                else:
                    damaged.append((key, f"{len(value)} bytes are no row"))
                continue
            offset = offset_in(value)
            if slot is not None and offset < int(self._all["offset"][slot]):
                old += 1
                continue
            if key in part.foreign and offset < offset_in(part.foreign[key]):
                old += 1
                continue
            part.tombstones.pop(key, None)  # its owner has written it anew
            if not self._adopter.ours(value):
                part.foreign.pop(key, None)  # newest last
                part.foreign[key] = value
                accepted += 1
                continue
            part.foreign.pop(key, None)
            if slot is None:
                if slab.full():
                    overflow.make_room(1, _NO_SLOTS)
                if slab.full() and part.spill is not None:  # of rows that are not written out yet
                    (due,) = self._due_of(np.frombuffer(value, dtype=np.uint8)[None])
                    overflow.evict(part, [Spilled(key, value, due)])
                    accepted += 1
                    continue
                if slab.full():
                    damaged.append((key, f"all {slab.max_keys} rows of state.max_keys are taken"))
                    continue
                slot = slab.allocate(key, part.number)
                index[key] = slot
            slab.rows[slot] = np.frombuffer(value, dtype=np.uint8)
            slab.adopted[slot] = False
            accepted += 1
        self.foreign.put_aside(part)
        part.next_silence = -(2**62)
        return accepted, old, damaged

    def _newest(self, part: Partition, key: bytes, away: bytes | None) -> int:
        """Source offset of what is there of a key; -1 where nothing is."""
        slot, foreign = part.index.get(key), part.foreign.get(key)
        here = -1 if slot is None else int(self._all["offset"][slot])
        return max(here, *(-1 if row is None else offset_in(row) for row in (away, foreign)))

    def load_block(
        self, part: Partition, block: RowBlock
    ) -> tuple[int, int, list[tuple[bytes, str]]]:
        """Take rows in as `merge` does; quickly where all of them are ours and new."""
        keys, rows = block
        mark = np.frombuffer(self.model_mark.to_bytes(8, "little"), dtype=np.uint8)
        version = np.frombuffer(LAYOUT_VERSION.to_bytes(2, "little"), dtype=np.uint8)
        fits = (
            rows.shape[1] == self.layout.nbytes
            and bool((rows[:, 8:16] == mark).all() and (rows[:, :2] == version).all())
            and not (part.foreign or part.tombstones)
            and not (part.spill is not None and len(part.spill))
            and part.index.keys().isdisjoint(keys)
            and len(set(keys)) == len(keys)
        )
        slots = self.slab.extend(keys, part.number) if fits else None
        if slots is None:
            return self.merge(part, zip(keys, (row.tobytes() for row in rows), strict=True))
        self.slab.rows[slots] = rows
        part.index.update(zip(keys, range(slots.start, slots.stop), strict=True))
        part.next_silence = -(2**62)
        return len(keys), 0, []

    def take_over(
        self, old: Store, parts: Iterable[Partition], written_by_us: Collection[TP]
    ) -> None:
        """Make the rows of another store ours; that one is not to be used any more.

        Args:
            old: Rows of another model, or of the same one under other thresholds.
            parts: All partitions.
            written_by_us: Those whose rows are to be written to the changelog as ours.
        """
        same = self.layout.spec == old.layout.spec and self.model_mark == old.model_mark
        if same:
            self._use(old.slab)
        self.overflow.go_on_from(old.overflow)
        theirs = Description(old.layout.dtype, old.channels)
        self.slab.tick = old.slab.tick
        for part in parts:
            self.overflow.opened(part)
            part.next_silence = -(2**62)
            if same:
                continue
            part.described[old.model_mark] = theirs
            self.copy(part, old, theirs, dirty=part.tp in written_by_us)

    def copy(self, part: Partition, old: Store, theirs: Description, *, dirty: bool) -> None:
        """Copy a partition's rows from another store's slab into ours.

        Args:
            part: Its index has the slots of the other store, and has ours afterwards.
            old: The other store.
            theirs: What its rows are.
            dirty: Whether ours have to be written.
        """
        keys, slots = list(part.index), np.fromiter(part.index.values(), np.int64)
        ours = [self.slab.allocate(key, part.number) for key in keys]
        part.index = dict(zip(keys, ours, strict=True))
        for begin in range(0, len(keys), _COPIED):
            piece = slice(begin, begin + _COPIED)
            fresh = np.stack([self._first(key) for key in keys[piece]])
            self._adopter.take_over(old.slab.rows[slots[piece]], theirs, fresh)
            self.slab.rows[ours[piece]] = fresh
            self.slab.touched[ours[piece]] = old.slab.touched[slots[piece]]
            self.slab.dirty[ours[piece]] = dirty

    def _ours_of(self, part: Partition, key: bytes, value: bytes) -> NDArray[np.uint8]:
        """The row of a key that was put away, maybe under an earlier model."""
        fresh = self._first(key)[None].copy()
        self._adopter.migrate([value], part.described, fresh)
        row: NDArray[np.uint8] = fresh[0]
        return row

    def _too_many(self, message: int) -> Rejected:
        """Why a new key found no room."""
        return Rejected(
            message,
            Reason.KEY_LIMIT,
            f"All {self.slab.max_keys} keys of state.max_keys are in use and this key is new. "
            "Raise state.max_keys, or run more workers.",
        )


def _strayed(message: int, key: bytes, home: int, partition: int) -> Rejected:
    """Why a key is not taken in where it came."""
    return Rejected(
        message,
        Reason.WRONG_PARTITION,
        f"Key {quoted(key)} has its state in another partition: producers "
        f"choose partitions in different ways. Expected partition {home}. Received: "
        f"partition={partition}. Use one partitioner for all producers (Kafka's default is "
        "murmur2; librdkafka needs partitioner=murmur2_random). Where keys have moved for good, "
        "run `ember state rebase --partitioner`.",
    )
