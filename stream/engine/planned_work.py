"""Rows under planned work: set apart, so that nothing is learnt of them, and nothing fires.

A planned row is scored as if it were the next one after the key's last usual row, and leaves that
key's state as it is. So afterwards a key goes on as after a pause of the same length. A row of the
grace goes the usual way, but for its permission to fire.

A planned row needs the state of its key before it. So a batch ends where a key's rows become
planned behind others. A message is absorbed whole: of rows that one message completes, the planned
ones are scored by the state before the message. Nothing here depends on the cuts of a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import PackedRows
from ember_core.pipeline.pipeline import ChannelRows
from stream.engine.state.table import Store

from .batch import DueResolve, StepBatch
from .planned_times import GRACE, PLANNED, USUAL
from .result import ScoreColumns
from .rows import CompletedRows, ObservedRows
from .rules_effect import Groups, RowRules, RulesEffect
from .slices import PartitionSlice

if TYPE_CHECKING:
    from .admission import Admitted

_NEVER = 1 << 40
"""Message after all others."""

Phases = NDArray[np.int8]


@dataclass
class DividedRows:
    """Completed rows of a batch: those that go the usual way, and those under planned work.

    Attributes:
        every: All rows.
        usual: Rows that teach.
        usual_index: Index of each of these among all, `(U,)`.
        planned: Rows under planned work, each alone; `(P,)`.
        planned_index: Index of each of these among all.
        in_grace: True for rows of `usual` that may not fire; None: all may.
        quiet_limits: True for rows of all at which hard limits do not fire; None: they do.
    """

    every: CompletedRows
    usual: CompletedRows
    usual_index: NDArray[np.int64] | None = None
    planned: CompletedRows | None = None
    planned_index: NDArray[np.int64] | None = None
    in_grace: NDArray[np.bool_] | None = None
    quiet_limits: NDArray[np.bool_] | None = None

    def usual_of_all(self, usual: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of usual rows among all, `(n,)`.

        Args:
            usual: Indices of the rows among the usual ones, `(n,)`.
        """
        return usual if self.usual_index is None else self.usual_index[usual]

    def planned_of_all(self, planned: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the same of planned rows, of which there are some."""
        assert self.planned_index is not None
        return self.planned_index[planned]


@dataclass(frozen=True)
class PlannedScores:
    """Scores of planned rows of warm keys.

    Attributes:
        index: Index of each among the planned rows, `(n,)`.
        score: Free energy, `(n,)`.
        severity: Severity, `(n,)`.
        evidence: Evidence of the key, which stands still, `(n,)`.
        observed: All planned rows.
        channels: Evidence of the channels of these; None with joint evidence alone.
        rules: Rules of operators that they have; None: no row has any.
    """

    index: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    observed: ObservedRows
    channels: ChannelRows | None = None
    rules: RowRules | None = None

    def columns(self, sample: NDArray[np.int64], silent: Sequence[bytes] = ()) -> ScoreColumns:
        """Return the rows as they stand here.

        Args:
            sample: Index in the slice of each line of the batch.
            silent: Keys of the batch, where their silence completed the rows.
        """
        rows = self.observed.rows
        quiet = np.zeros(self.index.size, dtype=bool)
        return ScoreColumns(
            sample=sample[rows.line[self.index]],
            time_us=rows.time_us[self.index],
            score=self.score,
            severity=self.severity,
            evidence=self.evidence,
            anomaly=quiet,
            trigger=quiet.astype(np.int8),
            firing=quiet,
            silent={
                i: silent[row] for i, row in enumerate(rows.row[self.index].tolist()) if silent
            },
        )


class PlannedWork:
    """Finder of rows under planned work.

    Args:
        rules: Documents in force.
        row_us: Length of a row in time mode, 0 in count mode; microseconds.
    """

    def __init__(self, rules: RulesEffect, row_us: int) -> None:
        self._rules, self._row_us = rules, row_us

    def note_samples(self, batch: StepBatch) -> None:
        """Note the samples that are rows under planned work."""
        groups = batch.keys.rules
        if groups is None or self._row_us or not self._rules.has_calendars:
            return
        planned = np.zeros(len(batch), dtype=bool)
        of_lines = groups[batch.row[batch.new_lines]]
        for times, part in self._rules.planned_parts(of_lines):
            line = batch.new_lines[part]
            planned[line] = times.phases(batch.time_us[line], 0) == PLANNED
        if planned.any():
            batch.planned = planned

    def phases(self, groups: Groups | None, rows: CompletedRows) -> Phases | None:
        """Return the phase of each completed row, `(R,)`; None where all are usual."""
        if groups is None or not self._rules.has_calendars or not rows.line.size:
            return None
        phases = np.zeros(rows.line.size, dtype=np.int8)
        for times, part in self._rules.planned_parts(groups[rows.row]):
            phases[part] = times.phases(rows.time_us[part], self._row_us)
        return phases if phases.any() else None

    def cut(
        self,
        batch: StepBatch,
        rows: CompletedRows,
        phases: Phases | None,
        admitted: Admitted,
        slices: Sequence[PartitionSlice],
    ) -> tuple[list[PartitionSlice], list[PartitionSlice]] | None:
        """Divide a batch whose keys have planned rows behind others.

        Args:
            batch: The batch.
            rows: Rows it completes.
            phases: Their phases.
            admitted: The samples of the step.
            slices: Ranges of `admitted.sample` that the batch has.

        Returns:
            Ranges to absorb first, and those after them; None where the batch can stay whole.
        """
        if phases is None:
            return None
        key, message = rows.packed.key, batch.message[rows.line].astype(np.int64)
        usual, teaching = (np.full(rows.packed.key_count, _NEVER) for _ in range(2))
        np.minimum.at(usual, key[phases == USUAL], message[phases == USUAL])
        np.minimum.at(teaching, key[phases != PLANNED], message[phases != PLANNED])
        follows = (phases == PLANNED) & (message > teaching[key])
        follows |= (phases == GRACE) & (message > usual[key])
        if not follows.any():  # the usual case, also under planned work
            return None
        first, second = list[PartitionSlice](), list[PartitionSlice]()
        line, message = rows.line[follows], message[follows]
        for part_slice, (_, begin, end) in zip(slices, batch.slices, strict=True):
            messages_here = message[(line >= begin) & (line < end)]
            if not messages_here.size:
                first.append(part_slice)
                continue
            part, begin, end = part_slice
            messages = admitted.decoded.message[admitted.sample[begin:end]]
            middle = begin + int(np.searchsorted(messages, messages_here.min(), side="left"))
            first.append(PartitionSlice(part, begin, middle))
            second.append(PartitionSlice(part, middle, end))
        return first, second

    def divide(
        self, groups: Groups | None, rows: CompletedRows, phases: Phases | None
    ) -> DividedRows:
        """Set the planned rows apart from the others.

        Args:
            groups: Rules of the batch's keys.
            rows: The completed rows.
            phases: Their phases.
        """
        if phases is None or groups is None:
            return DividedRows(rows, rows)
        quiet_limits = np.zeros(rows.line.size, dtype=bool)
        for times, part in self._rules.planned_parts(groups[rows.row]):
            quiet_limits[part] = times.quiet_limits(rows.time_us[part], self._row_us)
        planned_index = np.flatnonzero(phases == PLANNED)
        if not planned_index.size:
            return DividedRows(rows, rows, in_grace=phases == GRACE, quiet_limits=quiet_limits)
        usual_index = np.flatnonzero(phases != PLANNED)
        packed, key_index, order = PackedRows.of(rows.row[usual_index])
        usual_index = usual_index[order]
        usual = CompletedRows(packed, key_index, *_columns(rows, usual_index))
        alone = PackedRows([int(planned_index.size)])
        planned = CompletedRows(alone, rows.row[planned_index], *_columns(rows, planned_index))
        in_grace = phases[usual_index] == GRACE
        return DividedRows(rows, usual, usual_index, planned, planned_index, in_grace, quiet_limits)

    def due_resolves(
        self, batch: StepBatch, rows: CompletedRows, phases: Phases | None
    ) -> dict[int, DueResolve]:
        """Return the open episodes that end with planned work, by row of `batch.keys`.

        Each ends with the key's first row under planned work, or in its grace.

        Args:
            batch: The batch.
            rows: The completed rows.
            phases: Their phases.
        """
        groups = batch.keys.rules
        if phases is None or groups is None:
            return {}
        due: dict[int, DueResolve] = {}
        is_open = batch.keys.fields["firing"][rows.row] > 0
        for i in np.flatnonzero((phases != USUAL) & is_open).tolist():
            row = int(rows.row[i])
            times = self._rules.of_group(int(groups[row])).planned
            if row not in due and times is not None:
                time_us = int(rows.time_us[i])
                names = times.names(time_us, self._row_us)
                due[row] = DueResolve(int(rows.line[i]), time_us, tuple(names))
        return due


def _columns(
    rows: CompletedRows, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    return rows.line[index], rows.time_us[index], rows.values[index]


def later_deadlines(
    rules: RulesEffect, groups: Groups | None, deadline_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return deadlines of keys with those under planned work at the end of its grace.

    Args:
        rules: Documents in force.
        groups: Rules of each key, `(n,)`; None: no key has any.
        deadline_us: The deadlines, `(n,)`.
    """
    if groups is None or not rules.has_calendars:
        return deadline_us
    deadline_us = deadline_us.copy()
    for times, part in rules.planned_parts(groups):
        deadline_us[part] = times.quiet.after(deadline_us[part])
    return deadline_us


def passed_beside_planned(
    rules: RulesEffect,
    store: Store,
    topic: str,
    slots: NDArray[np.int64],
    deadline_us: NDArray[np.int64],
    clock_us: int,
) -> NDArray[np.bool_]:
    """Return whether a clock passes deadlines, `(n,)`, of which planned work moves some.

    Args:
        rules: Documents in force.
        store: Rows of all keys.
        topic: Name of the stream in events.
        slots: Slots of the keys, `(n,)`.
        deadline_us: Their deadlines, `(n,)`; those that are moved are written.
        clock_us: The clock.
    """
    passed = deadline_us < clock_us
    if rules.has_calendars and passed.any():
        index = np.flatnonzero(passed)
        groups = rules.groups(topic, store, slots[index])
        deadline_us[index] = later_deadlines(rules, groups, deadline_us[index])
        passed = deadline_us < clock_us
    return passed
