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

    Attributes:
        packed: Key of each sample, and its place among those of the key.
        keys: Row of the batch's `keys` of each packed key, `(K,)`.
        sample: Line of the batch of each sample, `(n,)`.
    """

    packed: PackedRows
    keys: Indices
    sample: Indices

    @property
    def row(self) -> Indices:
        """Row of the batch's `keys` of each sample, `(n,)`."""
        rows: Indices = self.packed.expand(self.keys)
        return rows


@dataclass
class CompletedRows(PackedSamples):
    """Rows that a batch completes, packed by key; `sample` is the line that completed each.

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
    """Make each fresh sample a row; one that is not newer than the key's last row is late."""
    fields, sample, key_row = batch.keys.fields, batch.fresh, batch.row[batch.fresh]
    packed, keys, order = PackedRows.of(key_row)
    time_us = batch.time_us[sample[order]]
    newest = np.where(fields["rows"][keys] == 0, NEVER, fields["last_time"][keys])
    # Where no sample is older than the one before it, none is late: the usual case, and cheap.
    late = time_us <= packed.previous(newest, time_us)
    if late.any():
        # After a late sample the key's newest time stays the larger one: a running maximum.
        running = packed.accumulate(np.maximum, newest, time_us)
        late = time_us <= packed.previous(newest, running)
        accepted_lines = np.sort(order[~late])
        late_samples, sample = sample[order[late]], sample[accepted_lines]
        packed, keys, order = PackedRows.of(key_row[accepted_lines])
    else:
        late_samples = sample[:0]
    accepted = PackedSamples(packed, keys, sample[order])
    lines = accepted.sample
    rows = CompletedRows(packed, keys, lines, batch.time_us[lines], batch.values[lines])
    return Completion(late_samples, accepted, rows)


def complete_intervals(batch: StepBatch, tumbling: Tumbling) -> Completion:
    """Add each fresh sample to its interval; rows are the intervals that samples close.

    Args:
        batch: The batch; the intervals lie in the fields of its keys.
        tumbling: The intervals.
    """
    fields, times, values = batch.keys.fields, batch.time_us, batch.values
    fresh, key_row = batch.fresh, batch.row[batch.fresh]
    packed, keys, order = PackedRows.of(key_row)
    packed_samples = fresh[order]
    windows = {name: fields[name][keys] for name in tumbling.fields}
    late: list[Indices] = []
    closed: list[tuple[Indices, Indices, Indices, NDArray[np.float64]]] = []
    # One sample of each key at a time; keys with more samples come first, so that the keys of a
    # step are always the first `n` of all.
    for begin, n in packed.spans():
        sample = packed_samples[begin : begin + n]
        current = {name: value[:n] for name, value in windows.items()}
        key_index = np.arange(n)
        is_late = tumbling.late(current, times[sample])
        if is_late.any():
            late.append(sample[is_late])
            key_index = np.flatnonzero(~is_late)
            current = {name: value[key_index] for name, value in current.items()}
            sample = sample[key_index]
        for closing, start, row in tumbling.due(current, times[sample]):
            closed.append((keys[key_index[closing]], sample[closing], start, row))
        tumbling.absorb(current, times[sample], values[sample])
        if is_late.any():  # `current` is a copy then, not a view
            for name, value in current.items():
                windows[name][key_index] = value
    for name, value in windows.items():
        fields[name][keys] = value
    late_samples = np.concatenate(late) if late else fresh[:0]
    accepted_mask = (
        ~np.isin(fresh, late_samples) if late_samples.size else np.ones(fresh.size, dtype=bool)
    )
    packed, keys, order = PackedRows.of(key_row[accepted_mask])
    accepted = PackedSamples(packed, keys, fresh[accepted_mask][order])
    if not closed:
        no_rows = PackedRows.of(key_row[:0])[:2]
        return Completion(
            late_samples, accepted, CompletedRows(*no_rows, fresh[:0], times[:0], values[:0])
        )
    key_row, sample, start, row = (np.concatenate(column) for column in zip(*closed, strict=True))
    packed, keys, order = PackedRows.of(key_row)
    rows = CompletedRows(packed, keys, sample[order], start[order], row[order])
    return Completion(late_samples, accepted, rows)


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
    count = packed.expand(row_counts[accepted.keys])
    usual = packed.expand(intervals[accepted.keys])
    if observed is None:
        return count, usual
    rows = observed.rows
    if rows.packed is packed:  # every sample is a row
        return count + packed.step + 1, observed.observation.interval
    # Rows that each sample completed, then all rows its key completed up to it.
    n_samples = int(accepted.sample.max()) + 1
    completed = np.bincount(rows.sample, minlength=n_samples)[accepted.sample]
    n_rows = packed.accumulate(np.add, np.zeros(packed.key_count, dtype=np.int64), completed)
    # Rows have another packing than samples: from a row of the block to a key of that packing.
    packed_key = np.zeros(row_counts.size, dtype=np.int64)
    packed_key[rows.keys] = np.arange(rows.keys.size)
    with_rows = np.flatnonzero(n_rows)
    key = packed_key[accepted.keys[packed.key[with_rows]]]
    # The key's row number `n` lies at the start of step `n` of the packing, plus the key.
    row_index = np.asarray(rows.packed.starts)[n_rows[with_rows] - 1] + key
    usual = usual.copy()
    usual[with_rows] = observed.observation.interval[row_index]
    return count + n_rows, usual
