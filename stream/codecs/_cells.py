"""Values of the model's channels in one record."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ember_core.data.cells import number_of
from stream.records import MAX_ABS_VALUE, Reason

from ._refused import Refused

NAN = math.nan

_KINDS: dict[type, str] = {dict: "object", list: "array"}


def number(value: Any, where: str) -> float:
    """Convert a channel's value to a float.

    True is 1 and false is 0; a text is read as the number that it holds. None, NaN, an infinite
    number and the words of `ember_core.data.cells` say that there is no value, and give NaN.

    Raises:
        Refused: If it is no number, or too large.
    """
    if value is None:
        return NAN
    if type(value) is not float:
        value = _converted(value, where)
    if not math.isfinite(value):
        return NAN
    if abs(value) > MAX_ABS_VALUE:
        raise Refused(Reason.OUT_OF_RANGE, out_of_range(value, where))
    return float(value)


def _converted(value: Any, where: str) -> float:
    if isinstance(value, str):
        parsed = number_of(value)
        if parsed is None:
            text = value if len(value) <= 40 else value[:40] + "..."
            raise Refused(Reason.WRONG_TYPE, f"Expected a number, got {text!r} - at `{where}`")
        return _fitting(parsed, where)
    if isinstance(value, Decimal):
        return _fitting(float(value), where) if value.is_finite() else NAN
    if isinstance(value, int | float):  # a Boolean is an integer in Python
        try:
            return float(value)
        except OverflowError:
            return _fitting(math.inf, where)
    kind = _KINDS.get(type(value), type(value).__name__)
    raise Refused(Reason.WRONG_TYPE, f"Expected a number, got `{kind}` - at `{where}`")


def _fitting(value: float, where: str) -> float:
    if math.isinf(value):
        raise Refused(Reason.OUT_OF_RANGE, f"Number out of range - at `{where}`")
    return value


def out_of_range(value: float, where: str) -> str:
    """Describe a number that is finite, but too large to be squared."""
    return f"Expected |x| <= {MAX_ABS_VALUE:g}, got {value!r} - at `{where}`"


class Cells:
    """Cells of one record: a bad value costs that value, not the record.

    Attributes:
        good: Columns and values; NaN where there is no value.
        bad: Columns whose values cannot be used, and the reasons.
    """

    __slots__ = ("bad", "good")

    def __init__(self) -> None:
        self.good: list[tuple[int, float]] = []
        self.bad: list[tuple[int, Refused]] = []

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)

    def read(self, column: int, value: Any, where: str) -> None:
        """Add the value of a column.

        Args:
            column: Column of the channel.
            value: Value as decoded, see `number`.
            where: Place of the value, for refusals.
        """
        try:
            self.good.append((column, number(value, where)))
        except Refused as refused:
            self.bad.append((column, refused))
