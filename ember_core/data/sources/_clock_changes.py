"""Local times of the hour that comes twice, when clocks go back."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import offsets

Times = NDArray[np.int64]

_LONG_STEP_US = 1_800_000_000
"""Rows this far apart do not repeat a time by coincidence: an equal one is the next hour's."""


@dataclass
class _Cursor:
    """Place of a key in its times, after some of its rows."""

    local_us: int
    is_twice: bool
    fold: int
    """1 in the second of the two hours."""
    step_us: int
    """Distance of the last two times that differ."""
    falls: bool
    """True in a file with the newest rows first."""


class ClockChanges:
    """Resolver of local times by the order of each key's rows.

    A time that the clock shows twice belongs to the first hour until the times of its key fall
    back, and then to the second; in a file with the newest rows first, the other way round.

    Args:
        zone: Time zone of the local times.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.repeated = 0
        """Rows of the hour that comes twice, so far."""
        self._zone = zone
        self._places: dict[bytes, _Cursor] = {}

    def to_utc(
        self,
        local_us: Times,
        is_local: NDArray[np.bool_],
        keys: tuple[bytes, ...],
        key_index: NDArray[np.int64],
    ) -> Times:
        """Return the times of one chunk as UTC.

        Args:
            local_us: Times of the local clock, in microseconds, `(n,)`.
            is_local: Those that have no offset, `(n,)`; the others are returned as they are.
            keys: Stream keys, `(K,)`.
            key_index: Place of each row's key, `(n,)`.
        """
        first, second = offsets(local_us, self._zone)
        twice = is_local & (first > second)
        self.repeated += int(twice.sum())
        offset_us = np.where(is_local, first, 0)
        order = np.argsort(np.where(is_local, key_index, len(keys)), kind="stable")
        sizes = np.bincount(key_index[is_local], minlength=len(keys))
        ends = sizes.cumsum()
        for key, end, size in zip(keys, ends.tolist(), sizes.tolist(), strict=True):
            if not size:
                continue
            rows = order[end - size : end]
            times, in_both = local_us[rows], twice[rows]
            cursor = self._places.get(key) or _first_cursor(times)
            if in_both.any():
                folds = _folds(times, in_both, cursor)
                offset_us[rows[folds > 0]] = second[rows[folds > 0]]
            else:
                cursor.step_us = int(abs(times[-1] - times[-2])) if size > 1 else cursor.step_us
                cursor.local_us, cursor.is_twice, cursor.fold = int(times[-1]), False, 0
            self._places[key] = cursor
        return local_us - offset_us


def _first_cursor(times: Times) -> _Cursor:
    """Return the place of a key before its first row."""
    falls = bool(np.sign(np.diff(times)).sum() < 0)
    return _Cursor(int(times[0]), is_twice=False, fold=0, step_us=0, falls=falls)


def _folds(times: Times, twice: NDArray[np.bool_], cursor: _Cursor) -> NDArray[np.int8]:
    """Return 1 for the rows of the second hour; bring the place up to the last row."""
    folds = np.zeros(len(times), np.int8)
    for i, (local, in_both) in enumerate(zip(times.tolist(), twice.tolist(), strict=True)):
        advance_us = cursor.local_us - local if cursor.falls else local - cursor.local_us
        if not in_both:
            cursor.fold = 0
        elif not cursor.is_twice:
            cursor.fold = int(cursor.falls)
        elif advance_us < 0 or (advance_us == 0 and cursor.step_us >= _LONG_STEP_US):
            cursor.fold = int(not cursor.falls)
        if advance_us > 0:
            cursor.step_us = advance_us
        cursor.local_us, cursor.is_twice = local, in_both
        folds[i] = cursor.fold
    return folds
