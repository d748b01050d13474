"""Columns of typed JSON records, checked all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import NumberReader, TimeReader
from stream.records import (
    MAX_ABS_VALUE,
    RESERVED_KEY_PREFIX,
    BadValue,
    Decoded,
    Message,
    Reason,
    Rejected,
)

from ._base import Reading, check_key
from ._cells import NAN, out_of_range
from ._json_group import Group
from ._key import KeyExpression, Path
from ._refused import Refused
from ._samples import kafka_time
from ._time import to_micros


class Columns:
    """Records of one slice, one a message, on their way into columns.

    The checks are called in the order of their weight: a record has the reason that the first one
    gives it.

    Args:
        messages: Messages of the slice.
        groups: Records by shape.
        channels: Channel names, in the model's order.
    """

    def __init__(
        self, messages: Sequence[Message], groups: Sequence[Group], channels: Sequence[str]
    ) -> None:
        self._groups, self._channels = groups, channels
        if len(groups) == 1 and groups[0].is_whole and len(groups[0].indices) == len(messages):
            # The usual slice has one shape, and is taken without copies.
            self._values = groups[0].matrix()
            self._owner = np.arange(len(messages), dtype=np.int32)
            self._messages = messages
        else:
            indices = [index for group in groups for index in group.indices]
            tables = [group.matrix() for group in groups]
            self._values = np.concatenate([np.empty((0, len(channels))), *tables])
            self._owner = np.array(indices, dtype=np.int32)
            self._messages = [messages[index] for index in indices]
        self._keys: list[bytes | None] = []
        self._time_us = np.zeros(0, dtype=np.int64)
        self._bad: dict[int, Refused] = {}
        self._lost: list[tuple[int, int]] = []

    def check_values(self, numbers: NumberReader, no_channels: str) -> None:
        """Drop values that are too large, and refuse records without a value.

        Args:
            numbers: Reader that knows the numbers that mean "no value".
            no_channels: Sentence for a record that has none of the channels.
        """
        values = self._values
        if numbers.missing_numbers.size:  # JSON has no infinite number
            values = self._values = numbers.without_missing(values)
        huge = np.abs(values) > MAX_ABS_VALUE
        first: dict[int, Refused] = {}
        if huge.any():
            for row, column in zip(*(axis.tolist() for axis in np.nonzero(huge)), strict=True):
                detail = out_of_range(float(values[row, column]), f"$..{self._channels[column]}")
                first.setdefault(row, Refused(Reason.OUT_OF_RANGE, detail))
                self._lost.append((row, column))
            values[huge] = NAN
        missing = np.isnan(values)
        if missing.any():
            absent = Refused(Reason.NO_CHANNELS, no_channels)
            for row in np.flatnonzero(missing.all(axis=1)).tolist():
                self._bad[row] = first.get(row, absent)

    def choose_keys(self, key: KeyExpression, reading: Reading) -> None:
        """Choose and check the stream keys."""
        from_kafka = key.key_from == "kafka"
        # A Kafka key of zero bytes is no key.
        if from_kafka:
            self._keys = [message.key or None for message in self._messages]
        else:
            self._keys = [None] * len(self._messages)
        if None in self._keys:
            row = 0
            for group in self._groups:
                end = row + len(group.indices)
                self._take_keys(key, group, row, end)
                row = end
        present = cast("list[bytes]", self._keys)
        if None in self._keys:
            present = [key for key in self._keys if key is not None]
        longest = max(map(len, present), default=0)
        if longest <= reading.max_key_bytes and RESERVED_KEY_PREFIX not in b"".join(present):
            return
        for row, stream_key in enumerate(self._keys):
            try:
                if stream_key is not None:
                    check_key(stream_key, reading)
            except Refused as refused:
                self._bad.setdefault(row, refused)

    def _take_keys(self, key: KeyExpression, group: Group, begin: int, end: int) -> None:
        """Take the missing keys of a group from its records, rows from `begin` to `end`."""
        rows = [
            row for row in range(begin, end) if self._keys[row] is None and row not in self._bad
        ]
        if not rows:
            return
        fields = {path: group.field(path) for path in key.paths}
        lone_field = fields[key.lone_path] if key.lone_path is not None else None
        for row in rows:
            record = row - begin
            if lone_field is not None:
                text = lone_field[record]
                if type(text) is str and text and text.isascii():
                    self._keys[row] = text.encode()
                    continue
            try:
                self._keys[row] = key.choose(
                    self._messages[row].key, partial(_value, fields, record)
                )
            except Refused as refused:
                self._bad[row] = refused

    def read_times(self, reader: TimeReader, path: str) -> None:
        """Convert the event times of the records."""
        columns = [group.times() for group in self._groups]
        if len(columns) == 1 and isinstance(columns[0], np.ndarray) and reader.reads_numbers:
            self._time_us, bad = to_micros(columns[0], reader, path)
            if not bad:
                return
        times = [time for column in columns for time in _listed(column)]
        self._time_us, bad = to_micros(times, reader, path)
        for row, refused in bad.items():
            self._bad.setdefault(row, refused)

    def take_kafka_times(self) -> None:
        """Take Kafka's timestamps as event times."""
        times = [kafka_time(message.timestamp) for message in self._messages]
        if times:
            _, reader, where = times[0]
            self._time_us, bad = to_micros([time.value for time in times], reader, where)
            for row, refused in bad.items():
                self._bad.setdefault(row, refused)

    def decoded(self, rejected: list[Rejected]) -> Decoded:
        """Return the columns of the records that are accepted, in arrival order.

        Args:
            rejected: Messages that were refused before; gets the others.
        """
        keys, owner, time_us, values = self._keys, self._owner, self._time_us, self._values
        if self._bad:
            rejected += [
                Rejected(int(owner[row]), refused.reason, refused.detail)
                for row, refused in self._bad.items()
            ]
        lost = sorted(
            BadValue(int(owner[row]), self._channels[column], Reason.OUT_OF_RANGE)
            for row, column in self._lost
            if row not in self._bad
        )
        rejected.sort()
        if self._bad or (np.diff(owner) < 0).any():
            rows = [row for row in np.argsort(owner).tolist() if row not in self._bad]
            keys = [keys[row] for row in rows]
            owner, time_us, values = owner[rows], time_us[rows], values[rows]
        return Decoded(cast("list[bytes]", keys), time_us, values, owner, rejected, bad_values=lost)


def _value(fields: Mapping[Path, Sequence[Any]], record: int, path: Path) -> Any:
    """Return the value of a record at a path."""
    return fields[path][record]


def _listed(times: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """Return times as Python's objects, which refusals show."""
    return times.tolist() if isinstance(times, np.ndarray) else times


def merged(typed: Decoded, others: Decoded) -> Decoded:
    """Return the records of two codings of one slice, in arrival order."""
    rejected = sorted(typed.rejected + others.rejected)
    if not len(others):
        typed.rejected = rejected
        return typed
    message = np.concatenate([typed.message, others.message])
    order = np.argsort(message, kind="stable")
    keys = typed.keys + others.keys
    return Decoded(
        [keys[row] for row in order.tolist()],
        np.concatenate([typed.time_us, others.time_us])[order],
        np.concatenate([typed.values, others.values])[order],
        message[order],
        rejected,
        bad_values=sorted(typed.bad_values + others.bad_values),
    )
