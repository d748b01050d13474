"""Text of the page: numbers and times for readers, escaping of the data."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from stream.backtest import Backtest
from stream.counts import plural

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDEX_US = 60_000_000  # a record number counts as one minute of event time
_CERTAIN = 12.0  # the severity scale ends there
_STEPS = tuple(
    seconds * 1_000_000
    for seconds in (
        *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200),
        *(86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000, 157_680_000),
    )
)


def esc(text: object) -> str:
    """Escape text for HTML, in an element or in a quoted attribute."""
    return html.escape(str(text), quote=True)


def number(x: float | None) -> str:
    """Format a number with four significant digits, or with all before the point."""
    if x is None or math.isnan(x):
        return "missing"
    return f"{x:,.0f}" if 10_000 <= abs(x) < 1e9 else f"{x:.4g}"


def odds(severity: float) -> str:
    """Express a severity as the rarity of a row for its key.

    Examples:
        >>> odds(4.08)
        'one row in 12,000'
    """
    if severity >= _CERTAIN:
        return "rarer than one row in a trillion"
    n = 10.0**severity
    rounded = round(n, 1 - math.floor(math.log10(n))) if n >= 10 else round(n)
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if rounded >= size:
            return f"one row in {rounded / size:,.3g} {name}"
    return f"one row in {max(rounded, 1):,.0f}"


@dataclass(frozen=True)
class TimeFormat:
    """Format of event times: dates, or record numbers where the data have no times.

    Args:
        index: True if the times are record numbers.
    """

    index: bool = False

    @classmethod
    def of(cls, result: Backtest) -> TimeFormat:
        """Choose the format by the times of the input."""
        for table in result.dataset.tables:
            texts = table.texts(np.arange(min(3, len(table.time_us))))
            if texts and all(
                text.isdecimal() and int(text) * _INDEX_US == time_us
                for text, time_us in zip(texts, table.time_us.tolist(), strict=False)
            ):
                return cls(index=True)
        return cls()

    def moment(self, us: int) -> str:
        """Format an event time."""
        if self.index:
            return f"record {us // _INDEX_US:,}"
        text = _date(us).replace(tzinfo=None).isoformat(sep=" ")
        return text.rstrip("0") if "." in text else text

    def length(self, us: int) -> str:
        """Format a length of event time."""
        if self.index:
            return plural(us // _INDEX_US, "record")
        seconds = us / 1e6
        for size, unit, part, small in (
            (86_400, "d", 3_600, "h"),
            (3_600, "h", 60, "min"),
            (60, "min", 1, "s"),
        ):
            if seconds >= size:
                number, remainder = divmod(round(seconds / part), size // part)
                return f"{number} {unit} {remainder} {small}" if remainder else f"{number} {unit}"
        return f"{seconds:.3g} s"

    def ticks(self, start_us: int, end_us: int, most: int = 7) -> list[tuple[int, str]]:
        """Return round times between two times, with their labels."""
        span = max(end_us - start_us, 1)
        if self.index:
            step = _INDEX_US * _nice(span / _INDEX_US / most)
        else:
            longest = _STEPS[-1] * math.ceil(span / _STEPS[-1] / most)
            step = next((s for s in _STEPS if span / s <= most), longest)
        # Rounded up to a multiple of the step, so that ticks lie on full hours and days.
        first = -(-start_us // step) * step
        return [
            (time_us, self._tick(time_us, step, span)) for time_us in range(first, end_us + 1, step)
        ]

    def _tick(self, us: int, step: int, span: int) -> str:
        if self.index:
            return f"{us // _INDEX_US:,}"
        date = _date(us)
        if step >= 86_400_000_000:
            return date.strftime("%Y-%m-%d") if span > 2e13 else date.strftime("%b %d")
        if span > 86_400_000_000:
            return date.strftime("%b %d %H:%M")
        return date.strftime("%H:%M:%S" if step < 60_000_000 else "%H:%M")


def _date(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _nice(x: float) -> int:
    """Round up to the next of 1, 2, 5, 10, 20, 50, ..."""
    power = 1
    while 10 * power < x:
        power *= 10
    return next(m * power for m in (1, 2, 5, 10) if m * power >= x)
