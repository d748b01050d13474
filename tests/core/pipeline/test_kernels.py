"""Every kernel has the bits of the stages it replaces, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import (
    GroupMotor,
    LiquidNetwork,
    MotorNeuron,
    Observation,
    PackedRows,
    Tail,
    zero_state,
)
from ember_core.pipeline.kernels.table import KERNELS


def decisions(seed, keys, half_life, freeze):
    """Few keys are decided number by number, many as arrays; extremes and thin tails too."""
    tail = Tail(-3.0, half_life_rows=half_life, freeze_rows=freeze)
    motor = MotorNeuron(on=1.2, off=0.9, time_constant_rows=1.5, refractory_rows=2)
    rng = np.random.default_rng(seed)
    packed, _, _ = PackedRows.of(np.r_[np.arange(keys), rng.integers(0, keys, 120)])
    state = zero_state((*tail.state_fields(), *motor.state_fields()), keys)
    state["tail_high"][...] = rng.normal(1.0, 0.5, keys)
    state["tail_mid"][...] = state["tail_high"] - rng.choice([0.001, 1.0, -0.1], keys)
    state["tail_excess"][...] = rng.choice([0.0, 0.3], keys)
    state["feedback"][...] = rng.choice([0.0, 0.25], keys)
    score = np.exp(rng.standard_cauchy(packed.row_count).clip(-9, 9)).astype(np.float32) - 3
    seen = Observation(
        packed,
        may_fire=rng.random(packed.row_count) < 0.9,
        learning=(0.05 * (rng.random(packed.row_count) < 0.2)).astype(np.float32),
    )

    def one_row(state, row):
        columns = Observation(
            PackedRows([1]),
            may_fire=seen.may_fire[row],
            learning=seen.learning[row],
            alarming=state["firing"] > 0,
        )
        tail_state, severity = tail.forward(state, score[row], columns)
        motor_state, firing = motor.forward(state, severity, columns)
        is_open = motor_state["firing"] > 0
        columns = {"severity": severity, "evidence": motor_state["evidence"], "firing": is_open}
        return tail_state | motor_state, columns | firing._asdict()

    decision = KERNELS["decide"](tail, motor, state, score, seen)
    columns = ("severity", "evidence", "firing", "fires", "resolves")
    fast = {name: getattr(decision, name) for name in columns}
    return packed, state, one_row, fast, decision.state


def tails(seed, keys, half_life, freeze):
    """As `decisions`, with episodes that other evidence opens: the tail gets them as a column."""
    packed, state, _, _, _ = decisions(seed, keys, half_life, freeze)
    tail = Tail(-3.0, half_life_rows=half_life, freeze_rows=freeze)
    rng = np.random.default_rng(seed)
    state = {field.name: state[field.name] for field in tail.state_fields()}
    score = np.exp(rng.standard_cauchy(packed.row_count).clip(-9, 9)).astype(np.float32) - 3
    seen = Observation(
        packed,
        alarming=(packed.step // 7) % 2 == 1,
        learning=(0.05 * (rng.random(packed.row_count) < 0.2)).astype(np.float32),
    )

    def one_row(state, row):
        columns = Observation(
            PackedRows([1]), learning=seen.learning[row], alarming=seen.alarming[row]
        )
        state, severity = tail.forward(state, score[row], columns)
        return state, {"severity": severity}

    state_after, severity = KERNELS["tail"](tail, state, score, seen)
    return packed, state, one_row, {"severity": severity}, state_after


def neurons(channels, hidden, start):
    """Cells of one block of terms, where the kernel applies, and of several, where it does not."""
    net = LiquidNetwork(channels, 0, hidden, (1, 3), seed=2)
    rng = np.random.default_rng(1)
    packed, _, _ = PackedRows.of(rng.integers(0, 4, 37))
    state = zero_state(net.state_fields(), packed.key_count)
    state["liquid"][...] = start
    z = rng.standard_normal((packed.row_count, channels)).astype(np.float32)
    elapsed = rng.exponential(1.0, packed.row_count).astype(np.float32)
    rows = 2 + packed.step

    def observe(state, packed, part):
        seen = Observation(packed, rows=rows[part], first=rows[part] == 0)
        seen.z, seen.clock, seen.elapsed = z[part], z[part, :0], elapsed[part]
        state, _ = net.forward(state, z[part], seen)
        return state, {"due": seen.due, "basis": seen.basis}

    applies = (channels, start) == (5, 0.0)
    assert (net.kernel(state["liquid"], packed) is not None) == applies
    state_after, fast = observe(state, packed, slice(None))

    def one_row(state, row):
        return observe(state, PackedRows([1]), row)

    return packed, state, one_row, fast, state_after


def group_decisions(seed, keys, groups):
    """Episodes, late groups and acceptance, all within some rows; unequal numbers of rows a key."""
    motor = GroupMotor(
        groups,
        1.0,
        refractory_rows=2,
        habituation_half_life=40.0,
        joining_rows=3,
        calm_rows=2,
        accept_intervals=12.0,
        return_intervals=4.0,
    )
    rng = np.random.default_rng(seed)
    packed, _, _ = PackedRows.of(np.r_[np.arange(keys), rng.integers(0, keys, 200 * min(keys, 8))])
    state = zero_state(motor.state_fields(), keys)
    state["feedback"][...] = rng.choice([0.0, 0.25, -1.0], keys)
    # Under a new model an episode goes on whose other fields begin anew.
    state["firing"][...] = rng.integers(0, 2, keys)
    severities = rng.normal(0.2, 1.5, (packed.row_count, groups)).astype(np.float32)
    # Rows at rest, long enough that an accepted channel returns.
    severities[packed.step % 110 > 80] -= 7.0
    seen = Observation(
        packed,
        hold=severities - rng.choice([0.0, 1.0], severities.shape).astype(np.float32),
        may_fire=rng.random(packed.row_count) < 0.9,
        elapsed=rng.exponential(2.0, packed.row_count).astype(np.float32),
    )

    def one_row(state, row):
        columns = Observation(
            PackedRows([1]),
            hold=seen.hold[row],
            may_fire=seen.may_fire[row],
            elapsed=seen.elapsed[row],
        )
        state, brings = motor.forward(state, severities[row], columns)
        firing = state["firing"] > 0
        return state, {"evidence": state["evidence"], "firing": firing} | brings._asdict()

    decision = KERNELS["decide_groups"](motor, state, severities, seen)
    fast = {"evidence": decision.evidence, "firing": decision.firing} | decision.brings._asdict()
    assert fast["fires"].any()
    assert fast["resolves"].any()
    assert fast["updates"].any() == (groups > 1)
    return packed, state, one_row, fast, decision.state


TAILS = [
    (seed, keys, half_life, freeze)
    for seed, (keys, half_life, freeze) in enumerate(
        (keys, half_life, freeze)
        for keys in (1, 5, 40)
        for half_life in (0, 3, 400)
        for freeze in (0, 4)
    )
]
CASES = {
    "decide": [(decisions, arguments) for arguments in TAILS],
    "tail": [(tails, arguments) for arguments in TAILS],
    "decide_groups": [
        (group_decisions, (seed, keys, groups))
        for seed, (keys, groups) in enumerate([(1, 4), (5, 1), (5, 9), (40, 4), (90, 2)])
    ],
    "liquid": [(neurons, shape) for shape in ((5, 13, 0.0), (131, 11, 0.0), (5, 13, 1.5))],
}


@pytest.mark.parametrize(
    ("make", "arguments"), [case for name in sorted(KERNELS) for case in CASES[name]]
)
def test_a_kernel_has_the_bits_of_its_stages(make, arguments):
    """State after the rows of each key, and every column of every row."""
    packed, start, one_row, fast, state_after = make(*arguments)
    for key in range(packed.key_count):
        state = {name: value[key : key + 1] for name, value in start.items()}
        for i in np.flatnonzero(packed.key == key).tolist():
            row = slice(i, i + 1)
            state, columns = one_row(state, row)
            for name, value in columns.items():
                assert fast[name][row].tobytes() == value.tobytes(), name
        for name, value in state.items():
            assert state_after[name][key : key + 1].tobytes() == value.tobytes(), name
