"""Profile of a column from one pass over chunks, and the type that follows from it."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ._encoders import add_with_target
from ._levels import Levels
from ._read import Values, all_dates, number_text, truth_text
from ._stats import ColumnStats
from ._texts import BASICS, text_basics
from ._times import COMPONENTS, components

ColumnType = Literal[
    "numeric", "boolean", "categorical", "datetime", "text", "identifier", "empty", "unsupported"
]
FORCED = ("numeric", "boolean", "categorical", "datetime", "text", "identifier")
assert set(FORCED) < set(get_args(ColumnType))

_TEXT_LEVELS = 100_000
_NUMBER_LEVELS = 2_048
_FREQUENT_LEVELS = 65_536
_FEW_ROWS = 20
_ID_NAME = re.compile(r"(?i:(^|[_\W])(id|uuid|guid)$)|[a-z]I[Dd]$")


class Profile:
    """Everything a column could turn out to be is gathered until all of it has been seen.

    Args:
        name: Name of the column.
        forced: The type the user gave, or "".
        max_categories: Distinct texts beyond which it may be no category but text.
        quantiles: Keep quantiles of numbers.
        spread: Keep quantiles of what times and texts give too.
        frequent: Follow many distinct numbers, for the most frequent one.
    """

    def __init__(
        self,
        name: str,
        forced: str,
        *,
        max_categories: int,
        quantiles: bool,
        frequent: bool,
        spread: bool = False,
    ) -> None:
        self.name = name
        self.forced = forced
        self.rows = 0
        self.missing = 0
        self.kinds: set[str] = set()
        self.stats = ColumnStats(1, quantiles=quantiles)
        self.times = ColumnStats(len(COMPONENTS), quantiles=spread)
        self.basics = ColumnStats(len(BASICS), quantiles=spread)
        self.texts = Levels(_TEXT_LEVELS)
        max_levels = _FREQUENT_LEVELS if frequent else _NUMBER_LEVELS
        self.numbers = Levels(_TEXT_LEVELS if forced == "categorical" else max_levels)
        self.max_categories = max_categories
        self.may_be_dates = True
        self.whole = True
        self._words = 0.0
        self._basics_on = False

    def add(self, values: Values, y: NDArray[np.float64] | None) -> None:
        """Take in a chunk; `y` `(n,)` is the target, NaN where it is missing."""
        if self.forced in ("numeric", "boolean"):
            values = values.as_numbers()
        elif self.forced == "datetime":
            values = values.as_times()
        elif self.forced in ("categorical", "text"):
            values = values.as_texts()
        self.rows += values.size
        self.missing += values.missing
        if values.kind == "empty":
            self._gaps(values.size)
        else:
            self.kinds.add(values.kind)
        if values.numbers is not None:
            self._add_numbers(values, y)
        elif values.time_us is not None:
            self.times.add(components(values.time_us))
        elif values.codes is not None:
            if self.may_be_dates:
                self.may_be_dates = not self.forced and all_dates(values.distinct)
                if self.may_be_dates:
                    self.times.add(components(_required(values.as_times().time_us)))
            self._add_texts(values, y)

    def absent(self, rows: int) -> None:
        """A chunk that lacks the column."""
        self.rows += rows
        self.missing += rows
        self._gaps(rows)

    def _gaps(self, rows: int) -> None:
        self.stats.missing += rows
        self.times.missing += rows

    def _add_numbers(self, values: Values, y: NDArray[np.float64] | None) -> None:
        import pandas as pd

        numbers = _required(values.numbers)
        self.stats.add(numbers[:, None])
        if self.whole:
            present = numbers[~np.isnan(numbers)]
            self.whole = bool((present == np.floor(present)).all())
        if self.numbers.overflowed and self.numbers.most == _NUMBER_LEVELS:
            self.numbers.total += values.size - values.missing
            return
        codes, distinct = pd.factorize(numbers)
        add_with_target(self.numbers, codes.astype(np.int64), distinct.tolist(), y)

    def _add_texts(self, values: Values, y: NDArray[np.float64] | None) -> None:
        codes = _required(values.codes)
        counts = np.bincount(codes[codes >= 0], minlength=len(values.distinct))
        self._words += sum(
            count * len(text.split())
            for text, count in zip(values.distinct, counts.tolist(), strict=True)
        )
        add_with_target(self.texts, codes, list(values.distinct), y)
        # Costly for many different values, so only for columns that may turn out to be text.
        if self._basics_on:
            self.basics.add(text_basics(values.distinct), counts)
        elif not self.may_be_dates and (self.forced == "text" or self._wordy()):
            self._begin_basics(values, counts)

    def _begin_basics(self, values: Values, counts: NDArray[np.int64]) -> None:
        """Count the words of all texts so far; where there are too many, of the first ones."""
        self._basics_on = True
        items = dict(self.texts.items())
        for text, count in zip(values.distinct, counts.tolist(), strict=True):
            items.setdefault(text, count)
        self.basics.add(text_basics(list(items)), np.array(list(items.values())))

    def _wordy(self) -> bool:
        return self._words >= 2.0 * max(self.texts.total, 1)

    def text_stats(self) -> ColumnStats:
        """Statistics of `text_basics` over all rows."""
        if not self._basics_on:
            self._begin_basics(Values(self.name, "text", 0), np.empty(0, np.int64))
        return self.basics

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    def categories(self) -> Levels:
        """Distinct values as texts, whichever way the chunks held them."""
        if not self.numbers.distinct:
            return self.texts
        write: Any = truth_text if self.kinds == {"boolean"} else number_text
        levels = self.numbers.as_text(write)
        levels.most = max(levels.most, self.texts.most)
        levels.join(self.texts)
        return levels

    def distinct(self) -> int:
        """Distinct values, as far as they were followed."""
        return self.numbers.distinct if self._numeric() else self.categories().distinct

    def _one_time(self) -> bool:
        return bool(self.times.low[-1] == self.times.high[-1])

    def constant(self) -> bool:
        """True where all rows that have a value have the same one."""
        if self._numeric():
            return self.numbers.distinct == 1
        if self.kinds == {"datetime"}:
            return self._one_time()
        levels = self.categories()
        return levels.distinct == 1 and not levels.overflowed

    def _numeric(self) -> bool:
        return bool(self.kinds) and self.kinds <= {"numeric", "boolean"}

    def _all_different(self, levels: Levels) -> bool:
        if self.present < _FEW_ROWS:
            return False
        if not levels.overflowed:
            return levels.distinct == self.present
        items = levels.items()
        return items[0][1] == 1

    def type(self) -> ColumnType:
        """Type of the column: booleans before numbers, dates before texts."""
        if self.forced:
            return self.forced  # type: ignore[return-value]
        if not self.kinds:
            return "empty"
        if "unsupported" in self.kinds:
            return "unsupported"
        if self.kinds == {"boolean"}:
            return "boolean"
        if self._numeric():
            has_id_name = self.whole and _ID_NAME.search(self.name) is not None
            return "identifier" if has_id_name and self._all_different(self.numbers) else "numeric"
        if self.kinds == {"datetime"} or (self.kinds <= {"text", "datetime"} and self.may_be_dates):
            return "datetime"
        return self._type_of_text()

    def _type_of_text(self) -> ColumnType:
        levels = self.categories()
        words = self._words / max(self.texts.total, 1)
        if self._all_different(levels):
            return "text" if words >= 2.0 else "identifier"
        few_levels = levels.distinct <= self.max_categories and not levels.overflowed
        if words >= 3.0 and not (few_levels and 2 * levels.distinct <= self.present):
            return "text"
        return "categorical"


def _required(x: Any) -> Any:
    assert x is not None
    return x
