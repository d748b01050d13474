"""Group motor neuron on one row, with the bits of `GroupMotor.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.group_motor import NEVER, GroupMotor

from .compiler import compiled

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


def group_numbers(motor: GroupMotor) -> tuple[float, ...]:
    """Return the numbers by which a group is followed, see `follow_group`."""
    level, step = motor.on - motor.off_below, motor.longest_step
    return level, motor.habituation_most, motor.accept_intervals, motor.return_intervals, step


def motor_numbers(motor: GroupMotor) -> tuple[float, ...]:
    """Return the on-threshold, escalation and margin, and the rows: joining, calm and of rest."""
    rows = motor.joining_rows, motor.calm_rows, motor.refractory_rows
    return motor.on, motor.escalation, motor.margin, *map(float, rows)


@compiled
def follow_group(
    habituation: Any,
    raised: Any,
    lowered: Any,
    x: Any,
    step: Any,
    decay: Any,
    is_channel: Any,
    level: Any,
    habituation_limit: Any,
    accept_after: Any,
    return_after: Any,
) -> Any:
    """Follow a group over a row: its habituation decays, and its times go on.

    Args:
        habituation: Severity that it has grown used to, float32.
        raised: Usual intervals for which it is raised, float32.
        lowered: Usual intervals since it was raised, float32.
        x: Its severity, float32, NaN-free.
        step: Usual intervals that the row counts as, float32.
        decay: Share of habituation that is left, float32.
        is_channel: False for the joint group, which is never accepted.
        level: Severity from which it is raised.
        habituation_limit: Largest habituation of a group that is not raised.
        accept_after: Usual intervals raised after which it is accepted.
        return_after: Usual intervals since then after which it counts again.

    Returns:
        The three fields after the row, its severity less habituation, and whether it is accepted.
    """
    is_raised = x >= level
    share = _ONE if is_raised else _ZERO
    lowered = (lowered + step) * (_ONE - share)
    raised = (raised + step * share) * (_ONE if lowered < return_after else _ZERO)
    is_accepted = is_channel and raised > accept_after
    habituation *= decay
    habituation = (
        habituation_limit if habituation > habituation_limit and not is_raised else habituation
    )
    return habituation, raised, lowered, _NEVER if is_accepted else x - habituation, is_accepted
