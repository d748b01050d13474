"""Rows that nobody has asked for yet: the last hours of every key, in bounded memory.

Blocks of rows are added and dropped as a whole, so that keys by the ten thousand cost no loop. All
of them are searched when keys begin to fire, which is rare.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.types import TP

_BLOCK_ROWS = 1_024
_NOBODY = -1
"""Number of a row that was taken."""


class _Block:
    """Rows of one partition with the same channels.

    Args:
        tp: Partition of the scores topic.
        topic: Input topic, as events name it.
        channels: Names of the channels.
        columns: Numbers of a row.
    """

    def __init__(self, tp: TP, topic: str, channels: tuple[str, ...], columns: int) -> None:
        self.tp, self.topic, self.channels = tp, topic, channels
        self.length = 0
        self.newest_us = np.iinfo(np.int64).min
        self._numbers = np.full(_BLOCK_ROWS, _NOBODY, dtype=np.int64)
        self._time_us = np.zeros(_BLOCK_ROWS, dtype=np.int64)
        self._table = np.zeros((_BLOCK_ROWS, columns), dtype=np.float32)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Number of each row's key, `(n,)`."""
        return self._numbers[: self.length]

    @property
    def time_us(self) -> NDArray[np.int64]:
        """Event times, `(n,)`."""
        return self._time_us[: self.length]

    @property
    def table(self) -> NDArray[np.float32]:
        """Numbers of the rows, `(n, columns)`."""
        return self._table[: self.length]

    @property
    def nbytes(self) -> int:
        """Bytes of memory, used or not."""
        return self._numbers.nbytes + self._time_us.nbytes + self._table.nbytes

    @property
    def rows(self) -> int:
        """Number of rows that were not taken."""
        return int(np.count_nonzero(self.numbers != _NOBODY))

    def add(
        self,
        numbers: NDArray[np.int64],
        time_us: NDArray[np.int64],
        table: NDArray[np.float32],
    ) -> int:
        """Take as many rows as there is room for; return how many."""
        begin = self.length
        count = min(len(numbers), _BLOCK_ROWS - begin)
        end = begin + count
        self._numbers[begin:end] = numbers[:count]
        self._time_us[begin:end] = time_us[:count]
        self._table[begin:end] = table[:count]
        self.newest_us = max(self.newest_us, int(time_us[:count].max(initial=self.newest_us)))
        self.length = end
        return count


class History:
    """The last rows of all keys.

    Args:
        span_us: Age of the oldest rows, by the newest one of their partition.
        max_bytes: Bytes that all blocks may take.

    Attributes:
        nbytes: Bytes that they take.
        evicted: Rows that left before their time, for want of memory.
    """

    def __init__(self, span_us: int, max_bytes: int) -> None:
        self._span_us = span_us
        self._max_bytes = max_bytes
        self._blocks: deque[_Block] = deque()
        self._open: dict[tuple[TP, tuple[str, ...]], _Block] = {}
        self.nbytes = 0
        self.evicted = 0

    def add(
        self,
        tp: TP,
        topic: str,
        channels: tuple[str, ...],
        numbers: NDArray[np.int64],
        time_us: NDArray[np.int64],
        table: NDArray[np.float32],
    ) -> None:
        """Keep rows of one partition.

        Args:
            tp: Partition of the scores topic.
            topic: Input topic, as events name it.
            channels: Names of the channels.
            numbers: Number of each row's key, `(n,)`.
            time_us: Event times, `(n,)`.
            table: Numbers of the rows, `(n, columns)`.
        """
        while len(numbers):
            block = self._open.get((tp, channels))
            if block is None or block.length == _BLOCK_ROWS:
                block = _Block(tp, topic, channels, table.shape[1])
                self._open[tp, channels] = block
                self._blocks.append(block)
                self.nbytes += block.nbytes
                self._shrink()
            count = block.add(numbers, time_us, table)
            numbers, time_us, table = numbers[count:], time_us[count:], table[count:]

    def _shrink(self) -> None:
        """Drop the oldest blocks while there are too many; the newest one stays."""
        while self.nbytes > self._max_bytes and len(self._blocks) > 1:
            self.evicted += self._blocks[0].rows
            self._remove(self._blocks[0])

    def expire(self, tp: TP, now_us: int) -> None:
        """Drop the blocks of a partition that are older than the span.

        Args:
            tp: Partition of the scores topic.
            now_us: Newest event time of the partition.
        """
        oldest_us = now_us - self._span_us
        old = [block for block in self._blocks if block.tp == tp and block.newest_us < oldest_us]
        for block in old:
            self._remove(block)

    def drop(self, tp: TP) -> None:
        """Drop the rows of a partition that was revoked."""
        for block in [block for block in self._blocks if block.tp == tp]:
            self._remove(block)

    def _remove(self, block: _Block) -> None:
        self._blocks.remove(block)
        self.nbytes -= block.nbytes
        if self._open.get((block.tp, block.channels)) is block:
            del self._open[block.tp, block.channels]

    def take(
        self, topic: str, windows: dict[int, tuple[int, float]]
    ) -> Iterator[tuple[int, tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]]:
        """Take rows of some keys out, oldest first.

        Args:
            topic: Input topic, as events name it.
            windows: First and last event time by the number of the key.

        Yields:
            Number of the key, channels, times `(n,)` and numbers `(n, columns)` of its rows in one
            block.
        """
        numbers = np.fromiter(windows, dtype=np.int64, count=len(windows))
        for block in self._blocks:
            if block.topic != topic:
                continue
            candidates = np.flatnonzero(np.isin(block.numbers, numbers))
            for number in np.unique(block.numbers[candidates]).tolist():
                begin_us, end_us = windows[number]
                rows = candidates[block.numbers[candidates] == number]
                times = block.time_us[rows]
                rows = rows[(times >= begin_us) & (times <= end_us)]
                if len(rows):
                    yield number, block.channels, block.time_us[rows], block.table[rows]
                    block.numbers[rows] = _NOBODY

    def numbers(self) -> NDArray[np.int64]:
        """Return the numbers of all keys that have rows, sorted."""
        present = [np.unique(block.numbers) for block in self._blocks]
        numbers = np.unique(np.concatenate([np.array([_NOBODY], dtype=np.int64), *present]))
        return np.asarray(numbers[1:], dtype=np.int64)  # nobody is the least of them

    def renumber(self, new_of: NDArray[np.int64]) -> None:
        """Give the keys other numbers.

        Args:
            new_of: New number by the old one, `(n,)`.
        """
        for block in self._blocks:
            present = block.numbers != _NOBODY
            block.numbers[present] = new_of[block.numbers[present]]
