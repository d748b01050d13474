"""The column of the event time: which one it is, and what its cells say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import NumberReader, TimeReader, Unreadable, order_of

from ._errors import DataError, listed, unknown_column
from ._options import TIME_NAMES, DataOptions
from ._values import as_texts
from .times import BadTimeError, LocalTimes, datetime_microseconds, read_times

if TYPE_CHECKING:
    import pandas as pd

_CLOCK = re.compile(r"\s*\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]m)?\s*", re.IGNORECASE)
_EXCEL_DAYS = (36_526.0, 73_051.0)
"""Days of a spreadsheet from 2000 to 2100; as seconds, some hours of 1 January 1970."""


class TimeColumn:
    """Reader of the time column of one source.

    Args:
        options: Meaning of the columns, as the user gave it.
        source: The source, for messages.
        day_first: Order of day and month in 01/02/2026; None: not known.
        is_record: True for records, whose order no other row tells.
    """

    def __init__(
        self, options: DataOptions, source: str, day_first: bool | None, *, is_record: bool = False
    ) -> None:
        self.name = options.time
        """Name of the column; empty: not yet known, or there is none."""
        self.columns: frozenset[str] = frozenset()
        """Columns that are no channels, as they are times."""
        self.is_guess = False
        """Whether the column is taken for the time by its cells, not by its name."""
        self._options = options
        self._source = source
        self._reader: TimeReader = options.time_reader(day_first)
        self._parts: tuple[str, ...] = ()
        self._is_known = False
        self._day_first = day_first
        self._is_record = is_record
        self._orders: dict[str, tuple[int, str]] = {}

    def join(self, frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
        """Find the column in the first frame; join date and time where they are two.

        Raises:
            DataError: If there is none.
        """
        if not self._is_known:
            self._find(frame, list(columns))
            self._is_known = True
        if not self._parts:
            if self.name and self.name not in frame.columns:
                raise unknown_column(self._source, "--time", self.name, columns)
            return frame
        texts = [as_texts(frame[part]) for part in self._parts]
        combined = [_joined(date, time) for date, time in zip(*texts, strict=True)]
        return frame.assign(**{self.name: np.array(combined, dtype=object)})

    def read(self, frame: pd.DataFrame, rows: int) -> tuple[LocalTimes, NDArray[np.object_]]:
        """Read the times of a frame, and return them as written, too.

        Args:
            frame: The frame, as `join` returned it.
            rows: Rows of the source before this frame.

        Raises:
            DataError: If the unit of the times has to be named.
        """
        if not self.name:
            zeros = np.zeros(len(frame), np.int64)
            return LocalTimes(zeros, zeros > 0, {}), np.full(len(frame), "", object)
        column = frame[self.name]
        texts = as_texts(column)
        if column.dtype.kind == "M":
            return self._dates(column), texts
        raw = column.to_numpy() if column.dtype.kind in "iu" else texts
        if not rows:
            self._refuse_days(raw)
        return read_times(raw, self._reader), texts

    def check(self, times: LocalTimes, texts: NDArray[np.object_], rows: int) -> None:
        """Refuse times that cannot be read, but for those whose order of day and month is open.

        Args:
            times: Times of a frame.
            texts: The same as written.
            rows: Rows of the source before this frame.

        Raises:
            DataError: For a cell that is no time, with its row.
        """
        options = self._options
        for row in sorted(times.bad):
            order = None if options.time_format else order_of(texts[row])
            if (
                order is None
                or self._is_record
                or self._day_first is not None
                or options.time_unit not in ("auto", "iso8601")
                or (order.first > 12 and order.second > 12)
            ):
                raise self._unreadable(row, texts, rows)
            kind = "day" if order.first > 12 else "month" if order.second > 12 else "either"
            self._orders.setdefault(kind, (rows + row + 1, texts[row]))

    def day_first(self) -> bool | None:
        """Return the order of day and month that the times tell.

        Raises:
            DataError: If they tell none, or both.
        """
        if not self._orders or self._day_first is not None:
            return self._day_first
        if ("day" in self._orders) != ("month" in self._orders):
            return "day" in self._orders
        row, text = self._orders.get("day") or self._orders["either"]
        _, second_text = self._orders.get("month") or self._orders["either"]
        both_texts = f" and {second_text!r}" if second_text != text else ""
        raise DataError(
            f"{self._source} row {row} has a time whose day and month cannot be told apart. "
            f"Expected one order in column {self.name!r}. Received: {text!r}{both_texts}. Say it "
            'with --time-format, such as "%d/%m/%Y %H:%M:%S" or "%m/%d/%Y %H:%M:%S".'
        )

    def _find(self, frame: pd.DataFrame, columns: list[str]) -> None:
        options = self._options
        names = [str(name) for name in frame.columns]
        time_columns = {name for name in names if name.strip().lower() in TIME_NAMES}
        if options.time:
            parts = tuple(options.time.split("+"))
            if options.time not in names and len(parts) > 1 and set(parts) <= set(names):
                self._parts = parts
            elif options.time not in names:
                raise unknown_column(self._source, "--time", options.time, columns)
            self.columns = frozenset((options.time, *self._parts))
            return
        by_name = {name.strip().lower(): name for name in reversed(names)}
        candidates = [by_name[name] for name in TIME_NAMES if name in by_name]
        self.columns = frozenset(time_columns)
        if candidates:
            self.name = candidates[0]
            date = by_name.get("date")
            if date and candidates[0] != date and _is_clock(frame[candidates[0]]):
                self._parts = (date, candidates[0])
                self.name = f"{date}+{candidates[0]}"
                self.columns |= {self.name}
            return
        nameless = [name for name in names if name.startswith("Unnamed: ")]
        if nameless and nameless[0] == names[0] and _is_dates(frame[nameless[0]]):
            self.name = nameless[0]
            self.columns = frozenset(nameless[:1])
            return
        if options.time_unit == "index":
            return
        dates = [name for name in names if name not in options.drop and _is_dates(frame[name])]
        if len(dates) == 1:
            self.name = dates[0]
            self.columns = frozenset(dates)
            self.is_guess = True
            return
        visible = [name for name in columns if not name.startswith("\x00")]
        raise DataError(
            f"{self._source} has no column that is plainly the time. Expected one of "
            f"{', '.join(TIME_NAMES[:5])}. Received: columns {listed(visible)}. Name it with "
            "--time COL (date and time apart: --time DATE+TIME), or count the records with "
            "--time-unit index."
        )

    def _dates(self, column: Any) -> LocalTimes:
        present = np.asarray(~column.isna(), bool)
        expected = self._form()
        bad = {int(row): Unreadable(expected, None) for row in np.flatnonzero(~present)}
        time_us = np.zeros(len(column), np.int64)
        try:
            time_us[present] = datetime_microseconds(column[present])
        except BadTimeError as error:
            row = int(np.flatnonzero(present)[error.row])
            bad[row] = Unreadable(expected, column.iloc[row])
        return LocalTimes(time_us, np.full(len(column), column.dt.tz is None), bad)

    def _unreadable(self, row: int, texts: NDArray[np.object_], rows: int) -> DataError:
        return DataError(
            f"{self._source} row {rows + row + 1} has no readable time. Expected "
            f"{self._form()} in column {self.name!r}. Received: {texts[row]!r}."
        )

    def _form(self) -> str:
        options = self._options
        if options.time_format:
            return f"the form {options.time_format}"
        if options.time_unit == "auto":
            return "a number or ISO 8601 (or the form that --time-format names)"
        unit = options.time_unit
        return "ISO 8601" if unit == "iso8601" else f"a number ({unit})"

    def _refuse_days(self, raw: NDArray[Any]) -> None:
        """Refuse days of a spreadsheet, which would be seconds of 1970."""
        if not len(raw) or self._options.time_unit != "auto" or self._options.time_format:
            return
        try:
            first = NumberReader().read(raw[0])
        except Unreadable:
            return
        if _EXCEL_DAYS[0] <= first < _EXCEL_DAYS[1]:
            raise DataError(
                f"{self._source} row 1 has a time of two meanings in column {self.name!r}: a day "
                "of a spreadsheet, or seconds of 1 January 1970. Expected a unit. Received: "
                f"{raw[0]}. Say it with --time-unit excel or --time-unit s."
            )


def _joined(date: str, time: str) -> str:
    digits = time.strip()
    if digits.isdigit() and len(digits) <= 6:  # a number has lost its zeros
        digits = digits.zfill(4 if len(digits) <= 4 else 6)
    # A spreadsheet exports a date as the midnight before it.
    day = re.sub(r"[ T]0?0:00(?::00(?:\.0+)?)?$", "", date.strip())
    return f"{day} {digits}".strip()


def _is_clock(column: Any) -> bool:
    texts = [text for text in as_texts(column[:20]) if text]
    return bool(texts) and all(map(_CLOCK.fullmatch, texts))


def _is_dates(column: Any) -> bool:
    """Test for times in text: a column of row numbers is none."""
    if getattr(column.dtype, "kind", "O") == "M":
        return True
    if getattr(column.dtype, "kind", "O") != "O":
        return False
    texts = [text for text in as_texts(column[:20]) if text]
    unread = TimeReader("iso8601").column(texts)[1]
    return bool(texts) and all(order_of(texts[row]) is not None for row in unread)
