"""Keys that the console has seen, with the newest scored row of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.keys import key_text

_FIRST_KEYS = 1_024
_BYTES_A_KEY = 320
"""Bytes of a key beside its columns: its bytes, its text, and its place in two tables."""
_LEAST_ROWS = 3
"""Rows of a key from which on the time between two of them is known."""

_BLANKS: Final[Mapping[str, float]] = {
    "first_us": 0,
    "last_us": 0,
    "rows": 0,
    "firing": 0,
    "partition": -1,
    "leader": -1,
    **dict.fromkeys(("score", "severity", "evidence", "threshold"), np.nan),
}
"""Columns, and the value of each before a row."""


class KeyTable:
    """Keys by number, in the order in which they were first seen.

    Attributes:
        keys: Stream keys.
        texts: Their texts.
        first_us: Event time of the first row, `(capacity,)`; 0 before one.
        last_us: Event time of the newest row or trigger.
        rows: Number of rows.
        score: Score of the newest row.
        severity: Its severity.
        evidence: Its evidence.
        threshold: Evidence from which the key fires.
        firing: Whether the row belongs to an episode.
        partition: Partition of the key; -1 before a row.
        leader: Number of the channel with the largest share in the newest row; -1 for none.
        channels: Names of all channels, by number.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._channel_numbers: dict[str, int] = {}
        self.keys: list[bytes] = []
        self.texts: list[str] = []
        self.channels: list[str] = []
        self.first_us = np.zeros(_FIRST_KEYS, np.int64)
        self.last_us = np.zeros(_FIRST_KEYS, np.int64)
        self.rows = np.zeros(_FIRST_KEYS, np.int64)
        self.score = np.full(_FIRST_KEYS, np.nan, np.float32)
        self.severity = np.full(_FIRST_KEYS, np.nan, np.float32)
        self.evidence = np.full(_FIRST_KEYS, np.nan, np.float32)
        self.threshold = np.full(_FIRST_KEYS, np.nan, np.float32)
        self.firing = np.zeros(_FIRST_KEYS, np.bool_)
        self.partition = np.full(_FIRST_KEYS, -1, np.int32)
        self.leader = np.full(_FIRST_KEYS, -1, np.int32)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the table, those of Python's own objects estimated."""
        columns: int = sum(getattr(self, name).nbytes for name in _BLANKS)
        return columns + sum(map(len, self._numbers)) * 2 + len(self) * _BYTES_A_KEY

    def find(self, key: bytes) -> int | None:
        """Return the number of a key; None for an unknown one."""
        return self._numbers.get(key)

    def row_seconds(self, number: int) -> float | None:
        """Return the mean time between two rows of a key, seconds; None before its third row."""
        count, span_us = int(self.rows[number]), int(self.last_us[number] - self.first_us[number])
        return None if count < _LEAST_ROWS or span_us <= 0 else span_us / 1e6 / (count - 1)

    def number_of(self, key: bytes) -> int:
        """Return the number of a key, a new one for one that is new."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.keys)
            self.keys.append(key)
            self.texts.append(key_text(key))
            if number >= len(self.last_us):
                self._grow()
        return number

    def numbers_of(self, keys: Sequence[bytes]) -> NDArray[np.int32]:
        """Return the numbers of keys, `(n,)`."""
        try:
            return np.fromiter(map(self._numbers.__getitem__, keys), np.int32, len(keys))
        except KeyError:
            return np.fromiter(map(self.number_of, keys), np.int32, len(keys))

    def channel_numbers(self, channels: Sequence[str]) -> NDArray[np.int32]:
        """Return the numbers of channels, `(C,)`."""
        for name in channels:
            if name not in self._channel_numbers:
                self._channel_numbers[name] = len(self.channels)
                self.channels.append(name)
        return np.array([self._channel_numbers[name] for name in channels], np.int32)

    def find_channel(self, name: str) -> int | None:
        """Return the number of a channel; None for an unknown one."""
        return self._channel_numbers.get(name)

    def _grow(self) -> None:
        size = 2 * len(self.last_us)
        for name, blank in _BLANKS.items():
            column = getattr(self, name)
            wider = np.full(size, blank, column.dtype)
            wider[: len(column)] = column
            setattr(self, name, wider)
