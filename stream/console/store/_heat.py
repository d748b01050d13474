"""Severity of every key over time, a byte a cell: the heat map of the fleet."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ._bins import with_room

HEAT_STEP_US: Final = 15_000_000
"""Width of a cell, microseconds. Rows come every ten seconds to a minute in most fleets."""
NO_ROW: Final = 255
LEARNING: Final = 254
"""Cell of rows on which the key may not fire yet."""
_LEVELS_A_SEVERITY: Final = 20
_HIGHEST: Final = 253
_FIRST_LEVEL: Final = 2
_CELLS: Final = np.array([NO_ROW, LEARNING, *range(_HIGHEST + 1)], np.uint8)
"""Cell of each number in a slot: no row, learning, then the levels."""


class HeatMap:
    """Cells of all keys in slots of `HEAT_STEP_US`, the oldest slot dropped first.

    A cell of a slot holds the level plus two, 1 where the key may not fire yet, and 0 where there
    is no row: so what several cells show is their maximum, and a new slot is zeros.
    """

    def __init__(self) -> None:
        self._slots: dict[int, NDArray[np.uint8]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(slot.nbytes for slot in self._slots.values())

    @property
    def oldest_slot(self) -> int | None:
        """Number of the oldest slot; None before a row."""
        return min(self._slots, default=None)

    def add(
        self,
        numbers: NDArray[np.int32],
        time_us: NDArray[np.int64],
        severity: NDArray[np.float32],
        learning: NDArray[np.bool_],
        keys: int,
    ) -> None:
        """Take rows.

        Args:
            numbers: Numbers of the keys, `(n,)`.
            time_us: Event times, `(n,)`.
            severity: Severities, `(n,)`; NaN where there is none.
            learning: Whether the key may not fire yet, `(n,)`.
            keys: Number of all keys.
        """
        slots = time_us // HEAT_STEP_US
        levels = _numbers_of(severity, learning)
        for slot in np.unique(slots).tolist():
            mask = slots == slot
            cells = self._slots.get(slot)
            if cells is None or len(cells) < keys:
                wider = np.zeros(with_room(keys), np.uint8)
                if cells is not None:
                    wider[: len(cells)] = cells
                cells = self._slots[slot] = wider
            np.maximum.at(cells, numbers[mask], levels[mask])

    def drop_oldest(self) -> None:
        """Drop the oldest slot."""
        if self._slots:
            del self._slots[min(self._slots)]

    def drop_before(self, time_us: int) -> None:
        """Drop the slots that end before a time."""
        for slot in [slot for slot in self._slots if (slot + 1) * HEAT_STEP_US <= time_us]:
            del self._slots[slot]

    def cells(
        self, begin_us: int, step_us: int, columns: int, numbers: NDArray[np.int32]
    ) -> NDArray[np.uint8]:
        """Return the largest level of each key and column, `(keys, columns)`.

        Args:
            begin_us: Begin of the first column, a multiple of `HEAT_STEP_US`.
            step_us: Width of a column, a multiple of `HEAT_STEP_US`.
            columns: Number of columns.
            numbers: Numbers of the keys, in the order of the rows.
        """
        highest = int(numbers.max()) + 1 if len(numbers) else 0
        grid = np.zeros((columns, highest), np.uint8)
        for slot, cells in self._slots.items():
            column = (slot * HEAT_STEP_US - begin_us) // step_us
            if 0 <= column < columns:
                width = min(len(cells), highest)
                np.maximum(grid[column, :width], cells[:width], out=grid[column, :width])
        by_key: NDArray[np.uint8] = _CELLS[grid.T[numbers]]
        return by_key


def _numbers_of(severity: NDArray[np.float32], learning: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the numbers of rows in a slot, `(n,)`: 20 levels for each 1.0 of severity."""
    is_known = np.isfinite(severity)
    scaled = np.rint(np.where(is_known, severity, 0.0) * _LEVELS_A_SEVERITY)
    levels = np.clip(scaled, 0, _HIGHEST) + _FIRST_LEVEL
    numbers: NDArray[np.uint8] = levels.astype(np.uint8)
    numbers[~is_known] = 0
    numbers[learning] = 1
    return numbers
