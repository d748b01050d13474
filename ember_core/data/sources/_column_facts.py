"""Facts about one column of a source: whether it is a channel, and the remarks to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DataError
from ._remarks import Remarks
from ._values import Cells

if TYPE_CHECKING:
    import pandas as pd

Found = tuple[int, Any]
"""A row, counted from 1, and its cell."""


class ColumnFacts:
    """Counts of a column's cells over all frames.

    Args:
        is_nameless: True for a column without a name.
        can_count: True for a name that row numbers have.
        rows: Rows of the source before the first frame that has the column.
    """

    def __init__(self, is_nameless: bool, can_count: bool, rows: int) -> None:
        self.decimal: Found | None = None
        self.thousands: Found | None = None
        self.either: Found | None = None
        self._is_nameless = is_nameless
        self._counts_rows = can_count and rows == 0
        self._good = 0
        self._commas = 0
        self._lettered = 0
        self._letters: frozenset[str] = frozenset()
        self._bad = 0
        self._missing = 0
        self._first_bad: Found | None = None
        self._first_missing: Found | None = None
        self._last: float | None = None

    def add(self, column: pd.Series[Any], cells: Cells, rows: int) -> bool:
        """Count the cells of a frame.

        Args:
            column: The column.
            cells: Its cells as numbers.
            rows: Rows of the source before this frame.

        Returns:
            True if the column may be a channel with values in this frame.
        """
        bad, word_count = len(cells.bad), len(cells.told)
        good = len(cells.values) - int(np.isnan(cells.values).sum())
        self._good += good
        self._bad += bad
        self._missing += word_count
        self._commas += cells.commas.count
        self._lettered += cells.lettered
        self._letters |= cells.letters
        if bad and self._first_bad is None:
            row = int(cells.bad[0])
            self._first_bad = (rows + row + 1, column.iloc[row])
        if word_count and self._first_missing is None:
            row = int(cells.told[0])
            self._first_missing = (rows + row + 1, column.iloc[row])
        for kind in ("decimal", "thousands", "either"):
            first_rows = getattr(cells.commas, kind)
            if first_rows and getattr(self, kind) is None:
                row = min(first_rows)
                setattr(self, kind, (rows + row + 1, first_rows[row]))
        if self._counts_rows:
            self._count(cells.values)
        return good > 0 and not self._is_nameless

    @property
    def may_be_channel(self) -> bool:
        """True if at least half of the cells are numbers by some decimal sign."""
        numbers = self._good + self._commas
        return not self._is_nameless and 2 * numbers >= self._good + self._bad and numbers > 0

    @property
    def is_channel(self) -> bool:
        """True if at least half of the cells that are there are numbers, of a column with a name.

        A column of nothing but one letter, such as `f`, has some other meaning.
        """
        if self._is_nameless or self._counts_rows:
            return False
        if self._good == self._lettered and len(self._letters) == 1:
            return False
        return self._good > 0 and self._good >= self._bad

    def _count(self, values: Any) -> None:
        """Test whether the column goes on counting rows by one."""
        start = values[0] if self._last is None else self._last + 1
        expected = start + np.arange(len(values))
        self._counts_rows = start in (0.0, 1.0) if self._last is None else True
        self._counts_rows &= bool((values == expected).all())
        self._last = float(values[-1]) if len(values) else self._last

    def remark_cells(self, name: str, source: str, remarks: Remarks) -> None:
        """Tell the cells of a channel that are missing or unreadable.

        Raises:
            DataError: If no cell is a number, though the user named the column as a channel.
        """
        if self._bad and not self._good:
            assert self._first_bad is not None
            row, value = self._first_bad
            raise DataError(
                f"{source} row {row} has no number in channel {name!r}. "
                f"Expected a number or nothing. Received: {value!r}. Leave the column out with "
                f"--drop {name}, or name the channels with --channels."
            )
        unreadable = "no number, taken as missing"
        if self._commas:
            unreadable += "; --decimal , reads a comma as the decimal sign"
        for kind, text, count, first in (
            ("unreadable", unreadable, self._bad, self._first_bad),
            ("missing", "a word for no value", self._missing, self._first_missing),
        ):
            if first is not None:
                row, value = first
                remarks.add(kind, text, column=name, count=count, first_row=row, example=value)

    def remark_left_out(self, name: str, remarks: Remarks) -> None:
        """Tell that the column is no channel."""
        if self._is_nameless or self._counts_rows:
            if self._good:
                reason = "it has no name" if self._is_nameless else "it counts the rows"
                remarks.add("row_numbers", f"left out, as {reason}", column=name)
        elif self._first_bad is None and not self._good:
            remarks.add("empty_column", "left out, as no row has a value", column=name)
        else:
            row, value = self._first_bad or (0, "")
            text = "left out, as it is no column of numbers"
            if 2 * self._commas >= self._bad > 0:
                text += "; --decimal , reads a comma as the decimal sign"
            remarks.add(
                "text_column",
                text,
                column=name,
                first_row=row,
                example=value,
            )
