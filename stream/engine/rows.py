"""Rows made of samples: late samples are set apart, the others complete rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Observation, PackedRows
from stream.engine.state.layout import NEVER

from .batch import StepBatch
from .windows import Tumbling

Indices = NDArray[np.int64]


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


def complete_samples(batch: StepBatch) -> Completion:
    """Make each new sample a row; one that is not newer than the key's last row is late."""
    fields, line, key_row = batch.keys.fields, batch.new_lines, batch.row[batch.new_lines]
    packed, key_index, order = PackedRows.of(key_row)
    time_us = batch.time_us[line[order]]
    last_time = fields["last_time"][key_index]
    # A key that a new model knows begins with 0 rows, but has its place in the log already.
    unseen = (fields["rows"][key_index] == 0) & (last_time == 0)
    newest = np.where(unseen, NEVER, last_time)
    # Where no sample is older than the one before it, none is late: the usual case, and cheap.
    late = time_us <= packed.previous(newest, time_us)
    if late.any():
        # After a late sample the key's newest time stays the larger one: a running maximum.
        running = packed.accumulate(np.maximum, newest, time_us)
        late = time_us <= packed.previous(newest, running)
        # Packed anew without the late samples; `order` and `accepted_index` index `new_lines`.
        accepted_index = np.sort(order[~late])
        late_lines, line = line[order[late]], line[accepted_index]
        packed, key_index, order = PackedRows.of(key_row[accepted_index])
    else:
        late_lines = line[:0]
    line = line[order]
    accepted = PackedSamples(packed, key_index, line)
    rows = CompletedRows(packed, key_index, line, batch.time_us[line], batch.values[line])
    return Completion(late_lines, accepted, rows)


def complete_intervals(batch: StepBatch, tumbling: Tumbling) -> Completion:
    """Add each new sample to its interval; rows are the intervals that samples close.

    Args:
        batch: The batch; the intervals lie in the fields of its keys.
        tumbling: The intervals.
    """
    fields, times, values = batch.keys.fields, batch.time_us, batch.values
    new_lines, key_row = batch.new_lines, batch.row[batch.new_lines]
    packed, key_index, order = PackedRows.of(key_row)
    packed_lines = new_lines[order]
    windows = {name: fields[name][key_index] for name in tumbling.fields}
    late: list[Indices] = []
    closed: list[tuple[Indices, Indices, Indices, NDArray[np.float64]]] = []
    # One sample of each key at a time; keys with more samples come first, so that the keys of a
    # step are always the first `n` of all.
    for begin, n in packed.spans():
        line = packed_lines[begin : begin + n]
        current = {name: value[:n] for name, value in windows.items()}
        packed_key = np.arange(n)
        is_late = tumbling.late(current, times[line])
        if is_late.any():
            late.append(line[is_late])
            packed_key = np.flatnonzero(~is_late)
            current = {name: value[packed_key] for name, value in current.items()}
            line = line[packed_key]
        for closing, start, row in tumbling.due(current, times[line]):
            closed.append((key_index[packed_key[closing]], line[closing], start, row))
        tumbling.absorb(current, times[line], values[line])
        if is_late.any():  # `current` is a copy then, not a view
            for name, value in current.items():
                windows[name][packed_key] = value
    for name, value in windows.items():
        fields[name][key_index] = value
    late_lines = np.concatenate(late) if late else new_lines[:0]
    accepted_mask = (
        ~np.isin(new_lines, late_lines) if late_lines.size else np.ones(new_lines.size, dtype=bool)
    )
    packed, key_index, order = PackedRows.of(key_row[accepted_mask])
    accepted = PackedSamples(packed, key_index, new_lines[accepted_mask][order])
    if not closed:
        no_rows = PackedRows.of(key_row[:0])[:2]
        return Completion(
            late_lines, accepted, CompletedRows(*no_rows, new_lines[:0], times[:0], values[:0])
        )
    key_row, line, start, row = (np.concatenate(column) for column in zip(*closed, strict=True))
    packed, key_index, order = PackedRows.of(key_row)
    rows = CompletedRows(packed, key_index, line[order], start[order], row[order])
    return Completion(late_lines, accepted, rows)


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
