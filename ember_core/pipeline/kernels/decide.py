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
from ember_core.pipeline.tail import Tail

from .tail import FEW, tail_of_key


def decide_packed(
    tail: Tail, motor: MotorNeuron, state: State, score: Any, observation: Observation
) -> Decision:
    """Decide several rows of keys, in order.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of both before each key's first row, `(K, ...)`.
        score: Free energies, `(R,)`, float32.
        observation: Columns of the rows: `may_fire`, the weights `learning`, `confidence` and
            `shift`.

    Returns:
        The decision on every row; its state holds each key's fields after its last row.
    """
    packed, fields = observation.packed, (*tail.state_fields(), *motor.state_fields())
    current = {field.name: state[field.name].copy() for field in fields}
    numbers = (np.empty(packed.row_count, np.float32) for _ in range(2))
    out = Decision(current, *numbers, *(np.zeros(packed.row_count, bool) for _ in range(3)))
    step = 0
    for start, n in packed.spans():
        if n < FEW:
            break
        part = slice(start, start + n)
        step_state = {name: value[:n] for name, value in current.items()}
        columns = Observation(
            PackedRows([n]),
            alarming=step_state["firing"] > 0,
            learning=observation.learning[part],
            may_fire=observation.may_fire[part],
            shift=None if observation.shift is None else observation.shift[part],
        )
        tail_state, severity = tail.forward(step_state, score[part], columns)
        if observation.confidence is not None:
            severity = severity * observation.confidence[part, 0]
        motor_state, firing = motor.forward(step_state, severity, columns)
        out.fires[part], out.resolves[part] = firing
        out.severity[part], out.evidence[part] = severity, motor_state["evidence"]
        out.firing[part] = motor_state["firing"] > 0
        for name, value in (tail_state | motor_state).items():
            current[name][:n] = value
        step += 1
    logs, confidence = tail.log_score(score), observation.confidence
    if confidence is None:
        confidence = np.ones((packed.row_count, 1), np.float32)
    shift = observation.shift
    if shift is None:
        shift = np.zeros((packed.row_count, 1), np.float32)
    for key, rows in packed.left(step):
        learning, may_fire = observation.learning[rows], observation.may_fire[rows]
        columns_of_rows = logs[rows], learning, may_fire, confidence[rows, 0], shift[rows, 0]
        _decide_key(tail, motor, current, key, rows, columns_of_rows, out)
    return out


_F = np.float32


def _decide_key(
    tail: Tail,
    motor: MotorNeuron,
    state: State,
    key: int,
    rows: Any,
    columns: tuple[Any, Any, Any, Any, Any],
    out: Decision,
) -> None:
    """Decide the rows of a key, in order, number by number.

    Args:
        tail: The tail.
        motor: The motor neuron.
        state: Fields of all keys, written back to.
        key: Index of the key.
        rows: Indices of the rows, in order.
        columns: Log score, weight of learning, permission to fire, confidence and shift of these
            rows.
        out: Decision, written to.
    """
    follow, fields = tail_of_key(tail, state, key)
    evidence = state["evidence"][key]
    firing, refractory = bool(state["firing"][key]), int(state["refractory"][key])
    threshold, resolve_below = _F(_F(motor.on) + state["feedback"][key]), _F(motor.off)
    leak, refractory_rows = _F(motor.leak), motor.refractory_rows
    severities, evidences = [], []
    logs, learning, may_fire, *of_rules = columns
    by_row = zip(rows.tolist(), logs, learning, may_fire.tolist(), *of_rules, strict=True)
    for i, x, weight, may, share, lower in by_row:
        severity = follow(x, weight, firing) * share
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
        elif may and rested and evidence >= threshold - lower:
            firing = True
            out.fires[i] = True
        if firing:
            out.firing[i] = True
    out.severity[rows], out.evidence[rows] = severities, evidences
    motor_fields = {"evidence": evidence, "firing": firing, "refractory": refractory}
    for name, value in (fields() | motor_fields).items():
        state[name][key] = value
