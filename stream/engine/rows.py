"""From samples to rows: which samples are late, and which rows the others complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Observation, PackedRows

from .windows import NEVER, Tumbling

Indices = NDArray[np.int64]


class Taken(NamedTuple):
    """Samples of a batch that are not late, turn by turn.

    Attributes:
        turns: Which key each is of.
        keys: Row of the block of each key, `(K,)`.
        sample: Index of each sample, `(n,)`.
    """

    turns: PackedRows
    keys: Indices
    sample: Indices


@dataclass
class Completed:
    """Rows that a batch completes, turn by turn.

    Attributes:
        turns: Which key each is of.
        keys: Row of the block of each key, `(K,)`.
        sample: Sample that completed each row, `(R,)`.
        time_us: Event time of each row, `(R,)`.
        values: `(R, C)`, NaN where a channel is missing.
    """

    turns: PackedRows
    keys: Indices
    sample: Indices
    time_us: Indices
    values: NDArray[np.float64]

    @property
    def who(self) -> Indices:
        """Row of the block each row is of, `(R,)`."""
        rows: Indices = self.turns.expand(self.keys)
        return rows


@dataclass
class Seen:
    """Completed rows and what the pipeline saw in them."""

    rows: Completed
    observed: Observation


def of_samples(
    views: dict[str, Any],
    whose: Indices,
    sample: Indices,
    times: Indices,
    values: NDArray[np.float64],
) -> tuple[Indices, Taken, Completed]:
    """Each sample is a row; one that is not newer than the key's last row is late.

    Args:
        views: Fields of the block.
        whose: Row of the block of each sample, `(n,)`.
        sample: Their indices, rising, `(n,)`.
        times: Event times of all samples.
        values: Values of all samples.

    Returns:
        The late samples; the others; and their rows.
    """
    turns, keys, order = PackedRows.of(whose)
    time_us = times[sample[order]]
    before = np.where(views["rows"][keys] == 0, NEVER, views["last_time"][keys])
    late = time_us <= turns.previous(before, time_us)
    if late.any():
        late = time_us <= turns.previous(before, turns.accumulate(np.maximum, before, time_us))
        kept = np.sort(order[~late])
        none, sample = sample[order[late]], sample[kept]
        turns, keys, order = PackedRows.of(whose[kept])
    else:
        none = sample[:0]
    taken = Taken(turns, keys, sample[order])
    times, values = times[taken.sample], values[taken.sample]
    return none, taken, Completed(turns, keys, taken.sample, times, values)


def of_intervals(
    tumbling: Tumbling,
    views: dict[str, Any],
    whose: Indices,
    sample: Indices,
    times: Indices,
    values: NDArray[np.float64],
) -> tuple[Indices, Taken, Completed]:
    """Samples go into their intervals, which are in `views`; rows are intervals they close.

    Arguments and returns as `of_samples`.
    """
    turns, keys, order = PackedRows.of(whose)
    in_turn = sample[order]
    open_now = {name: views[name][keys] for name in tumbling.fields}
    late: list[Indices] = []
    closed: list[tuple[Indices, Indices, Indices, NDArray[np.float64]]] = []
    for begin, n in turns.spans():
        part = in_turn[begin : begin + n]
        own = {name: value[:n] for name, value in open_now.items()}
        which = np.arange(n)
        gone = tumbling.late(own, times[part])
        if gone.any():
            late.append(part[gone])
            which = np.flatnonzero(~gone)
            own = {name: value[which] for name, value in own.items()}
            part = part[which]
        for who, start, row in tumbling.due(own, times[part]):
            closed.append((keys[which[who]], part[who], start, row))
        tumbling.absorb(own, times[part], values[part])
        if gone.any():
            for name, value in own.items():
                open_now[name][which] = value
    for name, value in open_now.items():
        views[name][keys] = value
    none = np.concatenate(late) if late else sample[:0]
    kept = ~np.isin(sample, none) if none.size else np.ones(sample.size, dtype=bool)
    turns, keys, order = PackedRows.of(whose[kept])
    taken = Taken(turns, keys, sample[kept][order])
    if not closed:
        return (
            none,
            taken,
            Completed(*PackedRows.of(whose[:0])[:2], sample[:0], times[:0], values[:0]),
        )
    who, by, start, row = (np.concatenate(column) for column in zip(*closed, strict=True))
    turns, keys, order = PackedRows.of(who)
    return none, taken, Completed(turns, keys, by[order], start[order], row[order])


def known_at(
    taken: Taken, seen: Seen | None, rows: Indices, interval: NDArray[np.float64]
) -> tuple[Indices, NDArray[np.float64]]:
    """What is known of a key after each of its samples.

    Args:
        taken: The samples.
        seen: The rows they completed, if any.
        rows: Rows of each row of the block before the batch, `(B,)`.
        interval: Usual intervals before the batch, `(B,)`, seconds.

    Returns:
        Rows absorbed and usual interval after each sample, `(n,)`.
    """
    turns = taken.turns
    count, usual = turns.expand(rows[taken.keys]), turns.expand(interval[taken.keys])
    if seen is None:
        return count, usual
    mine = seen.rows
    if mine.turns is turns:  # every sample is a row
        return count + turns.step + 1, seen.observed.interval
    number = np.bincount(mine.sample, minlength=int(taken.sample.max()) + 1)[taken.sample]
    done = turns.accumulate(np.add, np.zeros(turns.keys, dtype=np.int64), number)
    place = np.zeros(rows.size, dtype=np.int64)
    place[mine.keys] = np.arange(mine.keys.size)
    some = np.flatnonzero(done)
    key = place[taken.keys[turns.key[some]]]
    usual = usual.copy()
    usual[some] = seen.observed.interval[np.asarray(mine.turns.starts)[done[some] - 1] + key]
    return count + done, usual
