"""Tail over several rows a key.

While many keys have a row in a step they go together; the rows that few keys have left are followed
number by number, with the bits of `Tail.forward` on one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import HALF, LN10, MAX_SEVERITY, MIN_EXCESS, QUANTILE, TOP, Tail

FEW = 16  # keys in a step from which an array's operations are cheaper than numbers

_F = np.float32
_ZERO, _ONE, _HALF_SHARE = _F(0.0), _F(1.0), _F(0.5)
_RARE = _F(1.0 - QUANTILE)
_MIN_EXCESS, _MAX_SEVERITY = _F(MIN_EXCESS), _F(MAX_SEVERITY)
_TOP, _LN10, _MEDIAN, _RANGE = _F(TOP), _F(LN10), _F(HALF), _F(TOP - HALF)


def follow_tail_packed(
    tail: Tail, state: State, score: Any, observation: Observation
) -> tuple[State, Any]:
    """Follow several rows of keys, in order.

    Args:
        tail: The tail.
        state: Its fields before each key's first row, `(K, ...)`.
        score: Free energies, `(R,)`, float32.
        observation: Columns of the rows: `alarming`, and the weights `learning`.

    Returns:
        The fields after each key's last row, and the severity of every row.
    """
    packed = observation.packed
    if packed.once:
        return tail.forward(state, score, observation)
    current = {name: value.copy() for name, value in state.items()}
    severity = np.empty(packed.row_count, np.float32)
    alarming, learning = observation.alarming, observation.learning
    step = 0
    for start, n in packed.spans():
        if n < FEW:
            break
        part = slice(start, start + n)
        columns = Observation(PackedRows([n]), alarming=alarming[part], learning=learning[part])
        first_rows = {name: value[:n] for name, value in current.items()}
        new_state, severity[part] = tail.forward(first_rows, score[part], columns)
        for name, value in new_state.items():
            current[name][:n] = value
        step += 1
    log_score = tail.log_score(score)
    for key, rows in packed.left(step):
        follow, fields = tail_of_key(tail, current, key)
        columns_of_key = (log_score[rows], learning[rows], alarming[rows].tolist())
        severity[rows] = [follow(*row) for row in zip(*columns_of_key, strict=True)]
        for name, number in fields().items():
            current[name][key] = number
    return current, severity


def tail_of_key(
    tail: Tail, state: State, key: int
) -> tuple[Callable[[Any, Any, bool], Any], Callable[[], dict[str, Any]]]:
    """Return two functions: one follows a row of a key, the other returns the fields after it.

    Every branch repeats one element of an `ops.where` of the stage, NumPy scalar by scalar: Python
    floats would compute in float64 and give other bits.

    Args:
        tail: The tail.
        state: Its fields, `(K, ...)`.
        key: Index of the key.
    """
    mid, high, excess = (state[n][key] for n in ("tail_mid", "tail_high", "tail_excess"))
    alarm_rows = int(state["tail_held"][key])
    rate, new_rate, freeze = _F(tail.rate), _F(tail.accept_rate), tail.freeze_rows

    def follow(x: Any, weight: Any, is_alarming: bool) -> Any:
        """Return the severity of a log score, and learn it with a weight."""
        nonlocal mid, high, excess, alarm_rows
        # Tail.severity
        departure = x - high
        if departure > _ZERO:
            surprise = _TOP + departure / (excess if excess > _MIN_EXCESS else _MIN_EXCESS)
        else:
            width = high - mid
            rise = _RANGE * (x - mid)
            surprise = _MEDIAN + rise / (width if width > _MIN_EXCESS else _MIN_EXCESS)
        severity = surprise / _LN10
        severity = _ZERO if severity < _ZERO else severity
        severity = _MAX_SEVERITY if severity > _MAX_SEVERITY else severity
        # Tail.forward
        if is_alarming:
            alarm_rows += 1
        else:
            alarm_rows = alarm_rows - 1 if 0 < freeze < alarm_rows - 1 else 0
        if is_alarming:
            weight = _ZERO
        rule = rate if alarm_rows == 0 else new_rate if alarm_rows > freeze else _ZERO
        if weight < rule:
            weight = rule
        if weight > _ZERO:  # Tail.learn
            is_excess = x > high
            spread = high - mid
            spread = spread if spread > _MIN_EXCESS else _MIN_EXCESS
            density = _RARE / (excess if excess > _MIN_EXCESS else _MIN_EXCESS)
            new_high = high + weight * ((_ONE if is_excess else _ZERO) - _RARE) / density
            new_mid = mid + weight * (_HALF_SHARE if x > mid else -_HALF_SHARE) * spread
            if is_excess:
                heavier = weight / _RARE
                heavier = heavier if heavier < _HALF_SHARE else _HALF_SHARE
                excess = excess + heavier * (x - high - excess)
            high = new_high
            mid = new_mid if new_mid < new_high else new_high
        elif high < mid:
            mid = high
        if departure > _ZERO and excess < _MIN_EXCESS:
            excess = _MIN_EXCESS
        return severity

    def fields() -> dict[str, Any]:
        """Return the fields of the key now."""
        return {
            "tail_mid": mid,
            "tail_high": high,
            "tail_excess": excess,
            "tail_held": alarm_rows,
        }

    return follow, fields
