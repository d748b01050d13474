"""Idle keys, by the partition's clock: keys that a batch shows to have stopped sending.

A key is idle once the largest event time of its partition has moved on by `N` of the key's usual
intervals since the key last sent. That depends on the order of the partition's log and on nothing
else: not on the batches it was cut into.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Pauses, note_pauses
from stream.engine.state.deadlines import NEVER_IDLE
from stream.engine.state.layout import NEVER
from stream.engine.state.partition import ALWAYS, Partition
from stream.engine.state.table import Store

from .batch import IdleKey, StepBatch
from .episodes import Episodes
from .outcomes import LATE, REPEATED
from .planned_work import later_deadlines, passed_beside_planned
from .rows import ObservedRows, PackedSamples, progress_after
from .rules_effect import Groups, RulesEffect

Indices = NDArray[np.int64]


class PassedDeadlines(NamedTuple):
    """Deadlines that a clock passes; each of shape `(n,)`.

    Attributes:
        deadline: Index of the deadline.
        line: Line of the slice at which the clock passes it.
        deadline_us: The deadline.
    """

    deadline: Indices
    line: Indices
    deadline_us: Indices


def passed_deadlines(
    clock_us: Indices, deadline_us: Indices, next_line: Indices
) -> PassedDeadlines:
    """Return the deadlines that the clock passes before the key's next line.

    Args:
        clock_us: The partition's clock after each line of its slice, `(n,)`, never falling.
        deadline_us: A deadline of each key, `(k,)`.
        next_line: Line of the slice with the key's next sample, or `n`, `(k,)`.
    """
    line = np.searchsorted(clock_us, deadline_us, side="right")
    index = np.flatnonzero(line < next_line)
    return PassedDeadlines(index, line[index], deadline_us[index])


class IdleFinder:
    """Finds keys that a batch shows idle, before, between or after their own samples.

    Args:
        store: Rows of all keys.
        episodes: Emits the events of keys that have no line in the batch.
        has_intervals: Whether keys may have intervals open: these are closed first.
    """

    def __init__(self, store: Store, episodes: Episodes, *, has_intervals: bool = False) -> None:
        self._store, self._episodes, self._has_intervals = store, episodes, has_intervals

    def note_deadlines(
        self,
        batch: StepBatch,
        accepted: PackedSamples,
        observed: ObservedRows | None,
        row_counts: Indices,
        intervals: NDArray[np.float64],
    ) -> None:
        """Note for each sample the clock beyond which its key is idle if it sends nothing more.

        Args:
            batch: The batch; its keys have not been noted as seen by these samples yet.
            accepted: Samples that are not late.
            observed: Rows they completed, if any.
            row_counts: Rows of each key before the batch, `(K,)`.
            intervals: Usual interval of each key before the batch, seconds, `(K,)`.
        """
        counts, usual = progress_after(accepted, observed, row_counts, intervals)
        is_known = accepted.packed.expand(batch.keys.fields["known"][accepted.key_index])
        clock_us, deadlines = batch.clock_us[accepted.line], self._store.deadlines
        usual_us = deadlines.idle_after(usual, counts, is_known, clock_us)
        groups = None if batch.keys.rules is None else batch.keys.rules[accepted.row]
        pauses = _note_pauses(
            batch, accepted, clock_us, usual_us - clock_us, self._episodes.rules, groups
        )
        if pauses is not None:
            usual_us = deadlines.idle_after(usual, counts, is_known, clock_us, pauses)
        batch.idle_after_us[accepted.line] = later_deadlines(self._episodes.rules, groups, usual_us)

    def find(self, batch: StepBatch) -> None:
        """Add the idle times of the batch's keys; those of other keys are emitted at once."""
        if self._finds_nothing(batch):
            return  # the usual case
        n = len(batch)
        order = np.argsort(batch.row, kind="stable")
        accepted = (batch.outcome[order] != LATE) & (batch.outcome[order] != REPEATED)
        line = order[accepted]  # by key, then by arrival
        row = batch.row[line]
        next_line = np.full(line.size, n, dtype=np.int64)
        # Neighbours in `line` are samples of one key that follow each other, or the key changes.
        next_line[:-1] = np.where(row[1:] == row[:-1], line[1:], n)
        first_line = np.full(batch.keys.slots.size, n, dtype=np.int64)
        np.minimum.at(first_line, row, line)
        returning = (batch.keys.fields["stale"] > 0) & (first_line < n)
        for key_row in np.flatnonzero(returning).tolist():  # idle since an earlier batch
            batch.idle[key_row] = [IdleKey(-1, 0, int(first_line[key_row]))]
        self._find_before_first_lines(batch, first_line)
        self._find_after_lines(batch, line, row, next_line)
        if self._has_intervals:
            self._set_silent_apart(batch)

    def _finds_nothing(self, batch: StepBatch) -> bool:
        """Return True where no key is idle, or returns; the next deadlines are noted then."""
        if batch.keys.fields["stale"].any():
            return False
        for part, begin, end in batch.slices:
            final_us = batch.clock_us[end - 1]
            if final_us > part.next_idle_us or (batch.idle_after_us[begin:end] < final_us).any():
                return False
        for part, begin, end in batch.slices:
            next_us = int(batch.idle_after_us[begin:end].min())
            part.next_idle_us = min(part.next_idle_us, next_us)
        return True

    def _set_silent_apart(self, batch: StepBatch) -> None:
        """Move idle times that do not end in the batch to `silent`, where an interval is open."""
        is_open = batch.keys.fields["window_open"]
        for row, times in list(batch.idle.items()):
            if times[-1].line < 0 or times[-1].return_line < len(batch) or not is_open[row].any():
                continue
            batch.silent.append((int(batch.keys.slots[row]), times.pop()))
            if not times:
                del batch.idle[row]

    def _find_before_first_lines(self, batch: StepBatch, first_line: Indices) -> None:
        """Find keys that are idle by the deadline they had before the batch.

        Args:
            batch: The batch.
            first_line: First line of each key, or the number of lines, `(K,)`.
        """
        slots, n = batch.keys.slots, len(batch)
        for part, begin, end in batch.slices:
            clock_us = batch.clock_us[begin:end]
            for slot, deadline_us, passed in self._overdue(part, clock_us, batch.step_slots):
                row = int(np.searchsorted(slots, slot))  # slots are sorted
                if row < slots.size and slots[row] == slot:
                    if begin + passed < first_line[row]:
                        idle = IdleKey(begin + passed, deadline_us, int(first_line[row]))
                        batch.idle[row] = [idle]
                elif self._has_intervals and self._store.fields["window_open"][slot].any():
                    self._store.slab.dirty[slot] = True  # so that it is not evicted until then
                    batch.silent.append((slot, IdleKey(begin + passed, deadline_us, n)))
                else:
                    # At once: until its row is dirty, the next partition's restore may evict it.
                    self._episodes.emit_absent(batch, slot, IdleKey(begin + passed, deadline_us, n))
            next_us = int(batch.idle_after_us[begin:end].min())
            part.next_idle_us = min(part.next_idle_us, next_us)

    def _find_after_lines(
        self, batch: StepBatch, line: Indices, row: Indices, next_line: Indices
    ) -> None:
        """Find keys that are idle between two of their lines, or after the last one.

        Args:
            batch: The batch.
            line: Lines that are not late, by key, then by arrival, `(m,)`.
            row: Row of `batch.keys` of each, `(m,)`.
            next_line: The key's next line, or the number of lines, `(m,)`.
        """
        deadline_us = batch.idle_after_us[line]
        ends = [end for _, _, end in batch.slices]
        # Clock at the end of each partition's slice, repeated for every line of the slice.
        final_clock_us = np.repeat(batch.clock_us[np.asarray(ends) - 1], np.diff([0, *ends]))
        passed = deadline_us < final_clock_us[line]
        if not passed.any():  # the usual case
            return
        for _, begin, end in batch.slices:
            index = np.flatnonzero(passed & (line >= begin) & (line < end))
            deadlines = passed_deadlines(
                batch.clock_us[begin:end], deadline_us[index], next_line[index] - begin
            )
            for i, passing, deadline in zip(*(x.tolist() for x in deadlines), strict=True):
                idle = IdleKey(begin + passing, deadline, int(next_line[index[i]]))
                batch.idle.setdefault(int(row[index[i]]), []).append(idle)

    def _overdue(
        self, part: Partition, clock_us: Indices, step_slots: Indices
    ) -> Iterator[tuple[int, int, int]]:
        """Return keys whose deadline, as stored, lies within the clock of a batch.

        Args:
            part: The partition.
            clock_us: Its clock after each line of its slice, `(n,)`.
            step_slots: Slots of the step, which must stay in memory; -1 is none.

        Yields:
            Slot, deadline, and the line of the slice at which the clock passes it.
        """
        store, now_us = self._store, int(clock_us[-1])
        if now_us <= part.next_idle_us:
            return
        if part.spill is not None:
            idle_keys = [*part.idle_spilled, *part.spill.due(now_us)]
            part.idle_spilled = store.evictor.restore(part, idle_keys, step_slots)
        slots = store.slab.slots_of(part.number)
        deadline_us = store.deadlines.idle(store.fields, slots)
        passed = passed_beside_planned(
            self._episodes.rules, store, part.stream, slots, deadline_us, now_us
        )
        part.next_idle_us = int(deadline_us[~passed].min(initial=NEVER_IDLE))
        if part.spill is not None:
            part.next_idle_us = min(part.next_idle_us, part.spill.next_due())
            if part.idle_spilled:
                part.next_idle_us = ALWAYS  # with the next batch, when there is room
        for slot, deadline in zip(
            slots[passed].tolist(), deadline_us[passed].tolist(), strict=True
        ):
            yield slot, deadline, int(np.searchsorted(clock_us, deadline, side="right"))


def _note_pauses(
    batch: StepBatch,
    accepted: PackedSamples,
    clock_us: Indices,
    wait_us: Indices,
    rules: RulesEffect,
    groups: Groups | None,
) -> Pauses | None:
    """Note the pauses that samples end, and return those of the key after each sample.

    Args:
        batch: The batch.
        accepted: Samples that are not late, `n` of them.
        clock_us: The partition's clock at each, `(n,)`.
        wait_us: Time after which its key would be idle without any pause, `(n,)`.
        rules: Documents in force: a pause of planned work is none.
        groups: Rules of the key of each sample, `(n,)`; None: no key has any.

    Returns:
        The pauses, of `n` rows; None where no key has any.
    """
    fields, packed, keys = batch.keys.fields, accepted.packed, accepted.key_index
    seen_us, longest = fields["seen"][keys], fields["pauses"][keys]
    pause_us = clock_us - packed.previous(seen_us, clock_us)
    pause_us[packed.previous(seen_us == NEVER, clock_us == NEVER)] = 0
    pause_us[pause_us <= wait_us] = 0
    if groups is not None and pause_us.any():
        for times, index in rules.planned_parts(groups):
            end_us = clock_us[index]
            pause_us[index[times.quiet.meet(end_us - pause_us[index], end_us + 1)]] = 0
    if not pause_us.any():  # the usual case
        if not longest[:, -1].any():
            return None
        return Pauses(packed.expand(longest), packed.expand(fields["pause_time"][keys]))

    def advance(before: dict[str, Any], clock_us: Indices, pause_us: Indices) -> dict[str, Any]:
        return note_pauses(Pauses(**before), clock_us, pause_us)._asdict()

    start = Pauses(longest, fields["pause_time"][keys])._asdict()
    noted = Pauses(**packed.scan(advance, start, clock_us, pause_us))
    fields["pauses"][keys] = packed.last(noted.longest)
    fields["pause_time"][keys] = packed.last(noted.time_us)
    return noted
