"""Rows of all keys of a worker: their slots, and the rows that keys begin with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, Role, bands_of_noise, names_with
from stream.keys import quoted
from stream.records import Reason, Rejected

from .deadlines import Deadlines
from .eviction import Evictor
from .given_up import GivenUp
from .layout import (
    LAYOUT_VERSION,
    NEVER,
    RowLayout,
    WindowSpec,
    band_fields,
    channel_fields,
    control_fields,
    engine_fields,
    pause_fields,
)
from .migration import RowMigrator, mark_of
from .partition import Partition
from .row_plan import RowPlan
from .slab import Slab
from .unmigrated_rows import UnmigratedRows


class Store:
    """State rows of one model.

    Attributes:
        layout: Fields of a row.
        plan: How rows are made of samples.
        channels: The model's channels, each with its recipe: what rows of a key are made of.
        model_mark: Mark of the model in its rows.
        observed: Fields that `observe` reads and writes.
        decided: Fields of the tail and the motor neuron.
        deadlines: Clock at which keys become idle or expire.
        migrator: Makes current rows of rows of another layout or model.
        slab: Rows in memory.
        fields: Views into all rows of the slab, by the name of the field.
        evictor: Moves rows between the slab and the spills.
        unmigrated: Rows of another layout or model that wait to be migrated.

    Args:
        model: The model; it says what a key remembers and how a known key begins.
        window: Windows that make rows of samples.
        max_keys: Most keys held in memory.
        stale_intervals: Usual intervals after which a key is idle; 0: never.
        ttl_us: Idle time after which a key is forgotten, microseconds; 0: never.
        missing_channels: Rows remember which channels have stopped coming.
        hard_limits: Rows remember which hard limits are broken.
        bands: Rows remember the bands of their channels.
    """

    def __init__(
        self,
        model: FleetModel,
        window: WindowSpec,
        max_keys: int,
        stale_intervals: float = 0.0,
        ttl_us: int = 0,
        *,
        missing_channels: bool = False,
        hard_limits: bool = False,
        bands: bool = False,
    ) -> None:
        pipeline = model.pipeline
        fields = pipeline.state_fields()
        self.plan = RowPlan(tuple(model.channels), window, model.recipe)
        own_fields = engine_fields(len(self.plan.sampled), window, self.plan.uses)
        followed = channel_fields(len(model.channels)) if missing_channels else ()
        paused = pause_fields() if stale_intervals > 0 else ()
        limited = control_fields(len(model.channels)) if hard_limits else ()
        banded = band_fields(len(model.channels)) if bands else ()
        self.layout = RowLayout((*fields, *own_fields, *followed, *paused, *limited, *banded))
        self.channels = model.identity
        self.model, self.model_mark = model.sha256, mark_of(model.sha256)
        self.decided = names_with(Role.DECIDED, fields)
        self.observed = tuple(f.name for f in fields if f.name not in self.decided)
        warm_rows = pipeline.config.warmup_alarm
        self.deadlines = Deadlines(warm_rows, stale_intervals, ttl_us)
        self._row_of_key = {key: i for i, key in enumerate(model.keys)}
        self._known_keys = self._initial_rows(model.key_state, len(model.keys))
        if model.pauses is not None and paused:
            views = self.layout.views(self._known_keys)
            views["pauses"][...], views["pause_time"][...] = model.pauses
        self._new_key = self._initial_rows(model.new_state, 1)
        if banded:
            begin = model.bands or bands_of_noise(len(model.keys), len(model.channels))
            self.layout.views(self._known_keys)["band"][...] = begin.known
            self.layout.views(self._new_key)["band"][...] = begin.new
        self.migrator = RowMigrator(
            self.layout,
            self.model_mark,
            self.channels,
            warm_rows,
            pipeline.config.quiet_rows,
        )
        self.use_slab(Slab(self.layout.nbytes, max_keys))

    def use_slab(self, slab: Slab) -> None:
        """Hold the rows in a slab, maybe that of another store with the same layout and model."""
        self.slab = slab
        self.fields = self.layout.views(slab.rows)
        self.evictor = Evictor(
            slab, self._due_in_slab, self._migrated_row, self.migrator.open_alerts
        )
        self.unmigrated = UnmigratedRows(
            slab, self.evictor, self.migrator, self.initial_row, self.due
        )

    def renew_rows(self, part: Partition) -> int:
        """Migrate rows in memory that another model came after, and this one again.

        Args:
            part: The partition; its changelog is read.

        Returns:
            Number of rows.
        """
        below = part.meta.last_other_model(self.model, part.profile)
        slots = self.slab.slots_of(part.number) if below >= 0 else np.zeros(0, dtype=np.int64)
        slots = slots[self.fields["offset"][slots] < below]
        if slots.size:
            keys, rows = self.slab.keys(slots), self.slab.rows[slots]
            initial = np.stack([self.initial_row(key) for key in keys])
            migration = self.migrator.migrate(
                [row.tobytes() for row in rows], part.descriptions, initial, below
            )
            part.given_up |= {keys[i]: alerts for i, alerts in migration.given_up.items()}
            differs = (initial != rows).any(axis=1)  # the others were migrated before
            slots = slots[differs]
            self.slab.rows[slots], self.slab.migrated[slots] = initial[differs], True
        return int(slots.size)

    def _initial_rows(self, state: dict[str, Any], n: int) -> NDArray[np.uint8]:
        """Return rows that keys begin with, `(n, nbytes)`.

        Args:
            state: Fields of the pipeline, each `(n, ...)`; other fields begin at zero.
            n: Number of keys.
        """
        rows = np.zeros((n, self.layout.nbytes), dtype=np.uint8)
        views = self.layout.views(rows)
        for name, value in state.items():
            views[name][...] = value
        views["layout"][...] = LAYOUT_VERSION
        views["model"][...] = self.model_mark
        views["offset"][...] = -1
        views["seen"][...] = NEVER
        views["peak_channel"][...] = -1
        self.plan.begin(views)
        return rows

    def initial_row(self, key: bytes) -> NDArray[np.uint8]:
        """Return the row a key begins with, `(nbytes,)`."""
        i = self._row_of_key.get(key)
        row: NDArray[np.uint8] = self._new_key[0] if i is None else self._known_keys[i]
        return row

    def slots(
        self,
        part: Partition,
        keys: Sequence[bytes],
        message: NDArray[np.int32],
        keep: NDArray[np.bool_],
        protected: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], dict[int, Rejected]]:
        """Return the slot of every sample's key; new keys get one.

        Args:
            part: The partition.
            keys: Key of each sample.
            message: Message of each sample, never falling.
            keep: False for samples that are not absorbed; they make no new key.
            protected: Slots of other partitions in the same batch, which must stay in memory.

        Returns:
            Slots, `(n,)`, -1 where there is none; and the messages refused, which leave no key
            behind: all slots are taken, or their key has its state in another partition.
        """
        index = part.index
        self.slab.step_number += 1
        slots = np.fromiter(map(index.get, keys, repeat(-1)), dtype=np.int64, count=len(keys))
        missing = np.flatnonzero((slots < 0) & keep).tolist()
        refused: dict[int, Rejected] = {}
        if not missing:
            return slots, refused
        missing_keys = list(dict.fromkeys(keys[i] for i in missing))
        spilled, partitions = self._look_up(part, missing_keys, np.concatenate((protected, slots)))
        current, added = -1, list[bytes]()  # the message, and the keys it is the first to send
        for i in missing:
            if message[i] != current:
                current, added = int(message[i]), []
            elif current in refused:
                continue
            key = keys[i]
            slot = index.get(key, -1)
            if slot < 0:
                refusal = None
                if key in partitions:
                    refusal = _wrong_partition(current, key, partitions[key], part.tp[1])
                elif self.slab.full():
                    refusal = _key_limit(current, self.slab.max_keys)
                if refusal is not None:
                    refused[current] = refusal
                    for added_key in added:
                        self.slab.free(index.pop(added_key))
                    continue
                added.append(key)
                row = spilled.get(key)
                if row is not None:
                    slot = self.evictor.restore_row(part, key, row)
                else:
                    slot = self.slab.allocate(key, part.number)
                    index[key] = slot
                    self.slab.rows[slot] = self.initial_row(key)
            slots[i] = slot
        return slots, refused

    def _look_up(
        self, part: Partition, keys: list[bytes], protected: NDArray[np.int64]
    ) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
        """Look for keys that are not in memory, and make room for them.

        Args:
            part: The partition that received them.
            keys: The keys.
            protected: Slots that must stay in memory.

        Returns:
            Rows in the partition's spill; and, of other keys, the partition that has their state.
        """
        spilled: dict[bytes, bytes] = {}
        if part.spill is not None:
            self.evictor.free_slots(len(keys), protected)
            spilled = self.evictor.spilled(part, keys)
        unknown = [key for key in keys if key not in spilled]
        return spilled, self.evictor.other_partitions(part, unknown)

    def renew(self, slots: NDArray[np.int64]) -> None:
        """Let keys begin anew; offsets they have absorbed stay absorbed."""
        for slot in slots.tolist():
            offset = int(self.fields["offset"][slot])
            self.slab.rows[slot] = self.initial_row(self.slab.key(slot))
            self.fields["offset"][slot] = offset

    def gather(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a copy of rows, `(B, nbytes)`."""
        return self.slab.rows[slots]

    def scatter(self, slots: NDArray[np.int64], block: NDArray[np.uint8]) -> None:
        """Write rows back and mark them dirty."""
        self.slab.rows[slots] = block
        self.slab.dirty[slots] = True
        self.slab.last_used[slots] = self.slab.step_number

    def due(self, rows: NDArray[np.uint8]) -> list[int]:
        """Return the clock at which the keys of rows become idle or expire.

        Args:
            rows: Rows outside of the slab, `(n, nbytes)`.
        """
        every_row = np.arange(len(rows))
        due: list[int] = self.deadlines.due(self.layout.views(rows), every_row).tolist()
        return due

    def _due_in_slab(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.deadlines.due(self.fields, slots)

    def _migrated_row(
        self, part: Partition, key: bytes, row: bytes
    ) -> tuple[NDArray[np.uint8], GivenUp | None]:
        """Return the current row of a key, made of one that may be of an earlier model.

        Returns:
            The row, and the alerts that it does not hold open any more.
        """
        block = self.initial_row(key)[None].copy()
        below = part.meta.last_other_model(self.model, part.profile)
        migration = self.migrator.migrate([row], part.descriptions, block, below)
        return block[0], migration.given_up.get(0)

    def drop(self, part: Partition) -> None:
        """Free all rows of a partition."""
        for slot in part.index.values():
            self.slab.free(slot)
        part.index.clear()
        part.gone = True
        self.evictor.remove_partition(part)


def _key_limit(message: int, max_keys: int) -> Rejected:
    """Refuse a message whose new key has no room."""
    return Rejected(
        message,
        Reason.KEY_LIMIT,
        f"All {max_keys} keys of state.max_keys are in use and this key is new. "
        "Raise state.max_keys, or run more workers.",
    )


def _wrong_partition(message: int, key: bytes, expected: int, partition: int) -> Rejected:
    """Refuse a message whose key has its state in another partition."""
    return Rejected(
        message,
        Reason.WRONG_PARTITION,
        f"Key {quoted(key)} has its state in another partition: producers "
        f"choose partitions in different ways. Expected partition {expected}. Received: "
        f"partition={partition}. Use one partitioner for all producers (Kafka's default is "
        "murmur2; librdkafka needs partitioner=murmur2_random). Where keys have moved for good, "
        "run `ember state rebase --partitioner`.",
    )
