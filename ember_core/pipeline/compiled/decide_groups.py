"""Joint evidence, group motor neuron and tail of rows, with the bits of `decide_groups`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence import JointEvidence
from ember_core.pipeline.group_decision import ChannelRows
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import Tail

from .arrays import contiguous
from .compiler import compiled
from .group_motor import FIELDS as MOTOR_FIELDS
from .group_motor import fire_group, motor_numbers
from .joint_evidence import FIELDS as JOINT_FIELDS
from .joint_evidence import joint_curves, joint_numbers, joint_severity
from .tail import FIELDS as TAIL_FIELDS
from .tail import tail_after, tail_numbers

_F = np.float32
_ZERO = _F(0.0)
_LEARNED = ("joint_mid", "joint_size", "joint_extreme", "feedback")
"""Fields that no decision changes."""
_NOTHING = np.zeros((0, 1), np.float32)


@compiled
def follow_groups(
    key: Any, state: Any, columns: Any, groups: Any, rules: Any, curves: Any, outputs: Any
) -> None:
    """Decide rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        state: Arrays of the fields of tail, joint evidence and motor neuron, `(K, ...)`, written
            to.
        columns: Of each row, `(R,)`: score, size of the features, usual intervals since the row
            before, weight of learning, and permission to fire.
        groups: Severity of each channel and what holds in it, `(R, C)`; confidence and shift,
            `(R, C + 1)`, or of no rows: all of it, and no shift.
        rules: Numbers of tail, joint evidence and motor neuron.
        curves: Tables, levels and least severities of the joint scores.
        outputs: `(R,)` each but the first, written to: severity of each group, `(R, C + 1)`;
            severity, evidence, time raised and confidence of the lead, float32; firing, fires,
            resolves and updates, bool; the lead, int64.
    """
    tail_state, joint_state, motor_state = state
    firing, raised = motor_state[1], motor_state[8]
    tail_rule, joint_rule, motor_rule = rules
    score, size, elapsed, learning, may_fire = columns
    channel_severity, channel_hold, confidence, shift = groups
    severities, numbers, flags, leads = outputs
    severity_out, evidence_out, raised_out, confidence_out = numbers
    firing_out, fires_out, resolves_out, updates_out = flags
    last = channel_severity.shape[1]
    room = np.empty((3, last + 1), np.float32)
    x, hold, effective = room[0], room[1], room[2]
    for row in range(key.size):
        k = key[row]
        for g in range(last):
            x[g], hold[g] = channel_severity[row, g], channel_hold[row, g]
        x[last] = hold[last] = joint_severity(
            joint_state, k, score[row], size[row], elapsed[row], joint_rule, curves
        )
        if confidence.size:
            for g in range(last + 1):
                share = confidence[row, g]
                x[g] = x[g] * share if x[g] > _ZERO else x[g]
                hold[g] = hold[g] * share if hold[g] > _ZERO else hold[g]
        for g in range(last + 1):
            severities[row, g] = x[g]
        if shift.size:
            for g in range(last + 1):
                x[g] += shift[row, g]
                hold[g] += shift[row, g]
        is_open = firing[k] > 0
        fires, resolves, updates, lead = fire_group(
            motor_state, k, x, hold, may_fire[row], elapsed[row], motor_rule, effective
        )
        # The tail stands still in an episode; it decides nothing of it.
        severity = tail_after(tail_state, k, score[row], is_open, learning[row], tail_rule)
        if confidence.size:
            severity *= confidence[row, last]
            confidence_out[row] = confidence[row, lead]
        severity_out[row], evidence_out[row] = severity, motor_state[0][k]
        raised_out[row], firing_out[row] = raised[k, lead], firing[k] > 0
        fires_out[row], resolves_out[row], updates_out[row] = fires, resolves, updates
        leads[row] = lead


def decide_group_rows(
    tail: Tail,
    joint: JointEvidence,
    motor: GroupMotor,
    state: State,
    score: Any,
    rows: ChannelRows,
    observation: Observation,
) -> Decision:
    """Decide rows as `decide_groups` does.

    Arguments and result as `group_decision.decide_groups` has them.
    """
    fields = (*TAIL_FIELDS, *JOINT_FIELDS, *MOTOR_FIELDS)
    new = {name: state[name] if name in _LEARNED else state[name].copy() for name in fields}
    count, confidence, shift = len(score), observation.confidence, observation.shift
    severities = np.empty((count, motor.n_groups), np.float32)
    severity, evidence, raised, share = np.empty((4, count), np.float32)
    firing, fires, resolves, updates = np.empty((4, count), bool)
    lead = np.empty(count, np.int64)
    follow_groups(
        observation.packed.key,
        (
            tuple([new[name] for name in TAIL_FIELDS]),
            tuple([contiguous(new[name]) for name in JOINT_FIELDS]),
            tuple([contiguous(new[name], new[name].dtype) for name in MOTOR_FIELDS]),
        ),
        (
            contiguous(score),
            contiguous(rows.size),
            contiguous(rows.elapsed),
            contiguous(observation.learning),
            contiguous(observation.may_fire, bool),
        ),
        (
            contiguous(rows.severity),
            contiguous(rows.hold),
            _NOTHING if confidence is None else contiguous(confidence),
            _NOTHING if shift is None else contiguous(shift),
        ),
        (tail_numbers(tail), joint_numbers(joint), motor_numbers(motor)),
        joint_curves(joint),
        (
            severities,
            (severity, evidence, raised, share),
            (firing, fires, resolves, updates),
            lead,
        ),
    )
    return Decision(
        new,
        severity,
        evidence,
        firing,
        fires,
        resolves,
        updates=updates,
        lead=lead,
        severities=severities,
        raised=raised,
        confidence=None if confidence is None else share,
    )
