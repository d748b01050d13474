"""Learning rates over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[int], float]
"""Value of a step, counted from 0: a learning rate or a momentum."""


def as_schedule(rate: float | Schedule) -> Schedule:
    """A fixed rate as a schedule; a schedule as it is.

    Raises:
        ValueError: If a fixed rate is not positive and finite.
    """
    return rate if callable(rate) else constant(rate)


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    check_rate(rate)
    return lambda step: rate


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Lower the rate from `rate` along half a cosine wave to `final` at step `steps`, then keep it.

    Examples:
        >>> from ember_core.training import cosine
        >>> [round(cosine(0.1, 4)(step), 3) for step in (0, 2, 4, 9)]
        [0.1, 0.05, 0.0, 0.0]
    """
    check_rate(rate)
    _check_steps(steps)
    return lambda step: (
        final + (rate - final) * 0.5 * (1.0 + math.cos(math.pi * min(step, steps) / steps))
    )


def exponential(rate: float, steps: int, factor: float) -> Schedule:
    """`rate` times `factor` for every `steps` steps, smoothly."""
    check_rate(rate)
    _check_steps(steps)
    return lambda step: rate * factor ** (step / steps)


def stepwise(rate: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """`rate`, times `factor` from each of the steps `milestones` on.

    Examples:
        >>> from ember_core.training import stepwise
        >>> [round(stepwise(0.1, [3, 5])(step), 4) for step in (0, 2, 3, 5)]
        [0.1, 0.1, 0.01, 0.001]
    """
    check_rate(rate)
    passed = sorted(milestones)
    return lambda step: rate * factor ** sum(step >= milestone for milestone in passed)


def warmup(schedule: float | Schedule, steps: int) -> Schedule:
    """A schedule (or a fixed rate) reached in a straight line over the first `steps` steps."""
    _check_steps(steps)
    inner = as_schedule(schedule)
    return lambda step: inner(step) * min(1.0, (step + 1) / steps)


def check_rate(rate: float) -> None:
    """Refuse a learning rate that is none.

    Raises:
        ValueError: If it is not positive and finite.
    """
    if not 0.0 < rate < math.inf:
        raise ValueError(
            "The learning rate is out of range. Expected a positive number. "
            f"Received: learning_rate={rate}."
        )


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"A schedule needs steps. Expected steps >= 1. Received: steps={steps}.")
