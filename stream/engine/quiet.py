"""Silence of a whole partition: no record moves its clock, so the worker's clock has to.

The worker says how far (`Engine.schedule_silence`), and the meta row keeps it, in a checkpoint made
before anything is told. A worker that begins at that checkpoint tells the same keys before the next
record. So what a replay absorbs afterwards meets the same rows.

A partition that is read in bursts is silent between them. Its two longest silences are remembered:
one alone may be an outage, the shorter one of two has recurred.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from stream.engine.state.deadlines import NEVER_IDLE
from stream.engine.state.layout import NEVER
from stream.engine.state.meta import MetaRow
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store

from .batch import KeyRows, StepBatch
from .outcomes import REPEATED
from .planned_work import passed_beside_planned
from .rules_effect import RulesEffect
from .slices import PartitionSlice

MARGIN_US: Final = 60_000_000
"""Time that has to pass beyond the usual one: a producer's batches and retries take some."""
_USUAL: Final = 1.5
"""Part of the usual silence of a partition beyond which its silence is told."""
_HALF_LIFE_US: Final = 14 * 86_400 * 1_000_000
"""Silence after which an earlier silence counts half."""
_LAST_TIMESTAMP_MS: Final = 2**62


def note_quiet(meta: MetaRow, quiet_us: int) -> None:
    """Note a silence of the partition that a record has ended.

    Args:
        meta: Meta row of the partition.
        quiet_us: Length of the silence by the worker's clock, microseconds.
    """
    if quiet_us <= MARGIN_US:
        return
    longest, second = (0, 0) if meta.quiet_us is msgspec.UNSET else meta.quiet_us
    share = 0.5 ** (quiet_us / _HALF_LIFE_US)
    known = sorted((quiet_us, int(longest * share), int(second * share)), reverse=True)
    meta.quiet_us = known[0], known[1]


def quiet_clock(meta: MetaRow, clock_us: int, quiet_us: int) -> int:
    """Return the clock of a partition without records: it stands still for as long as is usual.

    Args:
        meta: Meta row of the partition.
        clock_us: Clock of the partition when the silence began.
        quiet_us: Length of the silence so far, by the worker's clock.
    """
    usual_us = 0 if meta.quiet_us is msgspec.UNSET else meta.quiet_us[1]
    if clock_us <= NEVER or quiet_us <= usual_us * _USUAL + MARGIN_US:
        return meta.clock_us
    return max(meta.clock_us, clock_us + quiet_us - MARGIN_US)


def has_idle_keys(store: Store, part: Partition, clock_us: int, rules: RulesEffect) -> bool:
    """Return whether keys of a partition become idle before its clock reaches a time.

    Args:
        store: Rows of all keys.
        part: The partition.
        clock_us: The time.
        rules: Documents in force.
    """
    if clock_us <= part.next_idle_us:
        return False
    slots = store.slab.slots_of(part.number)
    deadline_us = store.deadlines.idle(store.fields, slots)
    passed_beside_planned(rules, store, part.stream, slots, deadline_us, clock_us)
    next_us = int(deadline_us.min(initial=NEVER_IDLE))
    if part.spill is not None:
        next_us = min(next_us, part.spill.next_due())
    if next_us < clock_us or part.idle_spilled:
        return True
    part.next_idle_us = next_us
    return False


def batch_without_records(store: Store, part: Partition, clock_us: int, channels: int) -> StepBatch:
    """Return a batch of one line without a key, which moves the clock of a partition.

    Args:
        store: Rows of all keys.
        part: The partition.
        clock_us: Clock of the partition at that line.
        channels: Channels of a sample.
    """
    no_slots = np.zeros(0, dtype=np.int64)
    block = store.gather(no_slots)
    no_lines = np.zeros(1, dtype=np.int64)
    # As the next record will: it is no history any more.
    gives_events = part.meta.gives_events(part.meta.absorbed + 1, _LAST_TIMESTAMP_MS)
    return StepBatch(
        keys=KeyRows(part.stream, no_slots, block, store.layout.views(block)),
        slices=[PartitionSlice(part, 0, 1)],
        step_slots=no_slots,
        sample=no_lines,
        message=no_lines.astype(np.int32),
        offset=no_lines + part.meta.absorbed,
        time_us=no_lines + clock_us,
        clock_us=no_lines + clock_us,
        values=np.full((1, channels), np.nan),
        row=no_lines,
        new_lines=no_slots,
        without_events=np.array([not gives_events]),
        outcome=np.full(1, REPEATED, dtype=np.uint8),
        idle_after_us=np.full(1, NEVER_IDLE, dtype=np.int64),
    )
