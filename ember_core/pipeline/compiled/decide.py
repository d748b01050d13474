"""Tail and motor neuron of rows, with the bits of `Tail.forward` and `MotorNeuron.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import Tail

from .arrays import contiguous
from .compiler import compiled
from .tail import FIELDS, follow_tail, log_scores, tail_numbers

_F = np.float32
_ZERO = _F(0.0)
_MOTOR = ("evidence", "firing", "refractory", "feedback")
_NOTHING = np.zeros((0, 1), np.float32)


@compiled
def follow_decisions(
    key: Any,
    tail_state: Any,
    motor_state: Any,
    columns: Any,
    floor: Any,
    tail_rule: Any,
    motor_rule: Any,
    outputs: Any,
) -> None:
    """Decide rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        tail_state: Arrays of the tail's fields, `(K,)` each, written to.
        motor_state: Evidence, firing, refractory and feedback, `(K,)` each, written to.
        columns: Score, permission to fire and weight of learning of each row, `(R,)`; confidence
            and shift, `(R, 1)`, or of no rows: all of it, and no shift.
        floor: Constant taken off the score before its log.
        tail_rule: Numbers of the tail.
        motor_rule: The on-threshold, off-threshold, leak, and rows of rest.
        outputs: Severity and evidence, float32; firing, fires and resolves, bool; `(R,)` each,
            written to.
    """
    score, may_fire, learning, confidence, shift = columns
    # Functions of a row take numbers: to hand an array over costs as much as the row.
    mids, highs, excesses, alarm_rows = tail_state
    evidences, firing, refractory, feedback = motor_state
    severity_out, evidence_out, firing_out, fires_out, resolves_out = outputs
    on, off, leak = _F(motor_rule[0]), _F(motor_rule[1]), _F(motor_rule[2])
    refractory_rows = np.int64(motor_rule[3])
    rate, accept_rate, freeze = tail_rule
    logs = np.empty(score.size, np.float32)
    log_scores(score, floor, logs)
    for row in range(key.size):
        k = key[row]
        is_open = firing[k] > 0
        mids[k], highs[k], excesses[k], alarm_rows[k], severity = follow_tail(
            mids[k],
            highs[k],
            excesses[k],
            alarm_rows[k],
            logs[row],
            is_open,
            learning[row],
            rate,
            accept_rate,
            freeze,
        )
        if confidence.size:
            severity *= confidence[row, 0]
        evidence = evidences[k] + leak * (severity - evidences[k])
        threshold = on + feedback[k]
        if shift.size:
            threshold -= shift[row, 0]
        fires = not is_open and refractory[k] <= 0 and may_fire[row] and evidence >= threshold
        resolves = is_open and evidence < off
        is_firing = (is_open and not resolves) or fires
        evidences[k], firing[k] = evidence, is_firing
        refractory[k] = refractory_rows if resolves else max(refractory[k] - 1, 0)
        severity_out[row], evidence_out[row] = severity, evidence
        firing_out[row], fires_out[row], resolves_out[row] = is_firing, fires, resolves


def decide_rows(
    tail: Tail,
    joint: None,
    motor: MotorNeuron,
    state: State,
    score: Any,
    rows: None,
    observation: Observation,
) -> Decision:
    """Decide rows as `Pipeline.decide` does without channel evidence.

    Args:
        tail: The tail.
        joint: Nothing: there is no evidence of channels.
        motor: The motor neuron.
        state: Fields of both before each key's first row, `(K, ...)`.
        score: Free energies, `(R,)`.
        rows: Nothing.
        observation: Columns of the rows: `may_fire`, the weights `learning`, `confidence` and
            `shift`.

    Returns:
        The decision on every row; its state holds each key's fields after its last row.
    """
    new = {name: state[name].copy() for name in (*FIELDS, *_MOTOR[:-1])}
    new["feedback"] = state["feedback"]
    count, confidence, shift = len(score), observation.confidence, observation.shift
    severity, evidence = np.empty(count, np.float32), np.empty(count, np.float32)
    firing, fires, resolves = np.empty((3, count), bool)
    follow_decisions(
        observation.packed.key,
        tuple([new[name] for name in FIELDS]),
        (*(new[name] for name in _MOTOR[:-1]), contiguous(new["feedback"])),
        (
            contiguous(score),
            contiguous(observation.may_fire, bool),
            contiguous(observation.learning),
            _NOTHING if confidence is None else contiguous(confidence),
            _NOTHING if shift is None else contiguous(shift),
        ),
        tail.floor,
        tail_numbers(tail),
        (motor.on, motor.off, motor.leak, float(motor.refractory_rows)),
        (severity, evidence, firing, fires, resolves),
    )
    share = None if confidence is None else confidence[:, 0]
    return Decision(new, severity, evidence, firing, fires, resolves, confidence=share)
