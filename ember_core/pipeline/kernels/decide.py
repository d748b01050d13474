"""Tail and motor neuron over several rows a key.

What a row decides depends on the row before it by a handful of numbers. While many keys have a row
in a turn they go together; the rows that few keys have left are decided number by number, where an
array's overhead would be most of the work. Both are the operations of `Tail.forward` and
`MotorNeuron.forward` on float32 in their order, and give their bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import HALF, LN10, MAX_SEVERITY, MIN_EXCESS, QUANTILE, TOP, Tail

_FEW = 16  # keys in a turn from which an array's operations are cheaper than numbers


class Decided(NamedTuple):
    """Fields after each key's last row, `(K, ...)`, and of every row, `(R,)`, what it came to."""

    state: State
    severity: Any
    evidence: Any
    firing: Any
    fires: Any
    resolves: Any


def decide_packed(
    tail: Tail,
    motor: MotorNeuron,
    state: State,
    score: Any,
    may_fire: Any,
    learning: Any,
    packed: PackedRows,
) -> Decided:
    """Decide rows of keys in turn.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of both before each key's first row, `(K, ...)`.
        score: Free energies, `(R,)`, float32.
        may_fire: `(R,)`.
        learning: `(R,)`, float32.
        packed: Which key each row is of.
    """
    fields = (*tail.state_fields(), *motor.state_fields())
    after = {field.name: state[field.name].copy() for field in fields}
    numbers = (np.empty(packed.rows, np.float32) for _ in range(2))
    out = Decided(after, *numbers, *(np.zeros(packed.rows, bool) for _ in range(3)))
    turn = 0
    for begin, n in packed.spans():
        if n < _FEW:
            break
        part = slice(begin, begin + n)
        before = {name: value[:n] for name, value in after.items()}
        learnt, severity = tail(before, score[part], before["firing"] > 0, learning[part])
        moved, out.fires[part], out.resolves[part] = motor(before, severity, may_fire[part])
        out.severity[part], out.evidence[part] = severity, moved["evidence"]
        out.firing[part] = moved["firing"] > 0
        for name, value in (learnt | moved).items():
            after[name][:n] = value
        turn += 1
    if turn < len(packed.sizes):
        begins = np.asarray(packed.starts[turn:])
        sizes = np.asarray(packed.sizes[turn:])
        columns = tail.log_score(score), may_fire, learning
        for key in range(packed.sizes[turn]):
            at = begins[: int(np.count_nonzero(sizes > key))] + key
            _OneKey(tail, motor, after, key).run(at, columns, out)
    return out


_F = np.float32
_ZERO, _ONE, _HALF_SHARE = _F(0.0), _F(1.0), _F(0.5)
_RARE = _F(1.0 - QUANTILE)
_MIN_EXCESS, _MAX_SEVERITY = _F(MIN_EXCESS), _F(MAX_SEVERITY)
_TOP, _LN10, _MEDIAN, _RANGE = _F(TOP), _F(LN10), _F(HALF), _F(TOP - HALF)


class _OneKey:
    """A key's fields as numbers, while its rows are decided.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of all keys, written back to.
        key: Which key.
    """

    def __init__(self, tail: Tail, motor: MotorNeuron, state: State, key: int) -> None:
        self._tail, self._motor, self._state, self._key = tail, motor, state, key

    def run(self, at: Any, columns: tuple[Any, Any, Any], out: Decided) -> None:
        """Decide the key's rows `at`, in order."""
        state, key = self._state, self._key
        mid, high, excess = (state[n][key] for n in ("tail_mid", "tail_high", "tail_excess"))
        held, evidence = int(state["tail_held"][key]), state["evidence"][key]
        firing, refractory = bool(state["firing"][key]), int(state["refractory"][key])
        on, off = _F(_F(self._motor.on) + state["feedback"][key]), _F(self._motor.off)
        leak, rest = _F(self._motor.leak), self._motor.refractory_rows
        rate, new_rate = _F(self._tail.rate), _F(self._tail.accept_rate)
        freeze = self._tail.freeze_rows
        severities, evidences = [], []
        logs, may_fire, learning = columns
        rows = zip(
            at.tolist(), list(logs[at]), may_fire[at].tolist(), list(learning[at]), strict=True
        )
        for i, x, may, weight in rows:
            # Tail.severity
            above = x - high
            if above > _ZERO:
                surprise = _TOP + above / (excess if excess > _MIN_EXCESS else _MIN_EXCESS)
            else:
                width = high - mid
                below = _RANGE * (x - mid)
                surprise = _MEDIAN + below / (width if width > _MIN_EXCESS else _MIN_EXCESS)
            severity = surprise / _LN10
            severity = _ZERO if severity < _ZERO else severity
            severity = _MAX_SEVERITY if severity > _MAX_SEVERITY else severity
            # Tail.forward
            if firing:
                held += 1
            else:
                held = held - 1 if 0 < freeze < held - 1 else 0
            follow = rate if held == 0 else new_rate if held > freeze else _ZERO
            if weight < follow:
                weight = follow
            if weight > _ZERO:  # Tail.learn
                over = x > high
                spread = high - mid
                spread = spread if spread > _MIN_EXCESS else _MIN_EXCESS
                density = _RARE / (excess if excess > _MIN_EXCESS else _MIN_EXCESS)
                raised = high + weight * ((_ONE if over else _ZERO) - _RARE) / density
                moved = mid + weight * (_HALF_SHARE if x > mid else -_HALF_SHARE) * spread
                if over:
                    heavier = weight / _RARE
                    heavier = heavier if heavier < _HALF_SHARE else _HALF_SHARE
                    excess = excess + heavier * (x - high - excess)
                high = raised
                mid = moved if moved < raised else raised
            elif high < mid:
                mid = high
            if above > _ZERO and excess < _MIN_EXCESS:
                excess = _MIN_EXCESS
            # MotorNeuron.forward
            evidence = evidence + leak * (severity - evidence)
            severities.append(severity)
            evidences.append(evidence)
            rested = refractory <= 0
            refractory = max(refractory - 1, 0)
            if firing:
                if evidence < off:
                    firing, refractory = False, rest
                    out.resolves[i] = True
            elif may and rested and evidence >= on:
                firing = True
                out.fires[i] = True
            if firing:
                out.firing[i] = True
        out.severity[at], out.evidence[at] = severities, evidences
        for name, value in (
            ("tail_mid", mid),
            ("tail_high", high),
            ("tail_excess", excess),
            ("tail_held", held),
            ("evidence", evidence),
            ("firing", firing),
            ("refractory", refractory),
        ):
            state[name][key] = value
