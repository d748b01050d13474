"""Interpretation of a table's columns as keys, times, channels, split and label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._chunk import Chunk
from ._errors import DataError, listed, unknown_column
from ._options import TIME_NAMES, DataOptions
from ._remarks import Remarks
from ._values import as_numbers, as_texts, is_empty, is_numeric
from .times import PER_SECOND, BadTimeError, datetime_microseconds, to_microseconds

if TYPE_CHECKING:
    import pandas as pd


class Interpreter:
    """Understands the frames of one source, one after the other.

    Whether a column is a channel is settled by the first frame in which it has a value: then all
    of them must be numbers. Text in it later on is an error, not a silent gap.

    Args:
        options: Meaning of the columns, as the user gave it.
        name: The source, for messages.
        default_key: Key of every record where `options.key` is empty.
    """

    def __init__(self, options: DataOptions, name: str, default_key: bytes) -> None:
        self.options = options
        self.name = name
        self.columns: dict[str, None] = {}
        self.rows = 0
        self.remarks = Remarks(name)
        self._default_key = default_key
        self._numeric: dict[str, bool] = {}
        self._counts: dict[bytes, int] = {}
        self._time: str | None = None

    def chunk(self, frame: pd.DataFrame) -> Chunk:
        """Understand the next frame.

        Raises:
            DataError: For a named column that is not there, a time, key, label or value that
                cannot be read (with its row).
        """
        self.columns |= dict.fromkeys(str(name) for name in frame.columns)
        if self._time is None:
            self._time = self._time_column(frame)
        time = self._time
        keys, key_index = self._keys(frame)
        position = self._positions(keys, key_index)
        time_us, time_text = self._times(frame, time, position)
        channels = self._channels(frame, time)
        values = np.empty((len(frame), len(channels)))
        for index, channel in enumerate(channels):
            if channel in frame.columns:
                values[:, index] = self._values(frame[channel], channel)
            else:
                values[:, index] = np.nan
        chunk = Chunk(
            keys=keys,
            key_index=key_index,
            position=position,
            time_us=time_us,
            time_text=time_text,
            channels=channels,
            values=values,
            is_train=self._is_train(frame),
            label=self._label(frame),
        )
        self.rows += len(frame)
        return chunk

    def finish(self) -> None:
        """Check what only the whole source can tell.

        Raises:
            DataError: If it held no record, or no numeric channel.
        """
        self._remark_empty()
        if not self.rows:
            raise DataError(f"{self.name} is empty. Expected at least one record. Received: none.")
        if not any(self._numeric.values()):
            if self.options.channels:
                raise unknown_column(
                    self.name, "--channels", self.options.channels[0], self.columns
                )
            raise DataError(
                f"{self.name} has no numeric channel. Expected at least one column of numbers "
                f"besides time, key, split and label. Received: columns {listed(self.columns)}."
            )

    def _remark_text(self, column: pd.Series[Any], name: str) -> None:
        _, bad = as_numbers(column)
        row, value = bad or (0, column.iloc[0])  # true and false convert, and are no numbers
        self.remarks.add(
            "text_column",
            "left out, as it is no column of numbers",
            column=name,
            first_row=self.rows + row + 1,
            example=value,
        )

    def _remark_empty(self) -> None:
        options = self.options
        known = {self._time, *options.text_columns(), options.label, *options.drop}
        for name in self.columns:
            if name not in self._numeric and name not in known and not options.channels:
                self.remarks.add("empty_column", "left out, as no row has a value", column=name)

    def _need(self, frame: pd.DataFrame, flag: str, name: str) -> None:
        if name not in frame.columns:
            raise unknown_column(self.name, flag, name, self.columns)

    def _time_column(self, frame: pd.DataFrame) -> str:
        if self.options.time:
            return self.options.time
        for name in TIME_NAMES:
            if name in frame.columns:
                return name
        if self.options.time_unit == "index":
            return ""
        raise DataError(
            f"{self.name} has no column that is plainly the time. Expected one of "
            f"{', '.join(TIME_NAMES)}. Received: columns {listed(self.columns)}. Name it with "
            "--time COL, or count the records with --time-unit index."
        )

    def _keys(self, frame: pd.DataFrame) -> tuple[tuple[bytes, ...], NDArray[np.int64]]:
        if not self.options.key:
            return (self._default_key,), np.zeros(len(frame), np.int64)
        self._need(frame, "--key", self.options.key)
        import pandas as pd

        texts = as_texts(frame[self.options.key])
        index, distinct = pd.factorize(texts)
        empty = np.flatnonzero(np.asarray(texts == "", bool))
        if empty.size:
            raise DataError(
                f"{self.name} row {self.rows + int(empty[0]) + 1} has no key. Expected a value in "
                f"every row of column {self.options.key!r}. Received: nothing."
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

    def _times(
        self, frame: pd.DataFrame, name: str, position: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
        if not name:
            return position * PER_SECOND, position.astype(str).astype(object)
        self._need(frame, "--time", name)
        column = frame[name]
        texts = as_texts(column)
        try:
            if column.dtype.kind == "M":
                if bool(column.isna().any()):
                    raise BadTimeError(int(np.asarray(column.isna()).argmax()))
                return datetime_microseconds(column), texts
            raw = column.to_numpy() if column.dtype.kind in "iu" else texts
            return to_microseconds(raw, self.options.time_unit), texts
        except BadTimeError as bad:
            raise DataError(
                f"{self.name} row {self.rows + bad.row + 1} has no readable time. Expected "
                f"{self._time_form()} in column {name!r}. Received: {texts[bad.row]!r}."
            ) from None

    def _time_form(self) -> str:
        unit = self.options.time_unit
        if unit == "auto":
            return "a number or ISO 8601"
        return "ISO 8601" if unit == "iso8601" else f"a number ({unit})"

    def _channels(self, frame: pd.DataFrame, time: str) -> tuple[str, ...]:
        if self.options.channels:
            for name in self.options.channels:
                if name in frame.columns:
                    self._numeric[name] = True
            return tuple(name for name in self.options.channels if name in self._numeric)
        reserved = {time, *self.options.text_columns(), self.options.label, *self.options.drop}
        for name in frame.columns:
            if name not in reserved and name not in self._numeric and not is_empty(frame[name]):
                self._numeric[str(name)] = is_numeric(frame[name])
                if not self._numeric[str(name)]:
                    self._remark_text(frame[name], str(name))
        return tuple(name for name, numeric in self._numeric.items() if numeric)

    def _values(self, column: pd.Series[Any], name: str) -> NDArray[np.float64]:
        numbers, bad = as_numbers(column)
        if bad is not None:
            row, value = bad
            raise DataError(
                f"{self.name} row {self.rows + row + 1} has no number in channel {name!r}. "
                f"Expected a number or nothing. Received: {value!r}. Leave the column out with "
                f"--drop {name}, or name the channels with --channels."
            )
        return numbers

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
