"""Options on the meaning of a table's columns, the same for every command."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args

from ember_core.data.cells import Decimal, TimeReader, TimeUnit

from ._errors import DataError

TIME_NAMES = (
    "ts",
    "time",
    "timestamp",
    "datetime",
    "date",
    "@timestamp",
    "_time",
    "event_time",
    "date_time",
    "date time",
    "date/time",
    "time_stamp",
    "utc",
)
"""Columns that are taken for the time, first come first served, where `time` is not given.

The case does not matter."""

_COMMA = re.compile(r",(?![^{}]*\})")
"""A comma between names; those within the labels of a channel are part of its name."""


@dataclass(frozen=True)
class DataOptions:
    """Options of DATA: CSV, Parquet, JSON lines, directories, queries."""

    time: str = ""
    """Column of the event time; empty: the first of ts, time, timestamp, datetime, date. Date and
    time in two columns: date+time."""

    key: str = ""
    """Column of the stream key; empty: the file's name up to the first dot."""

    channels: tuple[str, ...] = ()
    """Columns to use, as a,b,c; empty: every numeric column that is not named otherwise."""

    split: str = ""
    """Column that says "train" in the rows to train on; the other rows are scored."""

    train_head: str = ""
    """Train on the first N rows, or P% of the rows, of each key; the other rows are scored."""

    drop: tuple[str, ...] = ()
    """Columns to leave out, as a,b,c."""

    time_unit: TimeUnit = "auto"
    """Unit of the time; auto: text, or s, ms, us, ns by size; excel: days of a spreadsheet; index:
    record numbers, one per minute (without a time column the rows of each key are counted)."""

    time_format: str = ""
    """Format of the time, such as "%d/%m/%Y %H:%M:%S" (strptime); empty: ISO 8601 and others."""

    time_zone: str = ""
    """Time zone of times without an offset, such as Europe/Berlin; empty: UTC."""

    decimal: Decimal = ""
    """Decimal sign of numbers in text, a point or a comma; empty: told from each table."""

    missing: tuple[str, ...] = ()
    """Further words and numbers that mean "no value", as a,b,c: -9999,sensor off."""

    label: str = ""
    """Column of known anomalies, 0 or 1: only ever read for evaluation."""

    sep: str = ""
    """Separator of CSV columns; empty: told from the first lines (comma, semicolon, tab or bar)."""

    encoding: str = ""
    """Encoding of text files; empty: UTF-8, UTF-16, else that of Windows."""

    def __post_init__(self) -> None:
        """Split lists at commas and check the values, before any data is touched."""
        object.__setattr__(self, "channels", _names(self.channels))
        object.__setattr__(self, "drop", _names(self.drop))
        object.__setattr__(self, "missing", _names(self.missing))
        object.__setattr__(self, "train_head", str(self.train_head).strip())
        self._check_reading()
        if self.time_unit not in get_args(TimeUnit):
            raise DataError(
                f"Unknown time unit. Expected one of {', '.join(get_args(TimeUnit))}. "
                f"Received: --time-unit {self.time_unit}."
            )
        if self.split and self.train_head:
            raise DataError(
                "The training rows are named twice. Expected --split or --train-head. "
                f"Received: --split {self.split} --train-head {self.train_head}."
            )
        self.head()
        for name in self.channels:
            if name in self.drop:
                raise DataError(
                    f"A channel cannot be used and left out. Expected {name!r} in one of the two. "
                    f"Received: --channels and --drop {name}."
                )

    def _check_reading(self) -> None:
        if self.decimal not in get_args(Decimal):
            raise DataError(
                "The decimal sign is not understood. Expected a point or a comma. "
                f"Received: --decimal {self.decimal}."
            )
        try:
            self.time_reader()
            codecs.lookup(self.encoding or "utf-8")
        except (ValueError, LookupError) as error:
            raise DataError(str(error).removesuffix(".") + ".") from None

    def time_reader(self, day_first: bool | None = None) -> TimeReader:
        """Reader of the times, see `ember_core.data.cells`."""
        return TimeReader(self.time_unit, self.time_format, self.time_zone, day_first)

    @property
    def divided(self) -> bool:
        """True where some rows are set apart for training."""
        return bool(self.split or self.train_head)

    def head(self) -> tuple[float, bool] | None:
        """`train_head` as (amount, whether it is a percentage); None if it is not given.

        Raises:
            DataError: If it is neither `N` nor `P%`.
        """
        if not self.train_head:
            return None
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)\s*%", self.train_head)
        if match is None or (match[2] and float(match[2]) > 100.0):
            raise DataError(
                "The training head is not understood. Expected a number of rows such as 5000, or "
                f"a share such as 40%. Received: --train-head {self.train_head}."
            )
        return (float(match[1]), False) if match[1] else (float(match[2]), True)

    def text_columns(self) -> frozenset[str]:
        """Columns whose values a reader must leave as they stand in the input."""
        times = (self.time, *self.time.split("+")) if self.time else TIME_NAMES
        return frozenset(name for name in (*times, self.key, self.split) if name)


def is_time_name(name: str) -> bool:
    """Test for the name of a column that is taken for the time without being named."""
    return name.strip().lower() in TIME_NAMES


def is_text(name: str, text: Collection[str]) -> bool:
    """Test for a column that a reader leaves as it stands; `text` as of `text_columns`."""
    return name in text or (is_time_name(name) and name.strip().lower() in text)


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = (value,) if isinstance(value, str) else tuple(value)
    names = (name.strip() for part in parts for name in _COMMA.split(part))
    return tuple(dict.fromkeys(name for name in names if name))
