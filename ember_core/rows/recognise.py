"""Counters in a history: channels whose rate says more than their value.

A counter never falls but for resets, which are rare and begin near zero; and it rises. A name that
ends in `_total`, `_count`, `_sum` or `_bucket`, or in a word for events such as `packets`, needs no
more. A field that Telegraf documents as a counter need not even rise: that of errors may stand at
zero all along. Without such a name its steps must also differ, as those of an index or of a time do
not, and come often, as those of a level that rises slowly do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_WAY = r"(in|out|rx|tx|recv|received|sent|transmitted|read|written)"
_EVENTS = (
    r"(octets|packets|pkts|datagrams|errors?|errs?|drops?|dropped|discards?|discarded|collisions|"
    r"overruns|faults|switches|interrupts|forked|retrans|retransmits|accepts|handled)"
)
_NAMED = re.compile(
    r".*_(total|count|sum|bucket)"
    rf"|(.*[._])?({_EVENTS}([._]{_WAY})?|{_WAY}[._]{_EVENTS}|bytes[._]{_WAY}|{_WAY}[._]bytes)",
    re.IGNORECASE,
)
_DOCUMENTED = re.compile(
    r"net\.((bytes|packets)_(sent|recv)|(err|drop)_(in|out))"
    r"|diskio\.(reads|writes|(read|write)_(bytes|time)|(weighted_)?io_time|merged_(reads|writes))"
    r"|kernel\.(context_switches|interrupts|processes_forked|disk_pages_(in|out))"
    r"|swap\.(in|out)"
    r"|procstat\.(cpu_time_\w+|(read|write)_(count|bytes)|disk_(read|write)_bytes"
    r"|(child_)?(minor|major)_faults|(in)?voluntary_context_switches)"
    r"|nginx\.(accepts|handled|requests)"
    r"|docker_container_net\.[rt]x_(bytes|packets|errors|dropped)"
)
"""Fields of Telegraf's inputs that its documentation calls counters, as channels of its records."""
_FEWEST_STEPS, _NAMED_STEPS, _NAMED_RISES = 100, 10, 3
_RESETS = 0.01
"""Largest share of steps that are resets."""
_RISES_PER_RESET = 4
"""A count of each interval falls as often as it rises."""
_RISES = 0.25
"""Smallest share of steps that rise, without a counter's name."""
_ROUGHNESS = 0.02
"""Smallest mean difference of two steps that follow each other, in mean steps."""
_TIME_UNITS = (1.0, 1e3, 1e6, 1e9)
History = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Times `(T,)`, microseconds, rising, and values `(T, C)` of one key, NaN where missing."""


def find_counters(channels: Sequence[str], history: Iterable[History]) -> tuple[str, ...]:
    """Return the channels that are counters, in their order.

    Args:
        channels: Names of the channels.
        history: Samples of each key.
    """
    keys = list(history)
    counters = []
    for column, name in enumerate(channels):
        steps = [_steps(times, values[:, column]) for times, values in keys]
        if _is_counter(name.partition("{")[0], [step for step in steps if step is not None]):
            counters.append(name)
    return tuple(counters)


def usual_gap_seconds(history: Iterable[History], columns: Sequence[int]) -> float:
    """Return the longest usual time between two samples of some columns, over all keys."""
    longest = 0.0
    for times, values in history:
        for column in columns:
            gaps = np.diff(times[np.isfinite(values[:, column])])
            gaps = gaps[gaps > 0]
            if gaps.size:
                longest = max(longest, float(np.median(gaps)) * 1e-6)
    return longest


class _Steps:
    """Steps of one key: changes of the value, and the seconds of each."""

    def __init__(self, values: NDArray[np.float64], seconds: NDArray[np.float64]) -> None:
        change = np.diff(values)
        self.values = values
        self.falls = change < 0
        self.change, self.seconds = change[~self.falls], seconds[~self.falls]
        self.count, self.rises = change.size, int(np.count_nonzero(change > 0))

    def falls_to_zero(self) -> bool:
        """Tell if every fall leads near zero, as a reset does."""
        old_values, new_values = self.values[:-1][self.falls], self.values[1:][self.falls]
        rising = self.change[self.change > 0]
        step = float(np.median(rising)) if rising.size else 0.0
        return bool((new_values <= np.maximum(0.1 * old_values, 3 * step)).all())


def _steps(times: NDArray[np.int64], column: NDArray[np.float64]) -> _Steps | None:
    present = np.flatnonzero(np.isfinite(column))
    later = present[1:][np.diff(times[present]) > 0]
    present = np.concatenate([present[:1], later])
    if present.size < 2:
        return None
    return _Steps(column[present], np.diff(times[present]) * 1e-6)


def _is_counter(name: str, keys: list[_Steps]) -> bool:
    total, rises = sum(key.count for key in keys), sum(key.rises for key in keys)
    falls = sum(int(np.count_nonzero(key.falls)) for key in keys)
    if any((key.values < 0).any() or not key.falls_to_zero() for key in keys):
        return False
    is_documented = _DOCUMENTED.fullmatch(name) is not None
    if is_documented or _NAMED.fullmatch(name):
        allowed = max(1.0, min(3 * _RESETS * total, rises / _RISES_PER_RESET))
        fewest = 0 if is_documented else _NAMED_RISES
        return total >= _NAMED_STEPS and rises >= fewest and falls <= allowed
    if total < _FEWEST_STEPS or rises < _RISES * total or falls > max(1.0, _RESETS * total):
        return False
    change = np.concatenate([key.change for key in keys])
    seconds = np.concatenate([key.seconds for key in keys])
    slope = float(change.sum() / seconds.sum())
    if any(abs(slope - unit) < 0.01 * unit for unit in _TIME_UNITS) or _are_dates(keys):
        return False
    rough = [(_roughness(key.change), _roughness(key.change / key.seconds)) for key in keys]
    # Every key that rises must do so by steps that differ.
    rising = [min(pair) for key, pair in zip(keys, rough, strict=True) if key.rises > 1]
    return bool(rising) and float(np.median(rising)) >= _ROUGHNESS


def _roughness(steps: NDArray[np.float64]) -> float:
    """Return the mean difference of steps that follow each other, in mean steps."""
    mean = float(steps.mean()) if steps.size > 1 else 0.0
    return float(np.abs(np.diff(steps)).mean()) / mean if mean > 0 else 0.0


def _are_dates(keys: list[_Steps]) -> bool:
    """Tell if all values are dates written as numbers, YYYYMMDD."""
    values = np.concatenate([key.values for key in keys])
    month, day = (values // 100) % 100, values % 100
    in_range = (values >= 19_000_101) & (values < 22_000_000) & (values == np.floor(values))
    return bool((in_range & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())
