"""Tail and motor neuron over several rows a key.

A row's decision depends on a handful of numbers of the row before it. While many keys have a row in
a step they go together; the rows that few keys have left are decided number by number, where an
array's overhead would be most of the work. Both are the operations of `Tail.forward` and
`MotorNeuron.forward` on float32 in their order, and give their bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import HALF, LN10, MAX_SEVERITY, MIN_EXCESS, QUANTILE, TOP, Tail

_FEW = 16  # keys in a step from which an array's operations are cheaper than numbers


def decide_packed(
    tail: Tail, motor: MotorNeuron, state: State, score: Any, observation: Observation
) -> Decision:
    """Decide several rows of keys, in order.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of both before each key's first row, `(K, ...)`.
        score: Free energies, `(R,)`, float32.
        observation: Columns of the rows: `may_fire`, and the weights `learning`.

    Returns:
        The decision on every row; its state holds each key's fields after its last row.
    """
    packed, fields = observation.packed, (*tail.state_fields(), *motor.state_fields())
    current = {field.name: state[field.name].copy() for field in fields}
    numbers = (np.empty(packed.row_count, np.float32) for _ in range(2))
    out = Decision(current, *numbers, *(np.zeros(packed.row_count, bool) for _ in range(3)))
    step = 0
    for start, n in packed.spans():
        if n < _FEW:
            break
        part = slice(start, start + n)
        step_state = {name: value[:n] for name, value in current.items()}
        columns = Observation(
            PackedRows([n]),
            alarming=step_state["firing"] > 0,
            learning=observation.learning[part],
            may_fire=observation.may_fire[part],
        )
        tail_state, severity = tail.forward(step_state, score[part], columns)
        motor_state, firing = motor.forward(step_state, severity, columns)
        out.fires[part], out.resolves[part] = firing
        out.severity[part], out.evidence[part] = severity, motor_state["evidence"]
        out.firing[part] = motor_state["firing"] > 0
        for name, value in (tail_state | motor_state).items():
            current[name][:n] = value
        step += 1
    if step < len(packed.sizes):
        starts = np.asarray(packed.starts[step:])
        sizes = np.asarray(packed.sizes[step:])
        series = tail.log_score(score), observation.may_fire, observation.learning
        for key in range(packed.sizes[step]):
            rows = starts[: int(np.count_nonzero(sizes > key))] + key
            _OneKey(tail, motor, current, key).run(rows, series, out)
    return out


_F = np.float32
_ZERO, _ONE, _HALF_SHARE = _F(0.0), _F(1.0), _F(0.5)
_RARE = _F(1.0 - QUANTILE)
_MIN_EXCESS, _MAX_SEVERITY = _F(MIN_EXCESS), _F(MAX_SEVERITY)
_TOP, _LN10, _MEDIAN, _RANGE = _F(TOP), _F(LN10), _F(HALF), _F(TOP - HALF)


class _OneKey:
    """Fields of a key as numbers, while its rows are decided.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of all keys, written back to.
        key: Index of the key.
    """

    def __init__(self, tail: Tail, motor: MotorNeuron, state: State, key: int) -> None:
        self._tail, self._motor, self._state, self._key = tail, motor, state, key

    def run(self, rows: Any, columns: tuple[Any, Any, Any], out: Decision) -> None:
        """Decide the key's rows, in order.

        Every branch repeats one element of an `ops.where` of the stages, NumPy scalar by scalar:
        Python floats would compute in float64 and give other bits.

        Args:
            rows: Indices of the rows, in order.
            columns: Log score, permission to fire and weight of learning of all rows.
            out: Decision, written to.
        """
        state, key = self._state, self._key
        mid, high, excess = (state[n][key] for n in ("tail_mid", "tail_high", "tail_excess"))
        alarm_rows, evidence = int(state["tail_held"][key]), state["evidence"][key]
        firing, refractory = bool(state["firing"][key]), int(state["refractory"][key])
        threshold, resolve_below = (
            _F(_F(self._motor.on) + state["feedback"][key]),
            _F(self._motor.off),
        )
        leak, refractory_rows = _F(self._motor.leak), self._motor.refractory_rows
        rate, new_rate = _F(self._tail.rate), _F(self._tail.accept_rate)
        freeze = self._tail.freeze_rows
        severities, evidences = [], []
        logs, may_fire, learning = columns
        by_row = zip(
            rows.tolist(),
            list(logs[rows]),
            may_fire[rows].tolist(),
            list(learning[rows]),
            strict=True,
        )
        for i, x, may, weight in by_row:
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
            if firing:
                alarm_rows += 1
            else:
                alarm_rows = alarm_rows - 1 if 0 < freeze < alarm_rows - 1 else 0
            follow = rate if alarm_rows == 0 else new_rate if alarm_rows > freeze else _ZERO
            if weight < follow:
                weight = follow
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
            # MotorNeuron.forward
            evidence = evidence + leak * (severity - evidence)
            severities.append(severity)
            evidences.append(evidence)
            rested = refractory <= 0
            refractory = max(refractory - 1, 0)
            if firing:
                if evidence < resolve_below:
                    firing, refractory = False, refractory_rows
                    out.resolves[i] = True
            elif may and rested and evidence >= threshold:
                firing = True
                out.fires[i] = True
            if firing:
                out.firing[i] = True
        out.severity[rows], out.evidence[rows] = severities, evidences
        for name, value in (
            ("tail_mid", mid),
            ("tail_high", high),
            ("tail_excess", excess),
            ("tail_held", alarm_rows),
            ("evidence", evidence),
            ("firing", firing),
            ("refractory", refractory),
        ):
            state[name][key] = value
