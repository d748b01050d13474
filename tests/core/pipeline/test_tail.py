"""Tail: one scale of improbability for every key."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Observation, PackedRows, Tail, fit_tail, zero_state

FIELDS = ("tail_mid", "tail_high", "tail_excess")


def state_of(fitted, batch):
    state = zero_state(Tail().state_fields(), batch)
    for name, value in fitted.items():
        state[name][...] = value
    return state


def severity(fitted, logs):
    logs = np.asarray(logs, dtype=np.float32)
    return Tail().severity(state_of(fitted, logs.size), logs)


def test_the_probability_is_uniform_on_exponential_scores():
    """Of any level and size: as many rows fall below p as p says, down to one in 10,000."""
    rng = np.random.default_rng(0)
    for level, size in ((0.0, 1.0), (-7.0, 0.3), (40.0, 5.0)):
        fitted = fit_tail(level + size * rng.exponential(size=100_000))
        fresh = level + size * rng.exponential(size=200_000)
        p = 10.0 ** -severity(fitted, fresh).astype(np.float64)
        for q, within in ((0.5, 0.02), (0.2, 0.05), (0.05, 0.1), (0.01, 0.1), (1e-3, 0.25)):
            assert (p <= q).mean() == pytest.approx(q, rel=within)
        assert 0.3e-4 < (p <= 1e-4).mean() < 3e-4


def test_severity_grows_with_the_score_from_0_to_12():
    logs = np.linspace(-50, 50, 4001)
    s = severity(fit_tail(np.random.default_rng(1).exponential(size=5000)), logs)
    assert s.dtype == np.float32
    assert (np.diff(s) >= 0).all()
    assert (s[0], s[-1]) == (0.0, 12.0)
    assert (np.diff(s)[(s[1:] > 0) & (s[1:] < 12)] > 0).all()


def test_it_has_no_step_at_the_quantile_and_is_half_at_the_median():
    fitted = {"tail_mid": 1.0, "tail_high": 3.0, "tail_excess": 0.5}
    at = severity(fitted, [1.0, 3.0 - 1e-5, 3.0 + 1e-5, 3.5])
    np.testing.assert_allclose(
        10.0 ** -at.astype(float), [0.5, 0.02, 0.02, 0.02 * np.exp(-1)], rtol=1e-3
    )


def test_a_few_faults_in_the_training_data_do_not_raise_the_tail_much():
    """One in 500 rows far out: the mean excess comes from the lower part of the excesses."""
    clean = np.random.default_rng(2).exponential(size=10_000)
    spoilt = clean.copy()
    spoilt[::500] = 60.0
    a, b = fit_tail(clean), fit_tail(spoilt)
    assert b["tail_high"] == pytest.approx(a["tail_high"], rel=0.1)
    assert b["tail_excess"] < 2.0 * a["tail_excess"]


@pytest.mark.parametrize("logs", [[1.0], [2.0] * 50, [0.0] * 99 + [5.0]])
def test_scores_that_hardly_vary_give_a_finite_tail(logs):
    fitted = fit_tail(logs)
    assert all(np.isfinite(v) for v in fitted.values())
    assert fitted["tail_excess"] > 0
    assert np.isfinite(severity(fitted, [-1e3, 1.0, 1e3])).all()


def test_the_running_tail_finds_the_quantiles_of_what_it_sees():
    """From a wrong start, many keys at once."""
    rng = np.random.default_rng(3)
    tail, state = Tail(), state_of({"tail_mid": 3.0, "tail_high": 5.0, "tail_excess": 1.0}, 64)
    for t in range(6000):
        weight = np.full(64, max(0.005, 1.0 / (25 + t)), dtype=np.float32)
        row = (2.0 + rng.exponential(size=64)).astype(np.float32)
        state = tail.learn(state, row, weight) | {"tail_held": state["tail_held"]}
    mean = {n: float(state[n].mean()) for n in FIELDS}
    assert mean["tail_mid"] == pytest.approx(2.0 + np.log(2.0), abs=0.1)
    assert mean["tail_high"] == pytest.approx(2.0 + np.log(50.0), abs=0.6)
    assert mean["tail_excess"] == pytest.approx(1.0, abs=0.35)
    assert (state["tail_mid"] <= state["tail_high"]).all()


def step(tail, state, *, alarming, log_score=1.0, learning=0.0):
    score = np.full(1, np.exp(log_score), dtype=np.float32)
    seen = Observation(
        PackedRows([1]),
        alarming=np.array([alarming]),
        learning=np.full(1, learning, dtype=np.float32),
    )
    return tail.forward(state, score, seen)


def moved(a, b):
    return any((a[n] != b[n]).any() for n in FIELDS)


BASE = {"tail_mid": 1.0, "tail_high": 2.0, "tail_excess": 0.4}


def test_without_a_half_life_a_known_key_never_adapts():
    """The default: faults cannot be learnt as normal."""
    state = state_of(BASE, 1)
    for alarming in (False, True, False):
        new, _ = step(Tail(), state, alarming=alarming, log_score=2.6)
        assert not moved(new, state)
        state = new


def test_warming_rows_are_learnt_without_a_half_life():
    state = state_of(BASE, 1)
    new, _ = step(Tail(), state, alarming=False, learning=0.04)
    assert moved(new, state)


def test_with_a_half_life_it_adapts_but_not_while_an_alarm_is_young():
    """It stands still in an alarm and learns again after `freeze_rows`, for some rows beyond it."""
    tail = Tail(half_life_rows=100.0, freeze_rows=3)
    state = state_of(BASE, 1)
    seen = []
    for alarming in (False, True, True, True, True, True, False, False, False, True):
        new, _ = step(tail, state, alarming=alarming)
        seen.append(moved(new, state))
        state = new
    assert seen == [True, False, False, False, True, True, True, True, True, False]


def test_a_new_level_is_learnt_faster_than_a_drift():
    """With the half-life of `freeze_rows`, until it was counted down again."""
    tail = Tail(half_life_rows=1000.0, freeze_rows=10)
    quiet, old = ({**state_of(BASE, 1), "tail_held": np.array([n], np.int32)} for n in (0, 13))
    steps = [
        float(abs(step(tail, state, alarming=alarming)[0]["tail_mid"][0] - BASE["tail_mid"]))
        for state, alarming in ((quiet, False), (old, True), (old, False))
    ]
    assert steps[1] == steps[2]
    assert steps[1] / steps[0] == pytest.approx(tail.accept_rate / tail.rate, rel=1e-3)
    assert tail.accept_rate == pytest.approx(1.0 - 0.5 ** (1 / 10))


def test_without_freeze_rows_an_alarm_holds_it_for_good():
    tail, state = Tail(half_life_rows=100.0), state_of(BASE, 1)
    for _ in range(50):
        new, _ = step(tail, state, alarming=True)
        assert not moved(new, state)
        state = new
    new, _ = step(tail, state, alarming=False)
    assert moved(new, state)


def test_a_row_is_judged_before_it_is_learnt():
    """The same severity whether or not it then moves the tail."""
    state = state_of(BASE, 1)
    _, frozen = step(Tail(), state, alarming=False, log_score=2.5)
    _, learnt = step(Tail(half_life_rows=2.0), state, alarming=False, log_score=2.5)
    assert frozen == learnt


def test_scores_below_the_floor_have_a_logarithm():
    tail = Tail(floor=-4.0)
    logs = tail.log_score(np.array([-1e6, -4.0, -3.0, 1e6], dtype=np.float32))
    assert np.isfinite(logs).all()
    assert (np.diff(logs) >= 0).all()
    assert logs[2] == 0.0
    assert Tail(**tail.get_config()).get_config() == tail.get_config()
