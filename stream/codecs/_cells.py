"""Values of the model's channels in one record."""

from __future__ import annotations

import math
from typing import Any

from ember_core.data.cells import NumberReader, Unreadable
from stream.records import MAX_ABS_VALUE, Reason

from ._refused import Refused

NAN = math.nan


def number(value: Any, where: str, reader: NumberReader) -> float:
    """Convert a channel's value to a float, by the table of `ember_core.data.cells`.

    Args:
        value: Value as decoded. None, NaN, an infinite number and words such as `n/a` say that
            there is no value, and give NaN.
        where: Place of the value, for refusals.
        reader: Reader of numbers.

    Raises:
        Refused: If it is no number, or too large.
    """
    try:
        read = reader.read(value)
    except Unreadable as error:
        is_number = isinstance(value, int | float)
        reason = Reason.OUT_OF_RANGE if is_number else Reason.WRONG_TYPE
        raise Refused(reason, f"{error} - at `{where}`") from None
    if abs(read) > MAX_ABS_VALUE:
        raise Refused(Reason.OUT_OF_RANGE, out_of_range(read, where))
    return read


def out_of_range(value: float, where: str) -> str:
    """Describe a number that is finite, but too large to be squared."""
    return f"Expected |x| <= {MAX_ABS_VALUE:g}, got {value!r} - at `{where}`"


class Cells:
    """Cells of one record: a bad value costs that value, not the record.

    Args:
        reader: Reader of numbers.

    Attributes:
        good: Columns and values; NaN where there is no value.
        bad: Columns whose values cannot be used, and the reasons.
    """

    __slots__ = ("_reader", "bad", "good")

    def __init__(self, reader: NumberReader) -> None:
        self._reader = reader
        self.good: list[tuple[int, float]] = []
        self.bad: list[tuple[int, Refused]] = []

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)

    def read(self, column: int, value: Any, where: str) -> None:
        """Add the value of a column; see `number`.

        Args:
            column: Column of the channel.
            value: Value as decoded.
            where: Place of the value, for refusals.
        """
        try:
            self.good.append((column, number(value, where, self._reader)))
        except Refused as refused:
            self.bad.append((column, refused))
