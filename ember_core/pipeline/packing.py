"""Several rows of a key at once: their order, and recurrences over it.

A row needs only a few numbers of the row before it; the rest of the work is the same for every
row. So all rows of a batch are laid out *step by step*: the first row of every key, then the second
row of every key that has one, and so on, keys with more rows first. The keys of a step are then the
first ones of the step before, the row before a row is found without a search, and a recurrence is a
loop over slices (PyTorch's `PackedSequence` has the same layout). The numbers are those of one row
at a time, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


class PackedRows:
    """Rows of keys, step by step. NumPy arrays only, unless no key has two rows.

    Args:
        sizes: Keys in each step, never rising, the last at least 1; `[K]` where no key has two.

    Attributes:
        key_count: Number of keys, `K`.
        row_count: Number of rows, `R`.
        once: True where no key has two rows: a row is its key.
        key: Key of each row, `(R,)`.
        step: Step of each row, `(R,)`: the number of rows of its key before it.
        last_rows: Last row of each key, `(K,)`.
        starts: First row of each step.

    Examples:
        >>> import numpy as np
        >>> packed, keys, order = PackedRows.of(np.array([7, 4, 7, 7, 4, 9]))
        >>> keys.tolist(), order.tolist()  # key 7 has most rows
        ([7, 4, 9], [0, 1, 5, 2, 4, 3])
        >>> packed.key.tolist(), packed.step.tolist(), packed.last_rows.tolist()
        ([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2], [5, 4, 2])
    """

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.key_count = sizes[0] if sizes else 0
        self.row_count = sum(sizes)
        self.once = len(sizes) <= 1
        self.starts = [0, *accumulate(sizes[:-1])] if sizes else []
        if self.once:
            self.key = np.arange(self.key_count)
            self.step = np.zeros(self.key_count, dtype=np.int64)
            self.last_rows = self.key
            return
        self.step = np.repeat(np.arange(len(sizes)), sizes)
        self.key = np.arange(self.row_count) - np.asarray(self.starts)[self.step]
        self.last_rows = np.empty(self.key_count, dtype=np.int64)
        self.last_rows[self.key] = np.arange(self.row_count)  # later steps overwrite earlier ones

    @classmethod
    def of(
        cls, owner: NDArray[np.int64]
    ) -> tuple[PackedRows, NDArray[np.int64], NDArray[np.int64]]:
        """Lay rows out.

        Args:
            owner: Key of each row, `(R,)`, in order of arrival; small numbers.

        Returns:
            The packed rows; the keys, `(K,)`, in their order; and the index into `owner` of each
            packed row, `(R,)`.
        """
        if owner.size == 1:
            return cls([1]), owner, np.zeros(1, dtype=np.int64)
        counts = np.bincount(owner)
        keys = np.flatnonzero(counts)
        arrival = np.argsort(owner, kind="stable")
        if keys.size == owner.size:
            return cls([int(keys.size)] if keys.size else []), keys, arrival
        counts = counts[keys]
        by_count = np.argsort(-counts, kind="stable")
        rank = np.empty(keys.size, dtype=np.int64)
        rank[by_count] = np.arange(keys.size)
        # `arrival` has the rows of one key side by side: a row's step is its place among them.
        step = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        sizes = np.bincount(step)
        order = np.empty(owner.size, dtype=np.int64)
        order[(np.cumsum(sizes) - sizes)[step] + np.repeat(rank, counts)] = arrival
        return cls(sizes.tolist()), keys[by_count], order

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first row of each step, and its number of keys."""
        return zip(self.starts, self.sizes, strict=True)

    def left(self, step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the keys that have rows from a step on, and the indices of these rows."""
        if step < len(self.sizes):
            starts, sizes = np.asarray(self.starts[step:]), np.asarray(self.sizes[step:])
            for key in range(self.sizes[step]):
                yield key, starts[: int(np.count_nonzero(sizes > key))] + key

    def runs(self) -> Iterator[tuple[slice, tuple[int, ...]]]:
        """Yield consecutive steps that have the same keys.

        Yields:
            Their rows, and the shape of these: `(steps, keys)`, or `(steps,)` where one key is
            left, so that an operation has one axis less to go over.
        """
        step = 0
        for n, equal in groupby(self.sizes):
            count = len(list(equal))
            start = self.starts[step]
            yield slice(start, start + n * count), (count,) if n == 1 else (count, n)
            step += count

    def expand(self, per_key: Any) -> Any:
        """Repeat values of keys, `(K, ...)`, for each of their rows, `(R, ...)`."""
        return per_key if self.once else per_key[self.key]

    def previous(self, start: Any, values: Any) -> Any:
        """Shift values by one row of the same key.

        Args:
            start: Values before the first row of each key, `(K, ...)`.
            values: Values after each row, `(R, ...)`.

        Returns:
            Values before each row, `(R, ...)`.
        """
        if self.once:
            return start
        return np.concatenate([start, values[self.earlier(1)]])

    def earlier(self, n: int) -> NDArray[np.int64]:
        """Return the row `n` steps earlier, for every row that has one; those are the last rows."""
        starts = np.asarray(self.starts)
        start = int(starts[n]) if n < len(starts) else self.row_count
        return starts[self.step[start:] - n] + self.key[start:]

    def last(self, values: Any) -> Any:
        """Select the value after each key's last row, `(K, ...)`, from those of all rows."""
        return values if self.once else values[self.last_rows]

    def scan(
        self, advance: Callable[..., dict[str, Any]], start: dict[str, Any], *columns: Any
    ) -> dict[str, Any]:
        """Run a recurrence of any kind, step after step.

        Args:
            advance: Function of the fields before the rows of some keys, and of the columns of
                those rows, that returns the fields after them.
            start: Fields before the first row of each key, `(K, ...)`.
            columns: Further inputs of each row, `(R, ...)`.

        Returns:
            The fields after each row, `(R, ...)`.
        """
        if self.once:
            return advance(start, *columns)
        parts: list[dict[str, Any]] = []
        state = start
        for begin, n in self.spans():
            state = {name: value[:n] for name, value in state.items()}
            state = advance(state, *(column[begin : begin + n] for column in columns))
            parts.append(state)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def accumulate(self, operation: np.ufunc, start: Any, x: Any) -> Any:
        """Run a recurrence that is one operation: `sum' = operation(sum, x)`.

        Args:
            operation: Operation on two integers, as `np.add` or `np.maximum`.
            start: Value before each key's first row, `(K, ...)`.
            x: Input of each row, `(R, ...)`, of the same type.

        Returns:
            The value after each row, `(R, ...)`.
        """
        result = np.empty_like(x)
        total = start
        for begin, n in self.spans():
            if n == 1:
                result[begin:] = operation.accumulate(np.concatenate([total[:1], x[begin:]]))[1:]
                break
            part = slice(begin, begin + n)
            total = operation(total[:n], x[part], out=result[part])
        return result

    def ewma(self, start: Rows, x: Rows, gain: Rows) -> tuple[Rows, Rows]:
        """Update moving averages: `departure = x - average`, `average' = average + gain departure`.

        Args:
            start: Averages before each key's first row, `(K, W)`, float32.
            x: Input of each row, `(R, W)`, float32.
            gain: Weight of each row, `(R, W)`, float32.

        Returns:
            The averages after each row and the departures from those before it, `(R, W)`.
        """
        if self.once:
            departures = x - start
            return start + gain * departures, departures
        averages, departures = np.empty_like(x), np.empty_like(x)
        subtract, multiply, add, average = np.subtract, np.multiply, np.add, start
        for part, shape in self.runs():
            average = average[: shape[1]] if len(shape) == 2 else average[0]
            change = np.empty_like(average)
            columns = (c[part].reshape(*shape, -1) for c in (x, gain, departures, averages))
            for value, weight, departure, result in zip(*columns, strict=True):
                subtract(value, average, departure)
                multiply(weight, departure, change)
                average = add(average, change, result)
        return averages, departures

    def decayed_sum(self, start: Rows, x: Rows, keep: Rows) -> Rows:
        """Update sums that decay: `sum' = keep (sum + x)`.

        Args:
            start: Sums before each key's first row, `(K, W)`, float32.
            x: Input of each row, `(R, W)`, float32.
            keep: Factor of each row, `(R, W)`, float32.

        Returns:
            The sums after each row, `(R, W)`.
        """
        if self.once:
            return keep * (start + x)
        sums = np.empty_like(x)
        multiply, add, total = np.multiply, np.add, start
        for part, shape in self.runs():
            total = total[: shape[1]] if len(shape) == 2 else total[0]
            columns = (c[part].reshape(*shape, -1) for c in (x, keep, sums))
            for value, factor, result in zip(*columns, strict=True):
                add(total, value, result)
                total = multiply(factor, result, result)
        return sums
