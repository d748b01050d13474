"""Pages of a history by on-threshold, and the threshold of a budget."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ember_core import ops
from ember_core.pipeline import GroupMotor, Observation, PackedRows, SeverityCurves, zero_state
from ember_core.pipeline.fit.budgets import LEVEL_STEP, PageRates, pages_by_level
from ember_core.pipeline.fit.currency import fit_tables
from ember_core.pipeline.page_rates import CAUTION, COMMON_PAGES

DAY = 1440
GROUPS = 3


def make_motor(on):
    return GroupMotor(
        GROUPS,
        on,
        accept_intervals=120.0,
        return_intervals=30.0,
        habituation_half_life=1000.0,
        joining_rows=10,
    )


def history(keys, days, seed=0, bursts_per_day=6):
    """Noise with bursts of some rows, of exponential severity, and a level shift of a group."""
    traces = []
    for key in range(keys):
        rng = np.random.default_rng((seed, key))
        severity = rng.normal(-1.5, 0.3, (int(days * DAY), GROUPS))
        for _ in range(rng.poisson(bursts_per_day * days)):
            row, group, size = rng.integers(len(severity)), rng.integers(GROUPS), rng.integers(1, 9)
            severity[row : row + size, group] = min(rng.exponential(0.45) - 0.5, 1.3)
        shift = rng.integers(len(severity) // 2)
        severity[shift : shift + 250, 0] = 1.5 * rng.random()
        hold = severity - rng.choice([0.0, 0.5], severity.shape)
        elapsed = rng.choice([1.0, 3.0, 40.0], len(severity), p=[0.97, 0.02, 0.01])
        traces.append((severity.astype(np.float32), hold.astype(np.float32), elapsed))
    return traces


def plain_pages(traces, level):
    """Pages at one level, by every row; all keys have as many."""
    motor, pages = make_motor(level), 0
    state = zero_state(motor.state_fields(), len(traces))
    packed, may_fire = PackedRows([len(traces)]), np.ones(len(traces), dtype=bool)
    severity, hold, elapsed = (np.stack(column, axis=1) for column in zip(*traces, strict=True))
    for x, h, dt in zip(severity, hold, elapsed.astype(np.float32), strict=True):
        columns = Observation(packed, hold=h, elapsed=dt, may_fire=may_fire)
        state, brings = motor.forward(state, x, columns)
        pages += int(brings.fires.sum()) + int(brings.updates.sum())
    return pages


def test_the_pages_of_a_level_are_those_of_the_motor_neuron_at_it():
    """Rows that change nothing are left out, and all levels run at once."""
    traces = history(30, 0.2, seed=1, bursts_per_day=40)
    rates = pages_by_level(make_motor, traces, days=6.0)
    plain = np.array([plain_pages(traces, level) for level in rates.levels])
    assert plain.max() > 20
    # The rates never rise.
    expected = np.maximum.accumulate(plain[::-1])[::-1]
    np.testing.assert_allclose(rates.pages_per_key_day * 6.0, expected)


def test_the_rate_falls_with_the_level_to_nothing():
    rates = pages_by_level(make_motor, history(4, 3), days=12.0)
    assert (np.diff(rates.pages_per_key_day) <= 0.0).all()
    assert rates.pages_per_key_day[0] > 1.0
    assert rates.pages_per_key_day[-1] == 0.0
    np.testing.assert_allclose(np.diff(rates.levels), LEVEL_STEP)


@pytest.mark.parametrize("budget", [1.0, 0.3])
def test_a_fresh_history_pages_about_as_often_as_the_budget_says(budget):
    level = pages_by_level(make_motor, history(10, 8, seed=2), days=80.0).level(budget)
    fresh = pages_by_level(make_motor, history(10, 8, seed=3), days=80.0)
    rate = np.interp(level, fresh.levels, fresh.pages_per_key_day)
    assert budget / 2.5 < rate < budget * 2.5


def exponential(pages=400, slope=0.5, days=200.0):
    """One page less for each level, as far as the last page."""
    levels = np.arange(0.0, 1.5, LEVEL_STEP)
    return PageRates(
        levels, np.floor(pages * 10.0 ** (-levels / slope)) / days, days, reachable=3.0
    )


def as_counted(level):
    """The level by the history's count alone: rarer pages are taken with caution."""
    common = exponential().level(COMMON_PAGES)
    return common + (level - common) / CAUTION if level > common else level


def test_the_lowest_level_within_the_budget_is_chosen():
    rates = exponential()
    for budget in (1.0, 0.2, 0.05):
        level = as_counted(rates.level(budget))
        at = int(np.argmin(np.abs(rates.levels - level)))
        assert rates.pages_per_key_day[at] <= budget < rates.pages_per_key_day[at - 1]


def test_a_smaller_budget_than_the_history_shows_goes_on_along_the_slope():
    rates = exponential()
    for budget in (1e-2, 1e-3, 1e-5):
        level = as_counted(rates.level(budget))
        assert level == pytest.approx(0.5 * np.log10(2.0 / budget), abs=0.1)
    budgets = 10.0 ** np.linspace(1.0, -7.0, 200)
    assert (np.diff([rates.level(b) for b in budgets]) >= -LEVEL_STEP).all()


def test_the_slope_is_bounded_where_the_history_has_hardly_a_page():
    for pages in ([0.0] * 20, [1.0] * 20, [9.0] * 10 + [0.0] * 10):
        rates = PageRates(LEVEL_STEP * np.arange(20.0), np.array(pages) / 10.0, 10.0)
        near, far = rates.level(1e-4), rates.level(1e-5)
        assert 0.3 * CAUTION <= far - near <= 2.0 * CAUTION


def test_pages_to_expect_are_those_of_the_budget():
    rates = exponential()
    for budget in (1.0, 0.2, 0.05, 1e-3):
        assert rates.pages_at(rates.level(budget)) == pytest.approx(budget, rel=0.3)


def test_a_budget_that_no_evidence_reaches_is_told():
    rates = exponential()
    assert rates.is_reachable(0.01)
    assert not rates.is_reachable(1e-9)


def test_the_rates_are_kept_as_json():
    rates = exponential()
    again = PageRates.from_json(json.loads(json.dumps(rates.to_json())))
    np.testing.assert_allclose(again.levels, rates.levels)
    np.testing.assert_array_equal(again.pages_per_key_day, rates.pages_per_key_day)
    assert (again.days, again.reachable) == (rates.days, rates.reachable)
    endless = PageRates(rates.levels, rates.pages_per_key_day, 1.0)
    assert PageRates.from_json(endless.to_json()).reachable == np.inf


def test_a_key_without_rows_changes_nothing():
    traces = history(2, 0.4)
    empty = tuple(column[:0] for column in traces[0])
    rates = [
        pages_by_level(make_motor, t, days=0.8) for t in (traces, [traces[0], empty, traces[1]])
    ]
    assert rates[0].to_json() == rates[1].to_json()
    assert not pages_by_level(make_motor, [empty], days=1.0).pages_per_key_day.any()


def test_a_history_without_a_peak_still_gives_a_level():
    quiet = [(np.full((50, GROUPS), -1.0, np.float32),) * 2 + (np.ones(50),)]
    rates = pages_by_level(make_motor, quiet, days=1.0)
    assert not rates.pages_per_key_day.any()
    assert 0.0 < rates.level(0.01) < 5.0


def statistics(seed, days=10):
    """Noise of some channels with a short memory and heavy tails, above and below, `(T, 2 C)`."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(4, (days * DAY, GROUPS - 1))
    x = x[1:] + 0.7 * x[:-1]
    x /= np.quantile(np.abs(x), 0.99, axis=0)
    return np.concatenate([np.maximum(x, 0.0), np.maximum(-x, 0.0)], axis=1).astype(np.float32)


def test_curves_and_threshold_together_keep_a_budget_on_fresh_keys():
    """The severity of statistics, their class and the motor neuron, each fitted in turn."""
    channels = GROUPS - 1
    training, fresh = ([statistics((seed, key)) for key in range(8)] for seed in (0, 1))
    with ops.default_backend("numpy"):
        curves = SeverityCurves(2 * channels)
        curves.assign({"tables": fit_tables(training, days=80.0)})

    def rates(keys):
        traces = []
        for u in keys:
            severity = curves(u).reshape(len(u), 2, channels).max(axis=1)
            groups = np.pad(severity, ((0, 0), (0, 1)), constant_values=-9.0)
            traces.append((groups, groups, np.ones(len(u))))
        return pages_by_level(make_motor, traces, 80.0, curves.reachable)

    fitted, counted = rates(training), rates(fresh)
    for budget in (0.5, 0.15):
        level = fitted.level(budget)
        # Severity alone says about as much: habituation takes some pages off.
        assert abs(level + np.log10(budget)) < 0.4
        assert fitted.is_reachable(budget)
        page_rate = np.interp(level, counted.levels, counted.pages_per_key_day)
        assert budget / 2.5 < page_rate < budget * 2.5
