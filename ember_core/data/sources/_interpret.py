"""Interpretation of a table's columns as keys, times, channels, split and label."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import Decimal, NumberReader

from ._chunk import Chunk
from ._clock_changes import ClockChanges
from ._column_facts import ColumnFacts
from ._errors import DataError, listed, unknown_column
from ._options import DataOptions
from ._remarks import Remarks
from ._time_column import TimeColumn
from ._values import as_numbers, as_texts, read_cells
from .times import PER_RECORD, LocalTimes

if TYPE_CHECKING:
    import pandas as pd

KEY_COLUMN = "\x00key"
"""Column of the stream keys that a source knows by itself, such as those of a Kafka topic."""

_NAMELESS = re.compile(r"|Unnamed: \d+(?:\.\d+)?|Unnamed: \d+_level_\d+|\s+")
_ROW_NUMBERS = frozenset(
    (
        *("index", "level_0", "row", "rownum", "row_number", "row number", "row_id", "rowid"),
        *("id", "no", "no.", "nr", "nr.", "#", "seq", "line", "record"),
    )
)


@dataclass(frozen=True)
class Conventions:
    """Rules of a whole source that only all of its rows can tell."""

    decimal: Decimal = ""
    """Decimal sign of numbers in text; empty: not yet told."""
    day_first: bool | None = None
    """Order of day and month in 01/02/2026; None: not yet told."""


class Interpreter:
    """Reader of the frames of one source, one after the other.

    Whether a column is a channel is settled by all rows: at least half of its cells are numbers.
    Its other cells are missing values, and told.

    Args:
        options: Meaning of the columns, as the user gave it.
        name: The source, for messages.
        default_key: Key of every record where `options.key` is empty.
        conventions: Rules of the whole source.
        is_record: True for records of a topic, each of which is read by itself: no rule is taken
            from other rows.
    """

    def __init__(
        self,
        options: DataOptions,
        name: str,
        default_key: bytes,
        conventions: Conventions | None = None,
        *,
        is_record: bool = False,
    ) -> None:
        self.options = options
        self.name = name
        self.columns: dict[str, None] = {}
        self.rows = 0
        self.remarks = Remarks(name)
        self.is_local = False
        """Whether times without an offset were taken for UTC."""
        self.conventions = conventions or Conventions(options.decimal)
        self._is_record = is_record
        self._default_key = default_key
        self._reader = NumberReader(self.conventions.decimal, options.missing)
        self._facts: dict[str, ColumnFacts] = {}
        self._counts: dict[bytes, int] = {}
        self._time = TimeColumn(options, name, self.conventions.day_first, is_record=is_record)
        zone = options.time_reader().zone
        self._clock_changes = None if zone is None else ClockChanges(zone)

    def chunk(self, frame: pd.DataFrame) -> Chunk:
        """Read the next frame.

        Raises:
            DataError: For a named column that is not there, a time, key or label that cannot be
                read (with its row).
        """
        frame = self._renamed(frame)
        self.columns |= dict.fromkeys(str(name) for name in frame.columns)
        frame = self._time.join(frame, self.columns)
        times, time_text = self._time.read(frame, self.rows)
        if times.bad:
            frame, times, time_text = self._without_empty_rows(frame, times, time_text)
            self._time.check(times, time_text, self.rows)
        keys, key_index = self._keys(frame)
        position = self._positions(keys, key_index)
        if not self._time.name:
            times = LocalTimes(position * PER_RECORD, times.is_local, {})
            time_text = position.astype(str).astype(object)
        time_us = times.time_us
        if self._clock_changes is None:
            self.is_local |= bool(times.is_local.any())
        elif times.is_local.any():
            time_us = self._clock_changes.to_utc(time_us, times.is_local, keys, key_index)
        values = self._values(frame)
        chunk = Chunk(
            keys=keys,
            key_index=key_index,
            position=position,
            time_us=time_us,
            time_text=time_text,
            channels=tuple(values),
            values=np.stack(list(values.values()), axis=1) if values else np.empty((len(frame), 0)),
            is_train=self._is_train(frame),
            label=self._label(frame),
        )
        self.rows += len(frame)
        return chunk

    def finish(self) -> Conventions | None:
        """Check what only the whole source can tell.

        Returns:
            Other conventions, by which the source has to be read again; None: all is settled.

        Raises:
            DataError: If it held no record, or no numeric channel, or if its numbers or times have
                two meanings.
        """
        if not self.rows:
            raise DataError(f"{self.name} is empty. Expected at least one record. Received: none.")
        decimal = self._decimal()
        day_first = self._time.day_first()
        if (decimal, day_first) != (self.conventions.decimal, self.conventions.day_first):
            return Conventions(decimal, day_first)
        self._remark_conventions()
        self._remark_columns()
        if not self.channels():
            self._refuse_no_channels()
        return None

    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the columns."""
        if self.options.channels:
            return tuple(name for name in self.options.channels if name in self._facts)
        return tuple(
            name for name in self.columns if name in self._facts and self._facts[name].is_channel
        )

    def _renamed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the columns names that are text and differ."""
        names = [str(name) for name in frame.columns]
        if len(set(names)) < len(names):
            counts: dict[str, int] = {}
            for i, name in enumerate(names):
                number = counts.get(name, 0)
                counts[name] = number + 1
                if number:
                    names[i] = f"{name}.{number}"
                    self.remarks.add(
                        "duplicate_column",
                        f"a second column of this name, read as {names[i]!r}",
                        column=name,
                    )
        if list(frame.columns) != names:
            frame = frame.set_axis(names, axis=1)
        return frame

    def _without_empty_rows(
        self, frame: pd.DataFrame, times: LocalTimes, texts: NDArray[np.object_]
    ) -> tuple[pd.DataFrame, LocalTimes, NDArray[np.object_]]:
        """Leave out rows without any cell, which spreadsheets write below a table."""
        rows = np.array(sorted(times.bad), np.int64)
        cells = frame.iloc[rows]
        empty = rows[np.asarray((cells.isna() | (cells.astype(object) == "")).all(axis=1), bool)]
        if not len(empty):
            return frame, times, texts
        self.remarks.add(
            "empty_rows",
            "rows without any value were left out",
            count=len(empty),
            first_row=self.rows + int(empty[0]) + 1,
        )
        keep = np.ones(len(frame), bool)
        keep[empty] = False
        new_rows = keep.cumsum() - 1
        bad = {int(new_rows[row]): error for row, error in times.bad.items() if keep[row]}
        times = LocalTimes(times.time_us[keep], times.is_local[keep], bad)
        return frame[keep], times, texts[keep]

    def _need(self, frame: pd.DataFrame, flag: str, name: str) -> None:
        if name not in frame.columns:
            raise unknown_column(self.name, flag, name, self._shown_columns())

    def _shown_columns(self) -> list[str]:
        return [name for name in self.columns if name != KEY_COLUMN]

    def _keys(self, frame: pd.DataFrame) -> tuple[tuple[bytes, ...], NDArray[np.int64]]:
        import pandas as pd

        column = self.options.key
        if not column:
            if KEY_COLUMN not in frame.columns or not frame[KEY_COLUMN].any():
                return (self._default_key,), np.zeros(len(frame), np.int64)
            column = KEY_COLUMN
        self._need(frame, "--key", column)
        texts = as_texts(frame[column])
        index, distinct = pd.factorize(texts)
        empty = np.flatnonzero(np.asarray(texts == "", bool))
        if empty.size:
            location = "the record" if column == KEY_COLUMN else f"column {column!r}"
            raise DataError(
                f"{self.name} row {self.rows + int(empty[0]) + 1} has no key. Expected a value in "
                f"every row of {location}. Received: nothing."
            )
        keys = tuple(str(key).encode("utf-8", "surrogateescape") for key in distinct)
        return keys, np.asarray(index, np.int64)

    def _positions(
        self, keys: tuple[bytes, ...], key_index: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        order = np.argsort(key_index, kind="stable")
        sizes = np.bincount(key_index, minlength=len(keys))
        starts = np.concatenate(([0], sizes.cumsum()[:-1]))
        offsets = np.array([self._counts.get(key, 0) for key in keys], np.int64)
        position = np.empty(len(key_index), np.int64)
        # Within the sorted rows a key's records count up from its records of earlier chunks.
        position[order] = np.arange(len(key_index)) - np.repeat(starts - offsets, sizes)
        for key, size in zip(keys, sizes, strict=True):
            self._counts[key] = self._counts.get(key, 0) + int(size)
        return position

    def _values(self, frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        """Return the columns that may be channels, as numbers, and keep count of their cells."""
        options = self.options
        if options.channels:
            names = [name for name in options.channels if name in frame.columns]
        else:
            other_columns = {options.key, options.split, options.label, KEY_COLUMN, *options.drop}
            reserved = {*other_columns, *self._time.columns}
            names = [name for name in frame.columns if name not in reserved]
        values: dict[str, NDArray[np.float64]] = {}
        for name in names:
            column = frame[name]
            cells = read_cells(column, self._reader)
            facts = self._facts.get(name)
            if facts is None:
                is_nameless = _NAMELESS.fullmatch(name) is not None
                can_count = name.strip().lower() in _ROW_NUMBERS
                facts = self._facts[name] = ColumnFacts(is_nameless, can_count, self.rows)
            if facts.add(column, cells, self.rows):
                values[name] = cells.values
        return values

    def _decimal(self) -> Decimal:
        """Return the decimal sign that all commas together tell."""
        if self.conventions.decimal or self._is_record:
            return self.conventions.decimal
        commas = [(name, facts) for name, facts in self._facts.items() if facts.may_be_channel]
        decimal = [(name, f.decimal) for name, f in commas if f.decimal]
        ambiguous = [(name, f.either) for name, f in commas if f.either]
        thousands = [(name, f.thousands) for name, f in commas if f.thousands]
        if decimal and not thousands:
            return ","
        if not decimal and thousands:
            return "." if ambiguous else ""
        if decimal or ambiguous:
            name, evidence = (decimal or ambiguous)[0]
            assert evidence is not None
            raise DataError(
                f"{self.name} row {evidence[0]} has a comma of two meanings in column {name!r}. "
                "Expected numbers of which some show whether the comma is the decimal sign. "
                f"Received: {evidence[1]!r}. Say it with --decimal , or --decimal . (a point)."
            )
        return ""

    def _remark_conventions(self) -> None:
        if self._time.is_guess:
            self.remarks.add("time_column", "taken for the time (--time)", column=self._time.name)
        if self.conventions.decimal == "," and not self.options.decimal:
            self.remarks.add("decimal", "numbers were read with decimal commas (--decimal ,)")
        if self.conventions.day_first is not None:
            order = "day before month" if self.conventions.day_first else "month before day"
            self.remarks.add(
                "day_first", f"times were read as {order} (--time-format)", column=self._time.name
            )
        if self._clock_changes is not None and self._clock_changes.repeated:
            self.remarks.add(
                "clock_change",
                "times of an hour that comes twice were told apart by the order of the rows",
                count=self._clock_changes.repeated,
            )

    def _remark_columns(self) -> None:
        requested = set(self.options.channels)
        for name in self.columns:
            facts = self._facts.get(name)
            if facts is None:
                continue
            if name in requested or facts.is_channel:
                facts.remark_cells(name, self.name, self.remarks)
            elif not requested:
                facts.remark_left_out(name, self.remarks)

    def _refuse_no_channels(self) -> None:
        if self.options.channels:
            raise unknown_column(
                self.name, "--channels", self.options.channels[0], self._shown_columns()
            )
        raise DataError(
            f"{self.name} has no numeric channel. Expected at least one column of numbers "
            "besides time, key, split and label. Received: columns "
            f"{listed(self._shown_columns())}."
        )

    def _is_train(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        if not self.options.split:
            return np.zeros(len(frame), np.bool_)
        self._need(frame, "--split", self.options.split)
        return np.asarray(as_texts(frame[self.options.split]) == "train", np.bool_)

    def _label(self, frame: pd.DataFrame) -> NDArray[np.int8] | None:
        name = self.options.label
        if not name or name not in frame.columns:
            return None
        numbers, bad = as_numbers(frame[name])
        if bad is not None:
            row, value = bad
            raise DataError(
                f"{self.name} row {self.rows + row + 1} has no label. Expected 0 or 1 in column "
                f"{name!r}. Received: {value!r}."
            )
        positive: NDArray[np.int8] = ((numbers != 0.0) & ~np.isnan(numbers)).astype(np.int8)
        return positive


def with_head(chunk: Chunk, rows: dict[bytes, int]) -> Chunk:
    """The chunk with the first `rows[key]` records of each key marked for training."""
    head_rows = np.array([rows[key] for key in chunk.keys], np.int64)
    return replace(chunk, is_train=chunk.position < head_rows[chunk.key_index])


def with_channels(chunk: Chunk, channels: tuple[str, ...]) -> Chunk:
    """The chunk with these channels only, NaN where it has none of that name."""
    if chunk.channels == channels:
        return chunk
    columns = {name: i for i, name in enumerate(chunk.channels)}
    values = np.full((len(chunk.values), len(channels)), np.nan)
    for i, name in enumerate(channels):
        if name in columns:
            values[:, i] = chunk.values[:, columns[name]]
    return replace(chunk, channels=channels, values=values)
