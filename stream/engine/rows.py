"""Rows made of samples: late samples are set apart, the others complete rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Observation, PackedRows
from ember_core.rows.evaluate import evaluate
from stream.engine.state.layout import NEVER
from stream.engine.state.row_plan import RowPlan

from .aggregates import Columns
from .counters import Counters
from .windows import ClosedIntervals, Tumbling

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples of a block of keys, in order of arrival; `n` lines, of which some count.

    Attributes:
        fields: State of the `K` keys by the name of the field, written to.
        new_lines: Lines that count, rising.
        row: Index of the key of each line, `(n,)`.
        time_us: Event time, `(n,)`.
        values: Values, NaN where one is missing, `(n, S)`.
        temporality: Kind of each sample, where the format tells, `(n,)`.
        start_us: Start of the time that each covers, where the format tells, `(n,)`.
        planned: True for those under planned work, `(n,)`; None: none is.
    """

    fields: dict[str, Any]
    new_lines: Indices
    row: Indices
    time_us: Indices
    values: NDArray[np.float64]
    temporality: NDArray[np.uint8] | None = None
    start_us: Indices | None = None
    planned: NDArray[np.bool_] | None = None


@dataclass
class PackedSamples:
    """Samples that are not late, packed by key: the first of every key, then the second, ...

    Three numberings meet here: packed samples, packed keys, and lines of the batch.

    Attributes:
        packed: Key of each sample, by index of packed keys, and its place among those of the key.
        key_index: Row of the batch's `keys` of each packed key, `(K,)`.
        line: Line of the batch of each packed sample, `(n,)`.
    """

    packed: PackedRows
    key_index: Indices
    line: Indices

    @property
    def row(self) -> Indices:
        """Row of the batch's `keys` of each packed sample, `(n,)`."""
        rows: Indices = self.packed.expand(self.key_index)
        return rows


@dataclass
class CompletedRows(PackedSamples):
    """Rows that a batch completes, packed by key; `line` is the line that completed each.

    Attributes:
        time_us: Event time of each row, `(R,)`.
        values: Values of the channels, NaN where one is missing, `(R, C)`.
    """

    time_us: Indices
    values: NDArray[np.float64]


class Completion(NamedTuple):
    """Result of turning samples into rows.

    Attributes:
        late: Lines of the late samples.
        accepted: The other samples.
        rows: Rows that these complete.
    """

    late: Indices
    accepted: PackedSamples
    rows: CompletedRows


@dataclass
class ObservedRows:
    """Completed rows with the pipeline's observation of them."""

    rows: CompletedRows
    observation: Observation


class RowMaker:
    """Maker of rows, by the recipe of a model and the windows.

    Args:
        plan: Both of them.
    """

    def __init__(self, plan: RowPlan) -> None:
        self.plan, recipe = plan, plan.recipe
        self.tumbling: Tumbling | None = None
        if plan.window.mode == "time":
            self.tumbling = Tumbling(plan.window, plan.uses)
        number = {name: i for i, name in enumerate(plan.sources)}
        # Column of the sample that each sampled channel comes from.
        self._origin = np.array([number[channel.source] for channel in plan.sampled])
        self._differences = np.flatnonzero([use in ("rate", "delta") for use in plan.uses])
        uses = [plan.uses[column] for column in self._differences.tolist()]
        gap_us = 0 if recipe is None else round(recipe.gap_seconds * 1e6)
        self._counters = Counters(uses, gap_us) if uses else None
        self._rates = np.array([use == "rate" for use in uses])
        # Aggregates of one sample that are not its value.
        self._count, self._std = (
            [column for column, use in enumerate(plan.uses) if use == kind]
            for kind in ("count", "std")
        )
        self._assembles = recipe is not None and recipe.sampled != recipe.channels
        self._assembles |= recipe is not None and any(c.hidden for c in recipe.channels)

    def complete(self, samples: Samples) -> Completion:
        """Make rows of samples; the fields of their keys go on with them."""
        if self.tumbling is None:
            return self._complete_samples(samples)
        return self._complete_intervals(samples, self.tumbling)

    def _complete_samples(self, samples: Samples) -> Completion:
        """Make each new sample a row; one that is not newer than the key's last row is late."""
        late, accepted = accept_newer(samples)
        line = accepted.line
        values = samples.values[line]
        if self.plan.recipe is not None:
            columns = self._columns(samples, accepted, values)
            result = columns.values
            if self._counters is not None and columns.seconds is not None:
                rates = self._differences[self._rates]
                result[:, rates] /= columns.seconds[:, rates]
            present = np.isfinite(result)
            for kind, number in ((self._count, 1.0), (self._std, 0.0)):
                result[:, kind] = np.where(present[:, kind], number, np.nan)
            values = self._assemble(result)
        rows = CompletedRows(
            accepted.packed, accepted.key_index, line, samples.time_us[line], values
        )
        return Completion(late, accepted, rows)

    def _complete_intervals(self, samples: Samples, tumbling: Tumbling) -> Completion:
        """Add each new sample to its interval; rows are the intervals that samples close."""
        fields, times = samples.fields, samples.time_us
        late, accepted = accept_open(samples, tumbling)
        line, packed, key_index = accepted.line, accepted.packed, accepted.key_index
        if not line.size:
            no_intervals = ClosedIntervals(line, line, line, np.zeros((0, len(self.plan.uses))))
            return Completion(late, accepted, self.rows_of(no_intervals, key_index, line))
        views = {name: fields[name][key_index] for name in tumbling.fields}
        columns = self._columns(samples, accepted, samples.values[line])
        closed = tumbling.add(views, packed, times[line], columns)
        for name, value in views.items():
            fields[name][key_index] = value
        return Completion(late, accepted, self.rows_of(closed, key_index, line[closed.sample]))

    def rows_of(self, closed: ClosedIntervals, key_index: Indices, line: Indices) -> CompletedRows:
        """Return the rows of closed intervals.

        Args:
            closed: The intervals.
            key_index: Row of the batch's `keys` of each of their keys, `(K,)`.
            line: Line that closed each interval, `(n,)`.
        """
        packed, row_key_index, order = PackedRows.of(key_index[closed.key])
        values = self._assemble(closed.columns[order])
        return CompletedRows(packed, row_key_index, line[order], closed.start[order], values)

    def _columns(
        self, samples: Samples, accepted: PackedSamples, values: NDArray[np.float64]
    ) -> Columns:
        """Return the columns that are aggregated; counters become increases.

        Args:
            samples: The samples; their counters go on.
            accepted: Those that are not late.
            values: Values of these, `(n, S)`.
        """
        plan = self.plan
        columns = values if plan.recipe is None else values[:, self._origin]
        if self._counters is None:
            return Columns(columns)
        key_index, line = accepted.key_index, accepted.line
        views = {name: samples.fields[name][key_index] for name in self._counters.fields}
        temporality, start_us = samples.temporality, samples.start_us
        increases = self._counters.increases(
            views,
            accepted.packed,
            samples.time_us[line],
            columns[:, self._differences],
            None if temporality is None else temporality[line],
            None if start_us is None else start_us[line],
        )
        for name, value in views.items():
            samples.fields[name][key_index] = value
        columns, seconds = columns.copy(), np.full(columns.shape, np.nan)
        columns[:, self._differences] = increases.increase
        seconds[:, self._differences] = increases.seconds
        return Columns(columns, seconds)

    def _assemble(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the model's channels `(R, C)` of the sampled ones `(R, A)`: formulas come last."""
        recipe = self.plan.recipe
        if not self._assembles or recipe is None:
            return columns
        by_name = {c.name: columns[:, i] for i, c in enumerate(recipe.sampled)}
        for channel in recipe.channels:
            if channel.formula is not None:
                by_name[channel.name] = evaluate(channel.formula, by_name)
        return np.stack([by_name[name] for name in recipe.names], axis=1)


def accept_newer(samples: Samples) -> tuple[Indices, PackedSamples]:
    """Return the lines of samples that are not newer than their key's last row, and the others."""
    fields, line, key_row = samples.fields, samples.new_lines, samples.row[samples.new_lines]
    packed, key_index, order = PackedRows.of(key_row)
    time_us = samples.time_us[line[order]]
    last_time = fields["last_time"][key_index]
    # A key that a new model knows begins with 0 rows, but has its place in the log already.
    unseen = (fields["rows"][key_index] == 0) & (last_time == 0)
    newest = np.where(unseen, NEVER, last_time)
    # Where no sample is older than the one before it, none is late: the usual case, and cheap.
    late = time_us <= packed.previous(newest, time_us)
    if samples.planned is not None:
        # A row under planned work leaves no trace, not even its time.
        kept_us = np.where(samples.planned[line[order]], NEVER, time_us)
        late = time_us <= packed.previous(newest, packed.accumulate(np.maximum, newest, kept_us))
    elif late.any():
        # After a late sample the key's newest time stays the larger one: a running maximum.
        running = packed.accumulate(np.maximum, newest, time_us)
        late = time_us <= packed.previous(newest, running)
    return _set_apart(samples, PackedSamples(packed, key_index, line[order]), order, late)


def accept_open(samples: Samples, tumbling: Tumbling) -> tuple[Indices, PackedSamples]:
    """Return the lines of samples whose interval had closed, and the others."""
    packed, key_index, order = PackedRows.of(samples.row[samples.new_lines])
    line = samples.new_lines[order]
    late = tumbling.late(packed, samples.fields["max_time"][key_index], samples.time_us[line])
    return _set_apart(samples, PackedSamples(packed, key_index, line), order, late)


def _set_apart(
    samples: Samples, every: PackedSamples, order: Indices, late: NDArray[np.bool_]
) -> tuple[Indices, PackedSamples]:
    """Pack samples anew without the late ones, if there are any.

    Args:
        samples: The samples.
        every: All of those that count.
        order: Index among these, in order of arrival, of each packed sample.
        late: True for the late ones, packed.
    """
    if not late.any():
        return every.line[:0], every
    accepted_index = np.sort(order[~late])
    late_lines, line = every.line[late], samples.new_lines[accepted_index]
    packed, key_index, order = PackedRows.of(samples.row[line])
    return late_lines, PackedSamples(packed, key_index, line[order])


def progress_after(
    accepted: PackedSamples,
    observed: ObservedRows | None,
    row_counts: Indices,
    intervals: NDArray[np.float64],
) -> tuple[Indices, NDArray[np.float64]]:
    """Return the number of rows and the usual interval of the key after each of its samples.

    Args:
        accepted: The samples.
        observed: Rows they completed, if any.
        row_counts: Rows of each key before the batch, `(B,)`.
        intervals: Usual intervals before the batch, seconds, `(B,)`.

    Returns:
        Rows absorbed and usual interval, each `(n,)`.
    """
    packed = accepted.packed
    count = packed.expand(row_counts[accepted.key_index])
    usual = packed.expand(intervals[accepted.key_index])
    if observed is None:
        return count, usual
    rows = observed.rows
    if rows.packed is packed:  # every sample is a row
        return count + packed.step + 1, observed.observation.interval
    # Rows that each sample completed, then all rows its key completed up to it.
    n_lines = int(accepted.line.max()) + 1
    completed = np.bincount(rows.line, minlength=n_lines)[accepted.line]
    n_rows = packed.accumulate(np.add, np.zeros(packed.key_count, dtype=np.int64), completed)
    # Rows have another packing than samples: from a row of `keys` to a key of that packing.
    packed_key = np.zeros(row_counts.size, dtype=np.int64)
    packed_key[rows.key_index] = np.arange(rows.key_index.size)
    with_rows = np.flatnonzero(n_rows)
    key = packed_key[accepted.key_index[packed.key[with_rows]]]
    # The key's row number `n` lies at the start of step `n` of the packing, plus the key.
    row_index = np.asarray(rows.packed.starts)[n_rows[with_rows] - 1] + key
    usual = usual.copy()
    usual[with_rows] = observed.observation.interval[row_index]
    return count + n_rows, usual
