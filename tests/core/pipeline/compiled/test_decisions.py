"""Every compiled decision has the bits of the plain one, on rows of any keys and histories."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import (
    GroupMotor,
    MotorNeuron,
    PackedRows,
    Pipeline,
    PipelineConfig,
    Tail,
)
from ember_core.pipeline.compiled.table import DECISIONS
from ember_core.pipeline.evidence.curves import GRID_POINTS
from ember_core.pipeline.group_decision import ChannelRows
from ember_core.pipeline.observation import Decision
from ember_core.pipeline.stage import Role, names_with
from tests.conftest import examples

TAILS = ((0.0, 0), (3.0, 4), (401.0, 4), (41.0, 0))
"""Half-life, and rows after which an alarm is learnt."""


def pipeline(evidence: str, channels: int, tail: int, rng: np.random.Generator) -> Pipeline:
    """Thresholds at which episodes begin, end and are accepted within some rows."""
    names = tuple(f"c{i}" for i in range(channels))
    made = Pipeline(PipelineConfig(channels=names, evidence=evidence))
    half_life, freeze = TAILS[tail]
    made.tail = Tail(-3.0, half_life_rows=half_life, freeze_rows=freeze)
    if evidence == "joint":
        made.motor = MotorNeuron(on=1.2, off=0.9, time_constant_rows=1.5, refractory_rows=2)
        return made
    made.motor = GroupMotor(
        channels + 1,
        1.0,
        refractory_rows=2,
        habituation_half_life=41.0,
        joining_rows=3,
        calm_rows=2,
        accept_intervals=13.0,
        return_intervals=5.0,
    )
    assert made.joint is not None
    steps = rng.exponential(0.1, (2, GRID_POINTS))
    steps[0, :7] = 0.0
    tables = (np.cumsum(steps, axis=1) - 1.5).astype(np.float32)
    made.joint.curves.assign({"tables": tables})
    made.joint.floors = (-3.0, 0.25)
    return made


def state_of(made: Pipeline, keys: int, rng: np.random.Generator) -> dict[str, Any]:
    """Known keys and others, thin tails, and episodes that go on under a new model."""
    decided = names_with(Role.DECIDED, made.state_fields())
    state = {name: made.initial_state(keys)[name] for name in decided}
    state["tail_high"][...] = rng.normal(1.0, 0.5, keys)
    state["tail_mid"][...] = state["tail_high"] - rng.choice([0.001, 1.0, -0.1], keys)
    state["tail_excess"][...] = rng.choice([0.0, 0.3], keys)
    state["tail_held"][...] = rng.integers(0, 9, keys)
    state["feedback"][...] = rng.choice([0.0, 0.25, -1.0], keys)
    state["firing"][...] = rng.integers(0, 2, keys)
    state["refractory"][...] = rng.integers(0, 3, keys)
    if "joint_mid" in state:
        shape = state["joint_mid"].shape
        state["joint_mid"][...] = rng.normal(0.5, 0.5, shape)
        state["joint_size"][...] = rng.choice([0.0, 0.3, 1.0], shape)
        state["joint_extreme"][...] = rng.choice([0.0, 1.5], shape)
        state["joint_anchor"][...] = rng.normal(0.0, 1.0, shape)
        state["joined"][...] = rng.integers(0, 2, state["joined"].shape)
        state["raised"][...] = rng.exponential(5.0, state["raised"].shape)
        state["habituation"][...] = rng.exponential(0.3, state["habituation"].shape)
    return state


def scores(count: int, is_extreme: bool, rng: np.random.Generator) -> Any:
    """Free energies around the floor, with ties; extreme ones are far beyond.

    Visible units are bounded, so that no score is infinite.
    """
    score = np.exp(rng.standard_cauchy(count).clip(-9, 9)).astype(np.float32) - np.float32(3.0)
    score[rng.random(count) < 0.2] = 1.5
    if is_extreme:
        far = np.array([1e30, -1e30, 3.4e38, np.nan], np.float32)
        replaced = rng.random(count) < 0.1
        score[replaced] = rng.choice(far, int(replaced.sum()))
    return score


def decide_rows(
    evidence: str, channels: int, tail: int, keys: int, rows: int, seed: int, **options: bool
) -> tuple[Decision, Decision]:
    """Return the plain decision on random rows, and the compiled one."""
    rng = np.random.default_rng(seed)
    made = pipeline(evidence, channels, tail, rng)
    state = state_of(made, keys, rng)
    packed, _, _ = PackedRows.of(np.r_[np.arange(keys), rng.integers(0, keys, rows)])
    count, groups = packed.row_count, 1 if evidence == "joint" else channels + 1
    severities = rng.normal(0.2, 1.5, (count, channels)).astype(np.float32)
    severities[packed.step % 31 > 19] -= 7.0
    hold = severities - rng.choice([0.0, 1.0], severities.shape).astype(np.float32)
    elapsed = rng.exponential(2.0, count).astype(np.float32)
    elapsed[rng.random(count) < 0.05] = 1e6
    size = rng.exponential(5.0, count).astype(np.float32)
    confidence = rng.choice([0.0, 0.4, 1.0], (count, groups)).astype(np.float32)
    shift = rng.choice([0.0, 0.5], (count, groups)).astype(np.float32)
    arguments = (
        state,
        scores(count, options["is_extreme"], rng),
        rng.random(count) < 0.9,
        (0.05 * (rng.random(count) < 0.2)).astype(np.float32),
        packed,
        None if evidence == "joint" else ChannelRows(severities, hold, elapsed, size),
        confidence if options["has_confidence"] else None,
        shift if options["has_shift"] else None,
    )
    before = {name: value.copy() for name, value in state.items()}
    with np.errstate(all="ignore"):
        plain = made.decide(*arguments)
    made.use_compiled()
    compiled = made.decide(*arguments)
    for name, value in before.items():
        assert state[name].tobytes() == value.tobytes(), name
    return plain, compiled


def assert_same_bits(plain: Decision, compiled: Decision) -> None:
    assert list(compiled.state) == list(plain.state)
    columns = {field.name: getattr(plain, field.name) for field in fields(Decision)}
    pairs = {name: (value, getattr(compiled, name)) for name, value in columns.items()}
    pairs |= {name: (value, compiled.state[name]) for name, value in pairs.pop("state")[0].items()}
    for name, (expected, got) in pairs.items():
        if expected is None:
            assert got is None, name
            continue
        assert got.dtype == expected.dtype, name
        np.testing.assert_array_equal(got, expected, err_msg=name)  # NaN equals NaN
        is_number = expected == expected
        assert got[is_number].tobytes() == expected[is_number].tobytes(), name


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
@settings(max_examples=examples(60), deadline=None)
@given(
    channels=st.sampled_from([1, 3, 5, 19]),
    tail=st.integers(0, len(TAILS) - 1),
    keys=st.sampled_from([1, 2, 7, 41]),
    rows=st.sampled_from([0, 3, 200, 701]),
    seed=st.integers(0, 2**32 - 1),
    is_extreme=st.booleans(),
    has_confidence=st.booleans(),
    has_shift=st.booleans(),
)
def test_a_compiled_decision_has_the_bits_of_the_plain_one(evidence: str, **case: Any) -> None:
    assert_same_bits(*decide_rows(evidence, **case))


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
def test_the_rows_of_these_tests_bring_every_trigger(evidence: str) -> None:
    plain, _ = decide_rows(
        evidence, 5, 1, 7, 701, 2, is_extreme=False, has_confidence=True, has_shift=True
    )
    triggers = [plain.fires, plain.resolves]
    if evidence != "joint":
        triggers.append(plain.updates)
        assert np.unique(plain.lead).size == 6
    assert all(trigger.sum() > 5 for trigger in triggers)


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
def test_arrays_of_another_layout_are_decided_alike(evidence: str) -> None:
    """Slices, and arrays that may only be read."""
    rng = np.random.default_rng(1)
    made = pipeline(evidence, 3, 1, rng)
    state = state_of(made, 7, rng)
    table = np.broadcast_to(np.float32(1.5), (7, 4))
    rows = ChannelRows(table[:, :3], table[:, 1:], table[:, 0], table[:, 0])
    arguments = (table[:, 0], np.ones(14, bool)[::2], table[:, 0] * np.float32(0.01), None)
    channels = None if evidence == "joint" else rows
    shift = table[:, :1] if evidence == "joint" else table
    for value in state.values():
        value.setflags(write=False)
    plain = made.decide(state, *arguments, channels, shift, shift)
    made.use_compiled()
    assert_same_bits(plain, made.decide(state, *arguments, channels, shift, shift))


def test_a_pipeline_runs_plain_again() -> None:
    made = pipeline("joint", 3, 0, np.random.default_rng(1))
    made.use_compiled()
    assert made._compiled_decision is DECISIONS[MotorNeuron]
    made.use_compiled(on=False)
    assert made._compiled_decision is None


def test_every_motor_neuron_has_a_compiled_decision() -> None:
    assert set(DECISIONS) == {MotorNeuron, GroupMotor}
