"""Group motor neuron on one row, with the bits of `GroupMotor.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.group_motor import LN2, NEVER, GroupMotor

from .compiler import compiled
from .elementary import exp32

FIELDS = (
    "evidence",
    "firing",
    "refractory",
    "feedback",
    "calm",
    "paged",
    "joined",
    "habituation",
    "raised",
    "lowered",
)
"""Fields of the stage, in the order in which compiled functions take them."""

_F = np.float32
_ZERO, _ONE, _NEVER = _F(0.0), _F(1.0), _F(NEVER)


def motor_numbers(motor: GroupMotor) -> tuple[float, ...]:
    """Return the numbers of a motor neuron, in the order in which `fire_group` takes them."""
    return (
        motor.on,
        motor.on - motor.off_below,
        float(motor.refractory_rows),
        -LN2 / motor.habituation_half_life,
        motor.margin,
        motor.habituation_most,
        motor.escalation,
        float(motor.joining_rows),
        float(motor.calm_rows),
        motor.accept_intervals,
        motor.longest_step,
        motor.return_intervals,
    )


@compiled
def fire_group(
    state: Any,
    key: Any,
    x: Any,
    hold: Any,
    may_fire: Any,
    elapsed: Any,
    rule: Any,
    effective: Any,
) -> Any:
    """Decide a row, and write the fields of its key after it.

    Args:
        state: Arrays of `FIELDS`, written to: the first six `(K,)`, the others `(K, G)`.
        key: Key of the row.
        x: Severities of its groups, `(G,)`, float32, NaN-free; the last is the joint one.
        hold: Severities by which an episode goes on, `(G,)`, float32.
        may_fire: True where the key may alarm.
        elapsed: Usual intervals since the key's row before, float32.
        rule: Numbers of the motor neuron, see `motor_numbers`.
        effective: Room for the severities of the groups less habituation, `(G,)`.

    Returns:
        Whether an episode begins, ends, and another group joins it late; and the leading group.
    """
    evidences, firing, refractory, feedback, calm, paged = state[:6]
    joined, habituation, raised, lowered = state[6:]
    on, level, margin, most = _F(rule[0]), _F(rule[1]), _F(rule[4]), _F(rule[5])
    joining_rows, calm_rows = np.int64(rule[7]), np.int64(rule[8])
    accept, back = _F(rule[9]), _F(rule[11])
    last = x.size - 1
    step = elapsed if elapsed < _F(rule[10]) or elapsed != elapsed else _F(rule[10])
    decay = exp32(elapsed * _F(rule[3]))
    is_held = False
    for g in range(x.size):
        is_raised = x[g] >= level
        share = _ONE if is_raised else _ZERO
        not_raised = (lowered[key, g] + step) * (_ONE - share)
        time = (raised[key, g] + step * share) * (_ONE if not_raised < back else _ZERO)
        lowered[key, g], raised[key, g] = not_raised, time
        is_accepted = time > accept and g < last
        used_to = habituation[key, g] * decay
        used_to = most if used_to > most and not is_raised else used_to
        habituation[key, g] = used_to
        effective[g] = _NEVER if is_accepted else x[g] - used_to
        is_held |= hold[g] >= level and not is_accepted
    lead = 0
    for g in range(1, x.size):
        lead = g if effective[g] > effective[lead] else lead
    evidence = effective[lead]

    threshold = on + feedback[key]
    escalated = threshold + _F(rule[6])
    is_open = firing[key] > 0
    fires = not is_open and refractory[key] <= 0 and may_fire and evidence >= threshold
    updates = False
    if is_open and may_fire and paged[key] >= joining_rows:
        late, size = 0, _NEVER if joined[key, 0] else effective[0]
        for g in range(1, x.size):
            if not joined[key, g] and effective[g] > size:
                late, size = g, effective[g]
        updates = size >= escalated
        lead = late if updates else lead

    is_page = fires or updates
    calm_now = calm[key] + 1 if is_open and not (is_held or is_page) else 0
    resolves = is_open and calm_now >= calm_rows
    is_firing = (is_open and not resolves) or fires
    paged_now = paged[key] + 1 if is_firing and not is_page else 0
    is_joining = is_firing and paged_now <= joining_rows
    evidences[key], firing[key] = evidence, is_firing
    refractory[key] = np.int64(rule[2]) if resolves else max(refractory[key] - 1, 0)
    calm[key] = calm_now if is_firing else 0
    paged[key] = paged_now
    for g in range(x.size):
        is_member = is_open and is_firing and joined[key, g] > 0
        is_member = is_member or (is_joining and effective[g] >= escalated)
        is_member = is_member or (is_page and g == lead)
        joined[key, g] = is_member
        if g < last and x[g] >= level and (is_member or resolves):
            least = x[g] - on + margin
            habituation[key, g] = least if least > habituation[key, g] else habituation[key, g]
    return fires, resolves, updates, lead
