"""Scored rows of the last hours, within a bound of memory.

The sums, for `C` channels: a full row has 29 + 20 C bytes, a bin 25 + 28 C bytes a key, a cell of
the heat map 1 byte a key; tables have room for an eighth more keys. 10,000 keys with 5 channels and
50,000 rows/s: full rows 6.5 MB for each second, an hour of one-minute bins 113 MB, a day of
ten-minute bins 267 MB, a day of the heat map 65 MB. The rest of the bound is full rows: some 14 s
at 512 MiB, hours where less comes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch

from ._heat import HeatMap
from ._keys import KeyTable
from ._layout import Layout
from ._points import Points

_HEAT_SHARE: Final = 0.15
_FINE_SHARE: Final = 0.25
_COARSE_SHARE: Final = 0.55
"""Shares of the bound that the heat map, and bins of a minute and of ten, may have at most."""
_LEAST_ROWS_SHARE: Final = 0.05
_HOUR_US: Final = 3_600_000_000


class Series(NamedTuple):
    """Points of a key, as asked for."""

    channels: tuple[str, ...]
    points: Points
    step_us: int
    """Width of a bin; 0: every row."""


class ScoreStore:
    """Scored rows of all keys: columns in memory, the oldest dropped first.

    Args:
        table: Keys.
        max_bytes: Bound of the memory.
        hours: Hours to keep, by event time.

    Attributes:
        dropped: Rows at full resolution that were dropped for the bound of memory.
        late: Rows older than the hours to keep.
        taken: Rows taken.
        last_us: Newest event time.
        coverage: Share of usual rows within the band, by the newest message; None before one.
        channels: Names of the channels of the newest message.
    """

    def __init__(self, table: KeyTable, max_bytes: int, hours: float) -> None:
        self._table, self._max_bytes = table, max_bytes
        self._hours_us = int(hours * _HOUR_US)
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._heat = HeatMap()
        self.dropped = self.late = self.taken = self.last_us = 0
        self.coverage: float | None = None
        self.channels: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of rows, bins, heat map and keys."""
        layouts = sum(layout.nbytes for layout in self._layouts.values())
        return layouts + self._heat.nbytes + self._table.nbytes

    @property
    def row_count(self) -> int:
        """Number of rows at full resolution."""
        return sum(layout.rows.size for layout in self._layouts.values())

    def add(self, batch: ScoreBatch) -> None:
        """Take rows; those older than the hours to keep are counted only.

        A row on which the key may not fire yet has no severity here: its threshold is infinite.

        Args:
            batch: The rows.
        """
        if not len(batch):
            return
        numbers = self._table.numbers_of(batch.keys)
        learning = np.isinf(batch.threshold) & ~batch.firing
        if learning.any():  # severities that may not bring anything about are no news
            unknown = np.where(learning, np.float32(np.nan), batch.severity)
            batch = replace(batch, severity=unknown)
        self.last_us = max(self.last_us, int(batch.time_us.max()))
        self.late += int((batch.time_us < self.last_us - self._hours_us).sum())
        self.taken += len(batch)
        self.coverage, self.channels = batch.coverage, batch.channels
        self._note_newest(numbers, batch)
        layout = self._layouts.get(batch.channels)
        if layout is None:
            layout = self._layouts[batch.channels] = Layout(batch.channels)
        layout.add(numbers, batch)
        self._heat.add(numbers, batch.time_us, batch.severity, learning, len(self._table))
        self._keep_bound()

    def series(self, number: int, begin_us: int, end_us: int, most: int) -> Series:
        """Return the points of a key between two times, at most some number of them.

        Args:
            number: Number of the key.
            begin_us: Begin.
            end_us: End, not included.
            most: Largest number of points; with more rows each point is a bin of several.
        """
        layouts = [layout for layout in self._layouts.values() if layout.has(number)]
        if not layouts:
            return Series((), Points.none(0), 0)
        # A key has the channels of its newest model; rows of a former one stay out of the picture.
        layout = max(layouts, key=lambda layout: layout.newest_us)
        points, step_us = layout.points(number, begin_us, end_us)
        if len(points) > most:
            span_us = int(points.time_us[-1] - points.time_us[0]) + 1
            unit_us = step_us or 1_000_000
            step_us = max(1, -(-span_us // (unit_us * max(1, most - 1)))) * unit_us
            points = points.binned(step_us)
        return Series(layout.channels, points, step_us)

    def has(self, number: int) -> bool:
        """Return True if a key has scored rows."""
        return any(layout.has(number) for layout in self._layouts.values())

    def cells(
        self, begin_us: int, step_us: int, columns: int, numbers: NDArray[np.int32]
    ) -> NDArray[np.uint8]:
        """Return the cells of the heat map; arguments as of `HeatMap.cells`."""
        return self._heat.cells(begin_us, step_us, columns, numbers)

    def worst(self) -> NDArray[np.float32]:
        """Return the largest severity of each key in the last hour, `(keys,)`."""
        worst = np.full(len(self._table), np.nan, np.float32)
        for layout in self._layouts.values():
            since_us = self.last_us - _HOUR_US
            np.fmax(worst, layout.worst_since(since_us, len(worst)), out=worst)
        return worst

    def _note_newest(self, numbers: NDArray[np.int32], batch: ScoreBatch) -> None:
        """Note the newest row of each key."""
        table = self._table
        # Assignment keeps the last of equal numbers, and rows of a key come in order of time.
        is_new = table.rows[numbers] == 0
        first = numbers[is_new][::-1]
        table.first_us[first] = batch.time_us[is_new][::-1]
        for name in ("score", "severity", "evidence", "threshold", "firing"):
            getattr(table, name)[numbers] = getattr(batch, name)
        table.evidence[numbers[np.isnan(table.severity[numbers])]] = np.nan
        table.last_us[numbers] = batch.time_us
        table.partition[numbers] = batch.partition
        shares = np.nan_to_num(batch.contribution, nan=0.0)
        if shares.shape[1]:
            leader = table.channel_numbers(batch.channels)[shares.argmax(axis=1)]
            table.leader[numbers] = np.where(shares.max(axis=1) > 0, leader, -1)
        table.rows += np.bincount(numbers, minlength=len(table.rows))

    def _keep_bound(self) -> None:
        before_us = self.last_us - self._hours_us
        self._heat.drop_before(before_us)
        for layout in self._layouts.values():
            layout.drop_before(before_us)
        bound = self._max_bytes
        while self._heat.nbytes > _HEAT_SHARE * bound:
            self._heat.drop_oldest()
        layouts = list(self._layouts.values())
        while sum(layout.coarse.nbytes for layout in layouts) > _COARSE_SHARE * bound:
            _oldest(layouts, "coarse").coarse.drop_oldest()
        while sum(layout.fine.nbytes for layout in layouts) > _FINE_SHARE * bound:
            _oldest(layouts, "fine").fine.drop_oldest()
        row_bound = max(bound - self.nbytes + self._row_bytes(), int(_LEAST_ROWS_SHARE * bound))
        while self._row_bytes() > row_bound and self.row_count:
            self.dropped += _oldest(layouts, "rows").rows.drop_oldest()

    def _row_bytes(self) -> int:
        return sum(layout.rows.nbytes for layout in self._layouts.values())


def _oldest(layouts: list[Layout], part: str) -> Layout:
    """Return the layout that has the oldest rows or bins."""
    ages = [(getattr(layout, part).oldest_us, number) for number, layout in enumerate(layouts)]
    return layouts[min((age, number) for age, number in ages if age is not None)[1]]
