"""Joint evidence, group motor neuron and tail of rows, with the bits of `decide_groups`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence import JointEvidence
from ember_core.pipeline.evidence.joint_evidence import SCORES
from ember_core.pipeline.group_decision import ChannelRows
from ember_core.pipeline.group_motor import LN2, NEVER, GroupMotor
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import Tail

from .arrays import contiguous
from .compiler import compiled
from .curves import grid_place
from .elementary import exp32, larger
from .group_motor import FIELDS as MOTOR_FIELDS
from .group_motor import follow_group, group_numbers, motor_numbers
from .joint_evidence import FIELDS as JOINT_FIELDS
from .joint_evidence import follow_joint, joint_curves, joint_numbers
from .tail import FIELDS as TAIL_FIELDS
from .tail import follow_tail, log_scores, tail_numbers

_F = np.float32
_ZERO, _ONE, _NEVER = _F(0.0), _F(1.0), _F(NEVER)
_LEARNED = ("joint_mid", "joint_size", "joint_extreme", "feedback")
"""Fields that no decision changes."""
_NOTHING = np.zeros((0, 1), np.float32)


@compiled
def _prepare(score: Any, size: Any, elapsed: Any, rule: Any, out: Any) -> None:
    """Write all that is a function of a row alone: so many at once are vectors of a processor.

    Args:
        score: Free energies, `(R,)`, float32.
        size: Sums of the sizes of features, `(R,)`, float32.
        elapsed: Usual intervals since the row before, `(R,)`, float32.
        rule: Floors of the tail, of the joint score and of the size; exponents of an interval of
            the anchor's decay and of habituation's.
        out: `(5, R)`, float32, written to: the three logs, the gain of the anchor, and the share
            of habituation that is left.
    """
    log_scores(score, rule[0], out[0])
    log_scores(score, rule[1], out[1])
    log_scores(size, rule[2], out[2])
    for row in range(elapsed.size):
        out[3, row] = _ONE - exp32(_F(rule[3]) * elapsed[row])
        out[4, row] = exp32(elapsed[row] * _F(rule[4]))


@compiled
def follow_groups(
    key: Any, state: Any, columns: Any, groups: Any, rules: Any, curves: Any, outputs: Any
) -> None:
    """Decide rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        state: Arrays of the fields of tail, joint evidence and motor neuron, `(K, ...)`, written
            to.
        columns: Score of each row, `(R,)`, size of the features, usual intervals since the row
            before, weight of learning, and permission to fire.
        groups: Severity of each channel, and severity by which it holds an episode, `(R, C)`;
            confidence and shift, `(R, C + 1)`, or of no rows: all of it, and no shift.
        rules: Numbers of the rows, see `_prepare`; of the tail, of groups and the motor neuron.
        curves: Tables, levels and least severities of the joint scores.
        outputs: `(R,)` each but the first, written to: severity of each group, `(R, C + 1)`;
            severity, evidence, time raised and confidence of the lead, float32; firing, fires,
            resolves and updates, bool; the lead, int64.
    """
    # All arrays are read here: to hand one over to a function of a row costs as much as the row.
    tail_state, joint_state, motor_state = state
    mids, highs, excesses, alarm_rows = tail_state
    anchors, joint_mids, joint_sizes, extremes = joint_state
    evidences, firing, refractory, feedback, calm, paged = motor_state[:6]
    members, habituation, raised, lowered = motor_state[6:]
    score, size, elapsed, learning, may_fire = columns
    channel_severity, channel_hold, confidence, shift = groups
    tables, levels, leasts = curves
    severities, numbers, flags, leads = outputs
    severity_out, evidence_out, raised_out, confidence_out = numbers
    firing_out, fires_out, resolves_out, updates_out = flags
    row_rule, tail_rule, group_rule, motor_rule = rules
    rate, accept_rate, freeze = tail_rule
    level, habituation_limit, accept_after = _F(group_rule[0]), _F(group_rule[1]), _F(group_rule[2])
    return_after, longest = _F(group_rule[3]), _F(group_rule[4])
    on, escalation, margin = _F(motor_rule[0]), _F(motor_rule[1]), _F(motor_rule[2])
    joining_rows, calm_rows, refractory_rows = (
        np.int64(motor_rule[3]),
        np.int64(motor_rule[4]),
        motor_rule[5],
    )
    last = channel_severity.shape[1]
    count, rows = last + 1, key.size
    row_numbers = np.empty((5, rows), np.float32)
    _prepare(score, size, elapsed, row_rule, row_numbers)
    x, hold = np.empty(count, np.float32), np.empty(count, np.float32)
    effective, is_accepted = np.empty(count, np.float32), np.empty(count, np.bool_)
    for row in range(rows):
        k = key[row]
        for g in range(last):
            x[g], hold[g] = channel_severity[row, g], channel_hold[row, g]
        for i in range(SCORES):
            anchors[k, i], statistic = follow_joint(
                anchors[k, i],
                joint_mids[k, i],
                joint_sizes[k, i],
                extremes[k, i],
                row_numbers[1 + i, row],
                row_numbers[3, row],
            )
            severity = leasts[i]
            if statistic > levels[i]:
                point, share = grid_place(statistic)
                lower = tables[i, point]
                severity = larger(lower + share * (tables[i, point + 1] - lower), leasts[i])
            x[last] = severity if i == 0 else larger(x[last], severity)
        hold[last] = x[last]
        if confidence.size:
            for g in range(count):
                share = confidence[row, g]
                x[g] = x[g] * share if x[g] > _ZERO else x[g]
                hold[g] = hold[g] * share if hold[g] > _ZERO else hold[g]
        for g in range(count):
            severities[row, g] = x[g]
        if shift.size:
            for g in range(count):
                x[g] += shift[row, g]
                hold[g] += shift[row, g]

        step = longest if elapsed[row] > longest else elapsed[row]
        for g in range(count):
            habituation[k, g], raised[k, g], lowered[k, g], effective[g], is_accepted[g] = (
                follow_group(
                    habituation[k, g],
                    raised[k, g],
                    lowered[k, g],
                    x[g],
                    step,
                    row_numbers[4, row],
                    g < last,
                    level,
                    habituation_limit,
                    accept_after,
                    return_after,
                )
            )
        lead, evidence = 0, effective[0]
        for g in range(1, count):
            if effective[g] > evidence:
                lead, evidence = g, effective[g]

        threshold = on + feedback[k]
        escalated = threshold + escalation
        is_open, may = firing[k] > 0, may_fire[row]
        fires = not is_open and refractory[k] <= 0 and may and evidence >= threshold
        updates = is_held = False
        if is_open:
            for g in range(count):
                is_held |= hold[g] >= level and not is_accepted[g]
            if may and paged[k] >= joining_rows:
                late, latest = 0, _NEVER
                for g in range(count):
                    if not members[k, g] and effective[g] > latest:
                        late, latest = g, effective[g]
                updates = latest >= escalated
                lead = late if updates else lead
        is_page = fires or updates
        calm_now = calm[k] + 1 if is_open and not (is_held or is_page) else 0
        resolves = is_open and calm_now >= calm_rows
        is_firing = (is_open and not resolves) or fires
        paged_now = paged[k] + 1 if is_firing and not is_page else 0
        for g in range(count):
            is_member = is_open and is_firing and members[k, g] > 0
            is_told = is_firing and paged_now <= joining_rows and effective[g] >= escalated
            is_member = is_member or is_told or (is_page and g == lead)
            members[k, g] = is_member
            if g < last and x[g] >= level and (is_member or resolves):
                habituation[k, g] = larger(habituation[k, g], x[g] - on + margin)
        evidences[k], firing[k] = evidence, is_firing
        refractory[k] = np.int64(refractory_rows) if resolves else max(refractory[k] - 1, 0)
        calm[k], paged[k] = calm_now if is_firing else 0, paged_now

        # The tail stands still in an episode; it decides nothing of it.
        mids[k], highs[k], excesses[k], alarm_rows[k], severity = follow_tail(
            mids[k],
            highs[k],
            excesses[k],
            alarm_rows[k],
            row_numbers[0, row],
            is_open,
            learning[row],
            rate,
            accept_rate,
            freeze,
        )
        if confidence.size:
            severity *= confidence[row, last]
            confidence_out[row] = confidence[row, lead]
        severity_out[row], evidence_out[row] = severity, evidence
        raised_out[row], leads[row] = raised[k, lead], lead
        firing_out[row], fires_out[row] = is_firing, fires
        resolves_out[row], updates_out[row] = resolves, updates


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
        (
            (tail.floor, *joint_numbers(joint), -LN2 / motor.habituation_half_life),
            tail_numbers(tail),
            group_numbers(motor),
            motor_numbers(motor),
        ),
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
