"""Bins of scored rows for the hours that full rows do not reach."""

from __future__ import annotations

from dataclasses import fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch

from ._points import Points, groups


class _Slot(Points):
    """Bins of all keys of one step of time; `time_us` 0: the key has no row in it."""

    @classmethod
    def empty(cls, keys: int, channels: int) -> Self:
        wide = (keys, channels)
        score, severity, evidence, threshold = (np.full(keys, np.nan, np.float32) for _ in range(4))
        value, low, high, usual, lower, upper, contribution = (
            np.full(wide, np.nan, np.float32) for _ in range(7)
        )
        return cls(
            np.zeros(keys, np.int64),
            score,
            severity,
            evidence,
            threshold,
            np.zeros(keys, np.bool_),
            value,
            low,
            high,
            usual,
            lower,
            upper,
            contribution,
        )

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def widen(self, keys: int) -> None:
        """Make room for more keys."""
        wider = self.empty(keys, self.value.shape[1])
        for field in fields(self):
            column = getattr(self, field.name)
            getattr(wider, field.name)[: len(column)] = column
            setattr(self, field.name, getattr(wider, field.name))

    def merge(self, positions: NDArray[np.int64], newer: Points) -> None:
        """Take one bin for each of some keys.

        Args:
            positions: Positions of the keys, `(n,)`, each once.
            newer: Their bins, in this order.
        """
        for name in ("severity", "evidence", "high"):
            column = getattr(self, name)
            column[positions] = np.fmax(column[positions], getattr(newer, name))
        self.low[positions] = np.fmin(self.low[positions], newer.low)
        self.firing[positions] |= newer.firing
        is_newest = newer.time_us >= self.time_us[positions]
        target = positions[is_newest]
        for name in _LAST:
            getattr(self, name)[target] = getattr(newer, name)[is_newest]


_LAST = ("time_us", "score", "threshold", "value", "usual", "lower", "upper", "contribution")
"""Columns that a bin has of its last row."""


def with_room(keys: int) -> int:
    """Return a capacity for some number of keys, with an eighth more for those to come."""
    return keys + max(64, keys // 8)


class Bins:
    """Bins of one width, of keys that have the same channels.

    Args:
        step_us: Width of a bin, microseconds.
        channels: Number of channels.
    """

    def __init__(self, step_us: int, channels: int) -> None:
        self.step_us = step_us
        self._channels = channels
        self._slots: dict[int, _Slot] = {}
        self._capacity = 64

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(slot.nbytes for slot in self._slots.values())

    @property
    def oldest_us(self) -> int | None:
        """Begin of the oldest slot; None without slots."""
        return min(self._slots) * self.step_us if self._slots else None

    @property
    def slot_count(self) -> int:
        """Number of slots."""
        return len(self._slots)

    def reserve(self, keys: int) -> None:
        """Let later slots have room for some number of keys."""
        if self._capacity < keys:
            self._capacity = with_room(keys)

    def add(self, positions: NDArray[np.int64], batch: ScoreBatch) -> None:
        """Take rows.

        Args:
            positions: Positions of the keys, `(n,)`.
            batch: The rows.
        """
        if not len(positions):
            return
        slots = batch.time_us // self.step_us
        # A bin's last row is the last of its key and slot: the sort keeps the order of arrival.
        combined = slots * self._capacity + positions
        order = np.argsort(combined, kind="stable")
        starts, lasts = groups(combined[order])
        last = order[lasts]
        value = batch.value[order]
        merged = Points(
            time_us=batch.time_us[last],
            score=batch.score[last],
            severity=np.fmax.reduceat(batch.severity[order], starts),
            evidence=np.fmax.reduceat(batch.evidence[order], starts),
            threshold=batch.threshold[last],
            firing=np.logical_or.reduceat(batch.firing[order], starts),
            value=batch.value[last],
            low=np.fmin.reduceat(value, starts, axis=0),
            high=np.fmax.reduceat(value, starts, axis=0),
            usual=batch.usual[last],
            lower=batch.lower[last],
            upper=batch.upper[last],
            contribution=batch.contribution[last],
        )
        slot_of, position_of = slots[last], positions[last]
        for number in np.unique(slot_of).tolist():
            mask = slot_of == number
            self._slot(number).merge(position_of[mask], merged.chosen(mask))

    def _slot(self, number: int) -> _Slot:
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = _Slot.empty(self._capacity, self._channels)
        elif len(slot.time_us) < self._capacity:
            slot.widen(self._capacity)
        return slot

    def drop_oldest(self, into: Bins | None = None) -> None:
        """Drop the oldest slot.

        Args:
            into: Wider bins that take its rows.
        """
        if not self._slots:
            return
        number = min(self._slots)
        slot = self._slots.pop(number)
        if into is not None:
            into.reserve(self._capacity)
            positions = np.flatnonzero(slot.time_us)
            wider = into._slot(number * self.step_us // into.step_us)  # noqa: SLF001  # own class
            wider.merge(positions, slot.chosen(positions))

    def points(self, position: int, begin_us: int, end_us: int) -> Points:
        """Return the bins of a key that have rows between two times, in order of time."""
        index = np.array([position])
        parts = [
            slot.chosen(index)
            for number, slot in sorted(self._slots.items())
            if position < len(slot.time_us)
            and slot.time_us[position]
            and begin_us < (number + 1) * self.step_us
            and number * self.step_us < end_us
        ]
        return Points.joined(parts, self._channels)

    def worst_since(self, time_us: int, keys: int) -> NDArray[np.float32]:
        """Return the largest severity of each key since a time, `(keys,)`; NaN without rows."""
        worst = np.full(keys, np.nan, np.float32)
        for number, slot in self._slots.items():
            if (number + 1) * self.step_us > time_us:
                width = min(keys, len(slot.severity))
                np.fmax(worst[:width], slot.severity[:width], out=worst[:width])
        return worst
