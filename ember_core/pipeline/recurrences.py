"""Recurrences over several rows a key, all rows of a block at once.

A number that follows its rows slowly depends little on what it was the row before. So all rows of
a block are computed from a guess of it, and these give a better guess. A guess that gives itself
is the solution: computed row by row it would have the same bits. Where no key has two rows, the
first guess is the solution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ember_core import ops

from .packing import PackedRows
from .stage import State

BLOCK_ROWS: Final = 1024
"""Rows of a block: few enough for a processor's cache, and for guesses that are nearly right."""
BLOCK_STEPS: Final = 256
BLOCK_KEYS: Final = 2048
"""Rows of a block where no key has two: their intermediate arrays stay in the cache."""
MOST_GUESSES: Final = 12
"""Guesses after which a block is halved; a block of one step needs one."""
_WHOLE: Final = 2.0**24  # from which a float32 counts no further
_REST_CHECK: Final = 8  # steps after which a sum is looked at: is it at rest?


def by_blocks(
    packed: PackedRows,
    follow: Callable[..., State],
    start: State,
    *columns: Any,
    steps: int = BLOCK_STEPS,
) -> State:
    """Run a recurrence block by block.

    Args:
        packed: Key of each row.
        follow: Function of the packed rows of a block, of the fields before them and of their
            columns, that returns the fields after each row.
        start: Fields before the first row of each key, `(K, ...)`.
        columns: Further inputs of each row, `(R, ...)`, or dictionaries of them.
        steps: Most steps of a block.

    Returns:
        The fields after each row, `(R, ...)`.
    """
    if packed.once and _is_small(packed, columns):
        return follow(packed, start, *columns)
    parts, state = list[State](), start
    for block, rows in _blocks(packed, steps):
        keys = rows if packed.once else slice(0, block.key_count)
        state = _part(start if packed.once else state, keys)
        part = follow(block, state, *(_part(column, rows) for column in columns))
        state = {name: block.last(part[name]) for name in start}
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _blocks(packed: PackedRows, steps: int) -> Iterator[tuple[PackedRows, slice]]:
    """Yield blocks of rows: some steps of all keys, or some keys where no key has two rows."""
    if packed.once:
        for begin in range(0, packed.row_count, BLOCK_KEYS):
            end = min(begin + BLOCK_KEYS, packed.row_count)
            yield PackedRows([end - begin]), slice(begin, end)
        return
    step = 0
    while step < len(packed.sizes):
        count = min(max(BLOCK_ROWS // packed.sizes[step], 1), steps)
        block = PackedRows(packed.sizes[step : step + count])
        begin = packed.starts[step]
        yield block, slice(begin, begin + block.row_count)
        step += count


def _part(columns: Any, rows: slice) -> Any:
    """Return rows of a column, or of columns by name."""
    if isinstance(columns, dict):
        return {name: column[rows] for name, column in columns.items()}
    return columns[rows]


def _is_small(packed: PackedRows, columns: tuple[Any, ...]) -> bool:
    """Test whether rows of different keys are one block: on another device they always are."""
    column = next(column for column in columns if not isinstance(column, dict))
    return packed.row_count <= BLOCK_KEYS or ops.backend_name(column) != "numpy"


def slow_sums(
    packed: PackedRows,
    change: Callable[..., tuple[State, State]],
    slow: State,
    others: State,
    *columns: Any,
    guess: State | None = None,
) -> State:
    """Run `sum' = sum + change(sum)`, where a sum changes slowly.

    Args:
        packed: Key of each row.
        change: Function of the packed rows, of the sums before each row, `(R, ...)`, of `others`
            and of the columns. It returns the changes of the row, and other fields and columns. A
            row's depend on that row only, or on rows before it.
        slow: Sums before each key's first row, `(K, ...)`, NaN-free.
        others: Fields before each key's first row that `change` follows by itself.
        columns: Inputs of each row, `(R, ...)`.
        guess: Sums before each row, nearly; None: those before the first row.

    Returns:
        Sums and other fields after each row, and the further columns, `(R, ...)`.
    """
    before = guess or {name: packed.expand(value) for name, value in slow.items()}
    for _ in range(MOST_GUESSES):
        changes, row_columns = change(packed, before, others, *columns)
        if packed.once:
            return row_columns | {name: slow[name] + changes[name] for name in slow}
        sums = {name: running_sum(packed, slow[name], changes[name]) for name in slow}
        if all(same_bits(before[name], sums[name][0]) for name in slow):
            return row_columns | {name: after for name, (_, after) in sums.items()}
        before = {name: value for name, (value, _) in sums.items()}

    def follow(block: PackedRows, state: State, *rows: Any) -> State:
        parts = ({name: state[name] for name in fields} for fields in (slow, others))
        return slow_sums(block, change, *parts, *rows)

    return by_blocks(packed, follow, slow | others, *columns, steps=half(packed))


def half(packed: PackedRows) -> int:
    """Return half of the steps of a block, for one that is too long for guesses."""
    return -(-len(packed.sizes) // 2)


def same_bits(a: Any, b: Any) -> bool:
    """Test two arrays of float32 for the same bits."""
    return bool((a.view(np.int32) == b.view(np.int32)).all())


def running_sum(packed: PackedRows, start: Any, x: Any) -> tuple[Any, Any]:
    """Return the sums before and after each row, `(R, ...)`, added one row after the other.

    Args:
        packed: Key of each row.
        start: Sums before each key's first row, `(K, ...)`.
        x: Addends of the rows, `(R, ...)`, of the same type.
    """
    if packed.once:
        return start, start + x
    sums = _table(packed, start, x)
    np.add.accumulate(sums, axis=0, out=sums)
    return _rows(packed, sums[:-1]), _rows(packed, sums[1:])


def bounded_ewma(packed: PackedRows, start: Any, x: Any, gain: Any, most: Any) -> tuple[Any, Any]:
    """Update moving averages in bounded steps, `average' = average + gain clip(x - average)`.

    Args:
        packed: Key of each row.
        start: Averages before each key's first row, `(K, C)`, float32.
        x: Input of each row, `(R, C)`, float32.
        gain: Weight of each row, `(R, C)`, float32.
        most: Largest departure that counts, `(R, C)`, float32.

    Returns:
        The averages before and after each row, `(R, C)`.
    """
    if packed.once:
        return start, start + gain * ops.clip(x - start, -most, most)
    averages = np.empty_like(x)
    least, average = -most, start
    for part, shape in packed.runs():
        average = average[: shape[1]] if len(shape) == 2 else average[0]
        step = np.empty_like(average)
        columns = (c[part].reshape(*shape, -1) for c in (x, gain, least, most, averages))
        for value, weight, low, high, result in zip(*columns, strict=True):
            np.subtract(value, average, step)
            np.maximum(step, low, out=step)
            np.minimum(step, high, out=step)
            np.multiply(weight, step, step)
            average = np.add(average, step, result)
    return packed.previous(start, averages), averages


def reflected_sum(packed: PackedRows, start: Any, x: Any) -> Any:
    """Return the sums after each row, `(R, ...)`, that never fall below 0.

    Args:
        packed: Key of each row.
        start: Sums before each key's first row, `(K, ...)`, float32, not below 0.
        x: Addends of the rows, `(R, ...)`, float32.
    """
    if packed.once:
        return ops.maximum(start + x, 0.0)
    added = _table(packed, start, x)
    sums = np.zeros_like(added)
    sums[0] = start
    axes = tuple(range(1, x.ndim + 1))
    rises = np.append(np.flatnonzero((added[1:] > 0).any(axis=axes)), len(added)).tolist()
    step, next_rise, last = 1, 0, len(added)
    total, nothing = sums[0], np.zeros_like(sums[0])
    while step < last:
        if step % _REST_CHECK == 1 and not total.any():  # nothing happens until the next rise
            while rises[next_rise] + 1 < step:
                next_rise += 1
            step = rises[next_rise] + 1
            if step >= last:
                break
        total = np.add(total, added[step], out=sums[step])
        np.maximum(total, nothing, out=total)
        step += 1
    return _rows(packed, sums[1:])


def latest(packed: PackedRows, start: Any, x: Any, is_given: Any) -> Any:
    """Return the last given value of each row and channel, `(R, C)`.

    Args:
        packed: Key of each row.
        start: Values before each key's first row, `(K, C)`.
        x: Values of the rows, `(R, C)`.
        is_given: Values that are there, `(R, C)`.
    """
    if packed.once:
        return ops.where(is_given, x, start)
    if is_given.all():
        return x
    values = _table(packed, start, x)
    step = (packed.step + 1)[:, None] * is_given
    given = _table(packed, np.zeros(start.shape, np.int64), step)
    np.maximum.accumulate(given, axis=0, out=given)
    return _rows(packed, np.take_along_axis(values, given[1:], axis=0))


def run_lengths(packed: PackedRows, start: Any, goes_on: Any, is_given: Any) -> Any:
    """Count the rows for which runs have gone on, `(R, C)`, float32.

    Args:
        packed: Key of each row.
        start: Lengths before each key's first row, `(K, C)`, float32.
        goes_on: Values that go on with the run of the one before, `(R, C)`.
        is_given: Values that are there; the others leave a run as it is.
    """
    if packed.once:
        return ops.where(is_given, ops.where(goes_on, start + 1.0, 0.0), start)
    if not (goes_on.any() or start.any()):
        return np.zeros(goes_on.shape, np.float32)
    before = np.minimum(start, _WHOLE).astype(np.int64)
    _, count = running_sum(packed, before, (goes_on & is_given).astype(np.int64))
    begin = latest(packed, np.zeros_like(before), count, is_given & ~goes_on)
    return np.minimum(count - begin, _WHOLE).astype(np.float32)


def _table(packed: PackedRows, start: Any, x: Any) -> Any:
    """Lay rows out by step and key, `(1 + steps, K, ...)`, after the values before them."""
    table = np.zeros((1 + len(packed.sizes), packed.key_count, *x.shape[1:]), x.dtype)
    table[0] = start
    if packed.sizes[-1] == packed.key_count:
        table[1:] = x.reshape(table[1:].shape)
    else:
        table[1 + packed.step, packed.key] = x
    return table


def _rows(packed: PackedRows, table: Any) -> Any:
    """Return the rows of a table by step and key, `(R, ...)`."""
    if packed.sizes[-1] == packed.key_count:
        return table.reshape(packed.row_count, *table.shape[2:])
    return table[packed.step, packed.key]
