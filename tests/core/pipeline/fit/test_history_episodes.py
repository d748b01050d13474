"""Episodes of a history: as the motor neuron draws them, and without its habituation."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import GroupMotor, MotorNeuron, Observation, PackedRows, zero_state
from ember_core.pipeline.fit.history_episodes import (
    ALL,
    evidence_episodes,
    group_episodes,
    outstanding_episodes,
)
from ember_core.pipeline.fit.thresholds import EvidenceTrace

ROWS, GROUPS = 400, 3
PLACES = 1_000 + np.arange(ROWS)


def trace(*raised: tuple[slice, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Severities at rest but for some rows of a group."""
    severity = np.full((ROWS, GROUPS), -1.0, np.float32)
    for rows, group, value in raised:
        severity[rows, group] = value
    return severity, severity.copy(), np.ones(ROWS, np.float32)


def test_an_episode_has_the_rows_on_which_something_went_on() -> None:
    """Without the calm rows that the motor neuron waits for, and with the channel of its begin."""
    rows = trace((slice(100, 110), 1, 2.0), (slice(104, 106), 2, 3.5))
    (episode,) = group_episodes(GroupMotor(GROUPS, 1.5), 7, PLACES, rows)
    assert episode == (7, 1_100, 1_109, 1_104, 3.5, 1)
    (joint,) = group_episodes(GroupMotor(GROUPS, 3.0), 7, PLACES, rows)
    assert (joint.start, joint.lead) == (1_104, ALL)


def test_an_episode_that_goes_on_at_the_end_is_one() -> None:
    rows = trace((slice(390, ROWS), 0, 2.0))
    (episode,) = group_episodes(GroupMotor(GROUPS, 1.5), 0, PLACES, rows)
    assert (episode.start, episode.last) == (1_390, 1_399)


def test_each_of_several_like_faults_is_outstanding() -> None:
    """The motor neuron has grown used to the second."""
    rows = trace((slice(100, 110), 1, 2.0), (slice(200, 210), 1, 2.0))
    motor = GroupMotor(GROUPS, 1.5)
    assert [e.start for e in group_episodes(motor, 0, PLACES, rows)] == [1_100]
    outstanding = list(outstanding_episodes(motor, 0, PLACES, rows))
    assert [(e.start, e.last, e.lead) for e in outstanding] == [
        (1_100, 1_109, 1),
        (1_200, 1_209, 1),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_episodes_of_joint_evidence_are_those_of_its_motor_neuron(seed: int) -> None:
    rng = np.random.default_rng(seed)
    severity = rng.exponential(1.2, ROWS).astype(np.float32)
    motor = MotorNeuron(on=2.0, off=0.6, time_constant_rows=1.0, refractory_rows=5)
    rows = EvidenceTrace.of(severity, 1.0, np.zeros(ROWS, dtype=bool))
    state, fires, resolves = zero_state(motor.state_fields(), 1), [], []
    for t in range(ROWS):
        columns = Observation(PackedRows([1]), may_fire=np.ones(1, dtype=bool))
        state, brings = motor.forward(state, severity[t : t + 1], columns)
        fires += [t] if brings.fires[0] else []
        resolves += [t] if brings.resolves[0] else []
    episodes = list(evidence_episodes(motor, 0, np.arange(ROWS), rows))
    assert len(fires) > 5
    assert [e.start for e in episodes] == fires
    assert [e.last + 1 for e in episodes][: len(resolves)] == resolves


def test_marked_rows_are_in_no_episode() -> None:
    severity = np.zeros(ROWS, np.float32)
    severity[100:120] = 5.0
    marked = np.zeros(ROWS, dtype=bool)
    marked[95:125] = True
    motor = MotorNeuron(on=2.0, off=0.6, time_constant_rows=0.5)
    assert not list(evidence_episodes(motor, 0, PLACES, EvidenceTrace.of(severity, 0.5, marked)))
