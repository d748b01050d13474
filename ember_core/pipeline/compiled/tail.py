"""Tail of one row, with the bits of `Tail.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.tail import HALF, LN10, MAX_SEVERITY, MIN_EXCESS, QUANTILE, TOP, Tail

from .compiler import compiled
from .elementary import larger, log32, smaller

FIELDS = ("tail_mid", "tail_high", "tail_excess", "tail_held")
"""Fields of the tail, in the order in which compiled functions take them."""

_F = np.float32
_ZERO, _ONE, _HALF_SHARE = _F(0.0), _F(1.0), _F(0.5)
_RARE = _F(1.0 - QUANTILE)
_MIN_EXCESS, _MAX_SEVERITY = _F(MIN_EXCESS), _F(MAX_SEVERITY)
_TOP, _LN10, _MEDIAN, _RANGE = _F(TOP), _F(LN10), _F(HALF), _F(TOP - HALF)
_LEAST_SCORE = _F(1e-3)


def tail_numbers(tail: Tail) -> tuple[float, float, float]:
    """Return a tail's two rates, and the rows after which it learns an alarm."""
    return tail.rate, tail.accept_rate, float(tail.freeze_rows)


@compiled
def log_scores(scores: Any, floor: Any, out: Any) -> None:
    """Write the logs of scores over their floor, `(R,)`: all at once, as vectors of a processor.

    Args:
        scores: Free energies, `(R,)`, float32.
        floor: Constant taken off them.
        out: Their logs, written to.
    """
    for row in range(scores.size):
        out[row] = log32(larger(scores[row] - _F(floor), _LEAST_SCORE))


@compiled
def follow_tail(
    mid: Any,
    high: Any,
    excess: Any,
    alarm_rows: Any,
    x: Any,
    is_alarming: Any,
    learning: Any,
    rate: Any,
    accept_rate: Any,
    freeze: Any,
) -> Any:
    """Return the fields of a key after a row, in the order of `FIELDS`, and the row's severity.

    Args:
        mid: The first of the fields before the row, float32.
        high: The second.
        excess: The third.
        alarm_rows: The fourth, a whole number.
        x: Log of the row's free energy over the floor, float32.
        is_alarming: True where an episode was open before it.
        learning: Weight with which the tail learns it, float32.
        rate: Share with which the tail follows a row.
        accept_rate: Share with which it follows a row of a new level.
        freeze: Rows of alarm after which it learns again.
    """
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
        excess = larger(excess + heavier * (x - high - excess), _MIN_EXCESS)
    return smaller(new_mid, new_high), new_high, excess, alarm_rows, severity
