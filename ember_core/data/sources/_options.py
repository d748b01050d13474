"""Options on the meaning of a table's columns, the same for every command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ._errors import DataError

TimeUnit = Literal["s", "ms", "us", "ns", "iso8601", "auto", "index"]

TIME_NAMES = ("ts", "time", "timestamp", "datetime", "date")
"""Columns that are taken for the time, first come first served, where `time` is not given."""

_COMMA = re.compile(r",(?![^{}]*\})")
"""A comma between names; those within the labels of a channel are part of its name."""


@dataclass(frozen=True)
class DataOptions:
    """Options of DATA: CSV, Parquet, JSON lines, directories, queries."""

    time: str = ""
    """Column of the event time; empty: the first of ts, time, timestamp, datetime, date."""

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
    """Unit of the time; auto: ISO 8601 text, or s, ms, us, ns by size; index: record numbers, one
    per second (without a time column the rows of each key are counted from 0)."""

    label: str = ""
    """Column of known anomalies, 0 or 1: only ever read for evaluation."""

    sep: str = ""
    """Separator of CSV columns; empty: told from the first line (comma, semicolon, tab or bar)."""

    def __post_init__(self) -> None:
        """Split lists at commas and check the values, before any data is touched."""
        object.__setattr__(self, "channels", _names(self.channels))
        object.__setattr__(self, "drop", _names(self.drop))
        object.__setattr__(self, "train_head", str(self.train_head).strip())
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
        times = (self.time,) if self.time else TIME_NAMES
        return frozenset(name for name in (*times, self.key, self.split) if name)


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = (value,) if isinstance(value, str) else tuple(value)
    names = (name.strip() for part in parts for name in _COMMA.split(part))
    return tuple(dict.fromkeys(name for name in names if name))
