"""A level that changes for good: the commonest reason of an alarm that stays on."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import (
    MotorNeuron,
    Observation,
    PackedRows,
    Tail,
    fit_tail,
    zero_state,
)
from ember_core.pipeline.kernels.table import KERNELS

BEFORE, AFTER, FREEZE = 997, 19_001, 211


@pytest.mark.parametrize("shift", [1.5, 3.0, 6.0])
def test_a_level_shift_is_reported_once_and_in_time_accepted(shift):
    """It fires within a few rows, resolves after some times the tail's patience, and rests."""
    rng = np.random.default_rng(7)
    scores = 2.0 + 0.2 * rng.exponential(size=BEFORE + AFTER)
    tail = Tail(half_life_rows=14 * FREEZE, freeze_rows=FREEZE)
    motor = MotorNeuron(on=4.0, off=1.5, time_constant_rows=0.5, refractory_rows=10)
    state = zero_state((*tail.state_fields(), *motor.state_fields()), 1)
    for name, value in fit_tail(scores[:BEFORE]).items():
        state[name][:] = value
    scores[BEFORE:] += shift
    rows = len(scores)
    seen = Observation(
        PackedRows([1] * rows), may_fire=np.ones(rows, bool), learning=np.zeros(rows, np.float32)
    )
    got = KERNELS["decide"](tail, motor, state, np.exp(scores).astype(np.float32), seen)
    fired, resolved = np.flatnonzero(got.fires), np.flatnonzero(got.resolves)
    first = fired[fired >= BEFORE]
    assert first[0] < BEFORE + 10
    assert len(first) == 1
    (end,) = resolved[resolved > first[0]]
    assert FREEZE < end - first[0] < 3 * FREEZE
