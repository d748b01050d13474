"""Motor neuron: leak, hysteresis, refractory rows; and the threshold a budget gives."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import (
    MotorNeuron,
    Observation,
    PackedRows,
    calibrate,
    leaky,
    zero_state,
)


def run(motor, severities, may_fire=True, feedback=0.0):
    """Evidence and mark (1 fires, -1 resolves) of one key."""
    state = zero_state(motor.state_fields(), 1)
    state["feedback"][:] = feedback
    evidence, marks = [], []
    for s in severities:
        seen = Observation(PackedRows([1]), may_fire=np.array([may_fire]))
        state, (fires, resolves) = motor.forward(state, np.array([s], dtype=np.float32), seen)
        evidence.append(float(state["evidence"][0]))
        marks.append(int(fires[0]) - int(resolves[0]))
    return np.array(evidence), np.array(marks)


def test_evidence_is_the_leaky_integral_of_severity():
    """It reaches 1 - 1/e of a step after one time constant."""
    motor = MotorNeuron(on=5.0, off=1.0, time_constant_rows=4.0)
    evidence, _ = run(motor, [2.0] * 12)
    expected = 2.0 * (1.0 - np.exp(-np.arange(1, 13) / 4.0))
    np.testing.assert_allclose(evidence, expected, rtol=1e-5)
    np.testing.assert_allclose(leaky([2.0] * 12, 4.0), expected, rtol=1e-12)


def test_it_fires_at_the_on_threshold_and_resolves_below_the_off_threshold():
    """Between the two it keeps what it had."""
    motor = MotorNeuron(on=4.0, off=1.5, time_constant_rows=2.0, refractory_rows=0)
    severities = [0.0] * 5 + [6.0] * 8 + [2.5] * 30 + [0.0] * 10 + [2.5] * 30 + [6.0] * 8
    evidence, marks = run(motor, severities)
    fired, again = np.flatnonzero(marks == 1)
    (resolved,) = np.flatnonzero(marks == -1)
    assert evidence[fired] >= 4.0 > evidence[fired - 1]
    assert evidence[resolved] < 1.5 <= evidence[resolved - 1]
    assert 5 <= fired < 13 < 43 <= resolved < 53
    assert again >= 83


def test_marks_alternate_whatever_comes():
    rng = np.random.default_rng(0)
    for seed in range(5):
        motor = MotorNeuron(on=3.0, off=2.0, time_constant_rows=1.0, refractory_rows=seed)
        _, marks = run(motor, 8.0 * rng.random(600))
        seen = marks[marks != 0]
        assert len(seen) > 20
        assert (seen == np.where(np.arange(len(seen)) % 2, -1, 1)).all()


@pytest.mark.parametrize("rest", [0, 1, 7])
def test_it_rests_exactly_the_refractory_rows(rest):
    """Full evidence again at once: the next firing comes that many rows later."""
    motor = MotorNeuron(on=4.0, off=3.0, time_constant_rows=0.05, refractory_rows=rest)
    _, marks = run(motor, [12.0, 0.0] + [12.0] * 20)
    assert marks[:2].tolist() == [1, -1]
    assert np.flatnonzero(marks == 1).tolist() == [0, 2 + rest]


def test_it_does_not_fire_while_it_may_not_but_gathers_evidence():
    motor = MotorNeuron()
    evidence, marks = run(motor, [9.0] * 20, may_fire=False)
    assert not marks.any()
    assert evidence[-1] > motor.on


def test_feedback_raises_the_on_threshold():
    motor = MotorNeuron(on=4.0, off=1.5)
    assert run(motor, [5.0] * 40)[1].any()
    assert not run(motor, [5.0] * 40, feedback=1.5)[1].any()


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"on=2.0, off=2.0"):
        MotorNeuron(on=2.0, off=2.0)


def traces(seed=0):
    """Evidence of noise, as many keys as a fleet has."""
    rng = np.random.default_rng(seed)
    return [leaky(-np.log10(1.0 - rng.random(20_000)), 3.0) for _ in range(4)]


def test_a_lower_budget_gives_a_higher_on_threshold():
    """Always above the off-threshold, and within the scale of severities."""
    fit = calibrate(traces(), 10.0)
    budgets = 10.0 ** np.arange(9, -7, -1.0)
    on = [fit.at_budget(b) for b in budgets]
    assert (np.diff(on) >= 0).all()
    assert (np.diff(on) > 0).sum() >= 6
    assert fit.off + 0.5 == on[0]
    assert on[-1] <= 11.0


def test_the_budget_counts_by_time_not_by_rows():
    """A key with ten times the rows a week needs a higher threshold for as many triggers."""
    slow, fast = calibrate(traces(), 100.0), calibrate(traces(), 10.0)
    assert fast.at_budget(5.0) > slow.at_budget(5.0)
    assert fast.at_budget(50.0) == pytest.approx(slow.at_budget(5.0))


def test_noise_fires_about_as_often_as_the_budget_says():
    """Counted on fresh noise of the same kind."""
    fit = calibrate(traces(), 10.0)
    per_row = 1e-3
    on = fit.threshold(per_row)
    fired = rows = 0
    for trace in traces(1):
        above = np.concatenate([[False], trace >= on])
        fired += int((above[1:] & ~above[:-1]).sum())
        rows += len(trace)
    assert per_row / 5 < fired / rows < per_row * 5


def test_a_history_with_hardly_a_peak_still_gives_thresholds():
    fit = calibrate([np.zeros(100)], 10.0)
    assert fit.off < fit.at_budget(1.0) <= 11.0
