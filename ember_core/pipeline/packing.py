"""Several rows of a key at once: their order, and recurrences over it.

What a key's row needs of the row before it is little; the rest of the work is the same for every
row. So all rows of a batch are laid out *turn by turn*: the first row of every key, then the second
row of every key that has one, and so on, keys with more rows first. The keys of a turn are then the
first ones of the turn before, the row before a row is found without a search, and a recurrence is a
loop over slices. The numbers are those of one row at a time, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stage import State

Rows = NDArray[np.float32]


class PackedRows:
    """Rows of keys, turn by turn. NumPy's arrays only.

    Args:
        sizes: Keys in each turn, never rising, the last at least 1; `[K]` where no key has two.

    Attributes:
        keys: Number of keys, `K`.
        rows: Number of rows, `R`.
        once: True where no key has two rows: a row is its key.
        key: Key of each row, `(R,)`.
        turn: Turn of each row, `(R,)`: how many rows of its key come before it.
        last: Last row of each key, `(K,)`.

    Examples:
        >>> import numpy as np
        >>> packed, keys, order = PackedRows.of(np.array([7, 4, 7, 7, 4, 9]))
        >>> keys.tolist(), order.tolist()  # key 7 has most rows
        ([7, 4, 9], [0, 1, 5, 2, 4, 3])
        >>> packed.key.tolist(), packed.turn.tolist(), packed.last.tolist()
        ([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2], [5, 4, 2])
    """

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.keys = sizes[0] if sizes else 0
        self.rows = sum(sizes)
        self.once = len(sizes) <= 1
        self.begins = [0, *accumulate(sizes[:-1])] if sizes else []
        if self.once:
            self.key = np.arange(self.keys)
            self.turn = np.zeros(self.keys, dtype=np.int64)
            self.last = self.key
            return
        self.turn = np.repeat(np.arange(len(sizes)), sizes)
        self.key = np.arange(self.rows) - np.asarray(self.begins)[self.turn]
        self.last = np.empty(self.keys, dtype=np.int64)
        self.last[self.key] = np.arange(self.rows)  # later turns overwrite earlier ones

    @classmethod
    def of(cls, who: NDArray[np.int64]) -> tuple[PackedRows, NDArray[np.int64], NDArray[np.int64]]:
        """Lay rows out.

        Args:
            who: Key of each row, `(R,)`, in order of arrival; small numbers.

        Returns:
            The turns; the keys, `(K,)`, in their order; and which row of `who` comes where, `(R,)`.
        """
        counts = np.bincount(who)
        keys = np.flatnonzero(counts)
        arrival = np.argsort(who, kind="stable")
        if keys.size == who.size:
            return cls([int(keys.size)] if keys.size else []), keys, arrival
        counts = counts[keys]
        ranked = np.argsort(-counts, kind="stable")
        rank = np.empty(keys.size, dtype=np.int64)
        rank[ranked] = np.arange(keys.size)
        turn = np.arange(who.size) - np.repeat(np.cumsum(counts) - counts, counts)
        sizes = np.bincount(turn)
        order = np.empty(who.size, dtype=np.int64)
        order[(np.cumsum(sizes) - sizes)[turn] + np.repeat(rank, counts)] = arrival
        return cls(sizes.tolist()), keys[ranked], order

    def spans(self) -> Iterator[tuple[int, int]]:
        """Where each turn begins, and how many keys it has."""
        return zip(self.begins, self.sizes, strict=True)

    def runs(self) -> Iterator[tuple[slice, tuple[int, ...]]]:
        """Turns in a row that have the same keys.

        Yields:
            Their rows, and the shape of these: `(turns, keys)`, or `(turns,)` where one key is
            left, so that an operation has one axis less to go over.
        """
        turn = 0
        for n, equal in groupby(self.sizes):
            count = len(list(equal))
            begin = self.begins[turn]
            yield slice(begin, begin + n * count), (count,) if n == 1 else (count, n)
            turn += count

    def spread(self, start: Any) -> Any:
        """What each key has, `(K, ...)`, for each of its rows, `(R, ...)`."""
        return start if self.once else start[self.key]

    def before(self, start: Any, after: Any) -> Any:
        """What held before each row.

        Args:
            start: Before the first row of each key, `(K, ...)`.
            after: After each row, `(R, ...)`.
        """
        if self.once:
            return start
        return np.concatenate([start, after[self.back(1)]])

    def back(self, n: int) -> NDArray[np.int64]:
        """The row `n` turns earlier, of every row that has one; those are the last rows."""
        begins = np.asarray(self.begins)
        begin = int(begins[n]) if n < len(begins) else self.rows
        return begins[self.turn[begin:] - n] + self.key[begin:]

    def ends(self, after: Any) -> Any:
        """What holds after each key's last row, `(K, ...)`, of what holds after each row."""
        return after if self.once else after[self.last]

    def scan(self, step: Callable[..., State], start: State, *columns: Any) -> State:
        """A recurrence of any kind, turn after turn.

        Args:
            step: Fields before the rows of some keys, and columns of those rows, to the fields
                after them.
            start: Fields before the first row of each key, `(K, ...)`.
            columns: What else the step needs of each row, `(R, ...)`.

        Returns:
            The fields after each row, `(R, ...)`.
        """
        if self.once:
            return step(start, *columns)
        parts: list[State] = []
        before = start
        for begin, n in self.spans():
            before = {name: value[:n] for name, value in before.items()}
            before = step(before, *(column[begin : begin + n] for column in columns))
            parts.append(before)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def accumulate(self, operation: np.ufunc, start: Any, x: Any) -> Any:
        """A recurrence that is one operation: `sum' = operation(sum, x)`.

        Args:
            operation: Of two integers, as `np.add` or `np.maximum`.
            start: Before each key's first row, `(K,)`.
            x: Of each row, `(R,)`, of the same type.

        Returns:
            After each row, `(R,)`.
        """
        after = np.empty_like(x)
        before = start
        for begin, n in self.spans():
            if n == 1:
                after[begin:] = operation.accumulate(np.append(before[:1], x[begin:]))[1:]
                break
            part = slice(begin, begin + n)
            before = operation(before[:n], x[part], out=after[part])
        return after

    def follow(self, start: Rows, x: Rows, gain: Rows) -> tuple[Rows, Rows]:
        """Averages that follow: `departure = x - average`, `average' = average + gain departure`.

        Args:
            start: Averages before each key's first row, `(K, W)`, float32.
            x: What they follow, `(R, W)`, float32.
            gain: Share of each row, `(R, W)`, float32.

        Returns:
            The averages after each row and the departures from those before it, `(R, W)`.
        """
        after, departure = np.empty_like(x), np.empty_like(x)
        subtract, multiply, add, before = np.subtract, np.multiply, np.add, start
        for part, shape in self.runs():
            before = before[: shape[1]] if len(shape) == 2 else before[0]
            moved = np.empty_like(before)
            columns = (c[part].reshape(*shape, -1) for c in (x, gain, departure, after))
            for value, share, apart, now in zip(*columns, strict=True):
                subtract(value, before, apart)
                multiply(share, apart, moved)
                before = add(before, moved, now)
        return after, departure

    def fade(self, start: Rows, x: Rows, keep: Rows) -> Rows:
        """Sums that fade: `sum' = keep (sum + x)`.

        Args:
            start: Sums before each key's first row, `(K, W)`, float32.
            x: What comes in, `(R, W)`, float32.
            keep: What stays, `(R, W)`, float32.

        Returns:
            The sums after each row, `(R, W)`.
        """
        after = np.empty_like(x)
        multiply, add, before = np.multiply, np.add, start
        for part, shape in self.runs():
            before = before[: shape[1]] if len(shape) == 2 else before[0]
            columns = (c[part].reshape(*shape, -1) for c in (x, keep, after))
            for value, share, now in zip(*columns, strict=True):
                add(before, value, now)
                before = multiply(share, now, now)
        return after
