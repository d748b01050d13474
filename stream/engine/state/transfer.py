"""Rows that go from the store of one model to the store of another, while the stream goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from stream.types import TP

from .migration import Description
from .partition import ALWAYS, Partition
from .table import Store

_COPIED_ROWS = 16_384
"""Rows copied at once."""


def transfer_rows(
    source: Store, target: Store, parts: Iterable[Partition], owned: Collection[TP]
) -> None:
    """Move the rows of all partitions to another store; the old one must not be used any more.

    Args:
        source: Rows of another model, or of the same one under other thresholds.
        target: Store to move them to.
        parts: All partitions.
        owned: Partitions whose rows have to be written to the changelog as the target's.
    """
    same_rows = target.layout.spec == source.layout.spec and target.model_mark == source.model_mark
    if same_rows:
        target.use_slab(source.slab)
    target.evictor.continue_counts(source.evictor)
    description = Description(source.layout.dtype, source.channels)
    target.slab.step_number = source.slab.step_number
    for part in parts:
        target.evictor.add_partition(part)
        part.next_idle_us = ALWAYS
        if same_rows:
            continue
        part.descriptions[source.model_mark] = description
        copy_rows(part, source, target, dirty=part.tp in owned)


def copy_rows(part: Partition, source: Store, target: Store, *, dirty: bool) -> None:
    """Copy a partition's rows from one slab into another, migrated to the target's model.

    Args:
        part: The partition; its index has slots of the source, and of the target afterwards.
        source: Store to copy from.
        target: Store to copy to.
        dirty: Whether the rows have to be written to the changelog.
    """
    description = Description(source.layout.dtype, source.channels)
    keys, source_slots = list(part.index), np.fromiter(part.index.values(), np.int64)
    slots = [target.slab.allocate(key, part.number) for key in keys]
    part.index = dict(zip(keys, slots, strict=True))
    for begin in range(0, len(keys), _COPIED_ROWS):
        chunk = slice(begin, begin + _COPIED_ROWS)
        rows = np.stack([target.initial_row(key) for key in keys[chunk]])
        old_rows = source.slab.rows[source_slots[chunk]]
        given_up = target.migrator.write_over(old_rows, description, rows)
        # A standby notes them too: it may become the owner before the owner has resolved them.
        part.given_up |= {keys[begin + i]: alerts for i, alerts in given_up.items()}
        target.slab.rows[slots[chunk]] = rows
        target.slab.last_used[slots[chunk]] = source.slab.last_used[source_slots[chunk]]
        target.slab.dirty[slots[chunk]] = dirty
