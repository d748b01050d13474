"""Rows and bins of the keys that have the same channels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch

from ._bins import Bins
from ._points import Points
from ._rows import RowLog

FINE_US: Final = 60_000_000
COARSE_US: Final = 600_000_000
FINE_SLOTS: Final = 61
"""An hour of one-minute bins, whatever second it begins at; older ones become coarse."""


class Layout:
    """Rows and bins of the keys of one model: full rows, bins of a minute, bins of ten minutes.

    Args:
        channels: Names of the channels.

    Attributes:
        channels: Names of the channels.
        rows: Rows at full resolution.
        fine: Bins of a minute, of the last hour.
        coarse: Bins of ten minutes, of the hours before.
        newest_us: Event time of the newest row.
    """

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self.rows = RowLog(len(channels))
        self.fine = Bins(FINE_US, len(channels))
        self.coarse = Bins(COARSE_US, len(channels))
        self.newest_us = 0
        self._positions = np.full(64, -1, np.int64)
        self._count = 0

    @property
    def nbytes(self) -> int:
        """Bytes of rows and bins."""
        return self.rows.nbytes + self.fine.nbytes + self.coarse.nbytes + self._positions.nbytes

    def add(self, numbers: NDArray[np.int32], batch: ScoreBatch) -> None:
        """Take rows.

        Args:
            numbers: Numbers of the keys, `(n,)`.
            batch: The rows.
        """
        positions = self._positions_of(numbers)
        self.rows.add(numbers, batch)
        self.newest_us = max(self.newest_us, int(batch.time_us.max()))
        first_us = (self.newest_us // FINE_US - FINE_SLOTS + 1) * FINE_US
        is_late = batch.time_us < first_us
        # Partitions are read beside each other: the past of one follows the present of another.
        if is_late.any():
            self.coarse.add(positions[is_late], _chosen(batch, is_late))
            self.fine.add(positions[~is_late], _chosen(batch, ~is_late))
        else:
            self.fine.add(positions, batch)
        while (oldest_us := self.fine.oldest_us) is not None and oldest_us < first_us:
            self.fine.drop_oldest(self.coarse)

    def has(self, number: int) -> bool:
        """Return True if a key has rows here."""
        return number < len(self._positions) and bool(self._positions[number] >= 0)

    def points(self, number: int, begin_us: int, end_us: int) -> tuple[Points, int]:
        """Return rows of a key, or bins where full rows do not reach back far enough.

        Args:
            number: Number of the key.
            begin_us: Begin.
            end_us: End, not included.

        Returns:
            The points, and the width of a bin; 0: every row.
        """
        position = int(self._positions[number])
        if begin_us >= self.rows.complete_from_us:
            return self.rows.points(number, begin_us, end_us), 0
        fine_us = self.fine.oldest_us
        fine = self.fine.points(position, begin_us, end_us)
        if fine_us is not None and begin_us >= fine_us:
            return fine, FINE_US
        coarse = self.coarse.points(position, begin_us, end_us)
        if not len(coarse):
            return fine, FINE_US
        return Points.joined([coarse, fine], len(self.channels)).binned(COARSE_US), COARSE_US

    def drop_before(self, time_us: int) -> None:
        """Drop all that ends before a time."""
        self.rows.drop_before(time_us)
        for bins in (self.fine, self.coarse):
            while (oldest_us := bins.oldest_us) is not None and oldest_us + bins.step_us <= time_us:
                bins.drop_oldest()

    def worst_since(self, time_us: int, keys: int) -> NDArray[np.float32]:
        """Return the largest severity of each key since a time within the last hour, `(keys,)`."""
        by_position = self.fine.worst_since(time_us, self._count)
        worst = np.full(keys, np.nan, np.float32)
        width = min(keys, len(self._positions))
        numbers = np.flatnonzero(self._positions[:width] >= 0)
        worst[numbers] = by_position[self._positions[numbers]]
        return worst

    def _positions_of(self, numbers: NDArray[np.int32]) -> NDArray[np.int64]:
        highest = int(numbers.max())
        if highest >= len(self._positions):
            wider = np.full(max(2 * len(self._positions), highest + 1), -1, np.int64)
            wider[: len(self._positions)] = self._positions
            self._positions = wider
        positions = self._positions[numbers]
        if (positions < 0).any():
            new = np.unique(numbers[positions < 0])
            self._positions[new] = np.arange(self._count, self._count + len(new))
            self._count += len(new)
            self.fine.reserve(self._count)
            self.coarse.reserve(self._count)
            positions = self._positions[numbers]
        return positions


def _chosen(batch: ScoreBatch, mask: NDArray[np.bool_]) -> ScoreBatch:
    """Return the rows that a mask chooses; the keys are left out, being numbers by now."""
    columns = {name: getattr(batch, name)[mask] for name in _COLUMNS}
    return ScoreBatch(batch.topic, batch.partition, batch.channels, batch.coverage, (), **columns)


_COLUMNS = (
    *("time_us", "score", "severity", "evidence", "threshold", "firing", "anomaly", "trigger"),
    *("value", "usual", "lower", "upper", "contribution"),
)
