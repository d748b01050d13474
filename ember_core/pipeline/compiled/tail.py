"""Tail of one row, with the bits of `Tail.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.tail import HALF, LN10, MAX_SEVERITY, MIN_EXCESS, QUANTILE, TOP, Tail

from .compiler import compiled
from .elementary import log32

FIELDS = ("tail_mid", "tail_high", "tail_excess", "tail_held")
"""Fields of the tail, in the order in which compiled functions take them."""

_F = np.float32
_ZERO, _ONE, _HALF_SHARE = _F(0.0), _F(1.0), _F(0.5)
_RARE = _F(1.0 - QUANTILE)
_MIN_EXCESS, _MAX_SEVERITY = _F(MIN_EXCESS), _F(MAX_SEVERITY)
_TOP, _LN10, _MEDIAN, _RANGE = _F(TOP), _F(LN10), _F(HALF), _F(TOP - HALF)
_LEAST_SCORE = _F(1e-3)


def tail_numbers(tail: Tail) -> tuple[float, float, float, float]:
    """Return a tail's floor, its two rates, and the rows after which it learns an alarm."""
    return tail.floor, tail.rate, tail.accept_rate, float(tail.freeze_rows)


@compiled
def larger(a: Any, b: Any) -> Any:
    """Return `np.maximum` of two numbers: NaN where one is."""
    return a if a >= b or a != a else b


@compiled
def smaller(a: Any, b: Any) -> Any:
    """Return `np.minimum` of two numbers: NaN where one is."""
    return a if a <= b or a != a else b


@compiled
def log_score(score: Any, floor: Any) -> Any:
    """Return the log of a score over its floor, float32."""
    return log32(larger(score - _F(floor), _LEAST_SCORE))


@compiled
def tail_after(state: Any, key: Any, score: Any, is_alarming: Any, learning: Any, rule: Any) -> Any:
    """Return the severity of a row, and write the fields of its key after it.

    Args:
        state: Arrays of `FIELDS`, `(K,)` each.
        key: Key of the row.
        score: Its free energy, float32.
        is_alarming: True where an episode was open before it.
        learning: Weight with which the tail learns it, float32.
        rule: Numbers of the tail, see `tail_numbers`.
    """
    floor, rate, accept_rate, freeze = rule
    mid, high, excess = state[0][key], state[1][key], state[2][key]
    alarm_rows: Any = np.int64(state[3][key])
    x = log_score(score, floor)

    departure = x - high
    least_excess = larger(excess, _MIN_EXCESS)
    spread = larger(high - mid, _MIN_EXCESS)
    if departure > _ZERO:
        surprise = _TOP + departure / least_excess
    else:
        surprise = _MEDIAN + _RANGE * (x - mid) / spread
    severity = smaller(larger(surprise / _LN10, _ZERO), _MAX_SEVERITY)

    if is_alarming:
        alarm_rows += 1
    elif alarm_rows - 1 > freeze and freeze > 0:
        alarm_rows -= 1
    else:
        alarm_rows = 0
    weight = _ZERO if is_alarming else learning
    follows = _F(rate) if alarm_rows == 0 else _ZERO
    accepts = _F(accept_rate) if alarm_rows > freeze else _ZERO
    weight = larger(weight, larger(follows, accepts))

    is_excess = x > high
    share = _ONE if is_excess else _ZERO
    half = _ONE if x > mid else _ZERO
    density = _RARE / least_excess
    new_high = high + weight * (share - _RARE) / density
    new_mid = mid + weight * (half - _HALF_SHARE) * spread
    if is_excess:
        heavier = smaller(weight / _RARE, _HALF_SHARE)
        state[2][key] = larger(excess + heavier * (x - high - excess), _MIN_EXCESS)
    state[0][key], state[1][key] = smaller(new_mid, new_high), new_high
    state[3][key] = alarm_rows
    return severity
