"""Event times, as one cell or as a column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._epochs import EARLIEST_US, LATEST_US, from_floats, from_integers
from ._numbers import INVISIBLE, MISSING_WORDS
from ._time_text import order_of, parse
from ._unreadable import Unreadable
from ._zones import micros, to_utc, zone_of

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso8601", "index", "excel"]

_RANGE = "a time from 1900 to 2261"


class TimeReader:
    """Reader of event times.

    Args:
        unit: Unit of numbers; `iso8601` reads text only; `index` has minutes, `excel` days.
        format: Format of `strptime` for text and digits; empty: all forms of the table.
        zone: Name of the time zone of times without an offset; empty: UTC.
        day_first: Order of day and month in 01/02/2026; None reads no such date.

    Raises:
        ValueError: If there is no such zone.
    """

    def __init__(
        self,
        unit: TimeUnit = "auto",
        format: str = "",  # noqa: A002  # the name of the setting
        zone: str = "",
        day_first: bool | None = None,
    ) -> None:
        self.unit: TimeUnit = unit
        self.format = format
        self.zone = zone_of(zone)
        self.day_first = day_first
        self._numeric = unit != "iso8601" and not format

    @property
    def reads_numbers(self) -> bool:
        """True where numbers are times by themselves, so that `column` takes an array of them."""
        return self._numeric

    def read(self, value: Any) -> int:
        """Return the microseconds since the epoch of one time.

        Raises:
            Unreadable: If the cell is no time.
        """
        out, bad = self.column([value])
        if bad:
            raise bad[0]
        return int(out[0])

    def column(
        self, values: Sequence[Any] | NDArray[Any]
    ) -> tuple[NDArray[np.int64], dict[int, Unreadable]]:
        """Return the microseconds since the epoch of `n` times.

        Args:
            values: `(n,)` numbers, texts, dates or times; None is a missing one.

        Returns:
            int64 `(n,)`, and an error for each bad time (its entry is 0). The time of one cell
            never depends on the others.
        """
        out, local, bad = self.local(values)
        if self.zone is not None and local.any():
            out[local] = to_utc(out[local], self.zone)
        outside = (out < EARLIEST_US) | (out >= LATEST_US)
        for i in np.flatnonzero(outside).tolist():
            bad.setdefault(i, Unreadable(_RANGE, values[i]))
        if bad:
            out[list(bad)] = 0
        return out, bad

    def local(
        self, values: Sequence[Any] | NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], dict[int, Unreadable]]:
        """Return `n` times as `column` does, but those without an offset as the clock shows them.

        Returns:
            int64 `(n,)`, those of the local clock `(n,)`, and an error for each bad time.
        """
        n = len(values)
        out, local = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
        bad: dict[int, Unreadable] = {}
        if isinstance(values, np.ndarray) and values.dtype.kind in "if" and self._numeric:
            self._numbers(values, range(n), values.dtype.kind == "i", out, local, bad)
            return out, local, bad
        kinds = set(map(type, values))
        if self._numeric and kinds in ({int}, {float}):
            self._numbers(values, range(n), kinds == {int}, out, local, bad)
            return out, local, bad
        cells: list[Any] = list(values)
        integers: list[int] = []
        floats: list[int] = []
        usual = self.unit in ("auto", "iso8601") and not self.format
        for i, value in enumerate(values):
            # The usual form, read by C and without a detour.
            if usual and type(value) is str and value[4:5] == "-":
                try:
                    moment = datetime.fromisoformat(value)
                except ValueError:
                    pass
                else:
                    local[i] = moment.tzinfo is None
                    out[i] = micros(moment)
                    continue
            cell = _plain(value) if self._numeric else value
            kind = type(cell)
            if self._numeric and (kind is int or kind is float):
                # NumPy would make floats of a mixed column, and lose digits of integers.
                cells[i] = cell
                (integers if kind is int else floats).append(i)
                continue
            try:
                out[i], local[i] = self._other(value)
            except Unreadable as error:
                bad[i] = error
        for index, are_integers in ((integers, True), (floats, False)):
            if index:
                self._numbers([cells[i] for i in index], index, are_integers, out, local, bad)
        return out, local, bad

    def _numbers(
        self,
        cells: Sequence[Any] | NDArray[Any],
        index: Sequence[int],
        are_integers: bool,
        out: NDArray[np.int64],
        local: NDArray[np.bool_],
        bad: dict[int, Unreadable],
    ) -> None:
        """Convert the numbers at `index` into `out`, all of them whole or all floats."""
        convert = from_integers if are_integers else from_floats
        micros_read, fits, digits = convert(cells, self.unit)
        if len(index) == len(out):
            out[:], local[:] = micros_read, digits
        else:
            out[index], local[index] = micros_read, digits
        if not fits.all():
            for j in np.flatnonzero(~fits).tolist():
                expected = f"{_RANGE} (time_unit {self.unit})"
                bad[index[j]] = Unreadable(expected, cells[j])

    def _other(self, value: Any) -> tuple[int, bool]:
        """Return one time that is no number, and whether it is the local clock's."""
        if isinstance(value, datetime):
            moment: datetime | None = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001  # local
        elif self.format and isinstance(value, (str, int, float)) and value is not True:
            moment = self._formatted(value)
        elif isinstance(value, str) and self.unit in ("auto", "iso8601"):
            moment = self._text(value)
        elif self.unit == "iso8601" or self.unit == "auto":
            raise Unreadable("a time", value)
        else:
            raise Unreadable(f"a number (time_unit {self.unit})", value)
        assert moment is not None
        return micros(moment), moment.tzinfo is None

    def _formatted(self, value: str | float) -> datetime:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        try:
            return datetime.strptime(text.strip().strip(INVISIBLE), self.format)  # noqa: DTZ007
        except ValueError:
            raise Unreadable(f"a time of the form {self.format}", value) from None

    def _text(self, value: str) -> datetime:
        text = value.strip().strip(INVISIBLE).strip()
        if text[4:5] == "-" and text[7:8] == "-":  # the usual form, read by C
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                pass
        moment = parse(text.lower(), self.day_first)
        if moment is not None:
            return moment
        if text[:4].isdigit():  # forms of ISO 8601 that people rarely write, such as week dates
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                pass
        if self.day_first is None and order_of(text) is not None:
            raise Unreadable(
                "a time whose day and month cannot be mistaken (or input.time_format, such as "
                "%d/%m/%Y %H:%M:%S; --time-format in a command)",
                value,
            )
        raise Unreadable("a time in ISO 8601", value)


def is_missing_time(value: Any) -> bool:
    """Test for a cell that holds no time at all, rather than a bad one."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING_WORDS
    return value is None or value != value


def _plain(cell: Any) -> Any:
    """Return a number, also one in a text, as int or float; any other cell as it is."""
    if isinstance(cell, str):
        return _number(cell)
    if isinstance(cell, np.integer):
        return int(cell)
    if isinstance(cell, np.floating):
        return float(cell)
    if isinstance(cell, Decimal) and cell.is_finite():
        return int(cell) if cell == int(cell) else float(cell)
    return cell


def _number(text: str) -> Any:
    """Return the number in a text; the text itself where it is none."""
    bare = text.strip()
    if not bare or bare[0] not in "+-.0123456789" or "_" in bare:
        return text
    try:
        return int(bare)
    except ValueError:
        pass
    try:
        return float(bare)
    except ValueError:
        return text
