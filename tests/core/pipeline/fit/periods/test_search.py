"""Periods of made-up fleets: those that are there, and none where there is none."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ember_core.pipeline import CivilCalendar
from ember_core.pipeline.fit import Series, find_periods
from ember_core.pipeline.fit.periods.candidates import CALENDAR_US

HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0
BEGIN_US = 1_767_225_600_000_000


def every(seconds, days):
    return np.arange(int(days * DAY / seconds)) * float(seconds)


def series(t, values, key=b"key"):
    times = BEGIN_US + np.round(t * 1e6).astype(np.int64)
    return Series(key, times.view("datetime64[us]"), values)


def wave(t, period, channels=2, seed=0):
    phases = np.random.default_rng(seed).uniform(0, 1, channels)
    return np.sin(2 * np.pi * (t[:, None] / period + phases))


def job(t, period, length):
    """A job that runs for some seconds of each period."""
    return ((t % period) < length).astype(float)[:, None]


def noise(t, channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((len(t), channels))


def seconds_of(fleet):
    return sorted(period.seconds for period in find_periods(fleet))


def seconds_in(t, values):
    return seconds_of([series(t, values)])


@pytest.mark.parametrize(
    ("period", "step", "days"),
    [
        (DAY, 300, 14),
        (DAY, 300, 4),
        (DAY, 60, 2.6),
        (WEEK, 600, 28),
        (WEEK, 600, 14),
        (HOUR, 60, 3),
        (8 * HOUR, 300, 7),
        (12 * HOUR, 300, 7),
        (37 * 60, 60, 7),
        (23 * HOUR, 300, 21),
        (600, 60, 2),
        (97, 1, 0.2),
    ],
)
def test_one_period_in_noise_is_found_to_the_second(period, step, days):
    t = every(step, days)
    found = find_periods([series(t, wave(t, period) + 0.5 * noise(t))])
    assert [p.seconds for p in found] == [period]
    assert 0.45 < found[0].share < 0.75  # two thirds of the variance
    assert found[0].significance > 1.0
    assert found[0].keys == 1.0
    assert found[0].channels == pytest.approx({0: 0.66, 1: 0.66}, abs=0.2)


@settings(max_examples=6, deadline=None)
@given(rows=st.floats(10.5, 400.0), seed=st.integers(0, 1000))
@example(rows=177.0, seed=0)  # three hours explain nearly as much
def test_any_period_is_found_so_that_its_phase_holds_over_the_history(rows, seed):
    t = every(60, 3)
    period = min(60.0 * rows, 3 * DAY / 6)
    found = seconds_in(t, wave(t, period, seed=seed) + 0.3 * noise(t, seed=seed))
    assert len(found) == 1
    is_of_calendar = found[0] in {us / 1e6 for us in CALENDAR_US}
    assert abs(1 / found[0] - 1 / period) * 3 * DAY < (0.7 if is_of_calendar else 0.15)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["walk", "white", "trend", "drift"]))
def test_what_does_not_repeat_has_no_period(seed, kind):
    t = every(600, 14)
    e = noise(t, 1, seed)
    values = {
        "walk": np.cumsum(e, axis=0),
        "white": e,
        "trend": t[:, None] / DAY + e,
        "drift": np.cumsum(e, axis=0) + 10 * noise(t, 1, seed + 1),
    }[kind]
    assert seconds_in(t, values) == []


@pytest.mark.parametrize("cycles", [0.5, 1.0, 1.5, 2.0])
def test_a_period_longer_than_the_range_is_not_told_as_its_edge(cycles):
    t = every(300, 10)
    assert seconds_in(t, wave(t, 10 * DAY / cycles) + 0.2 * noise(t)) == []


@pytest.mark.parametrize("rows", [2, 3, 5, 7])
def test_a_period_shorter_than_the_range_is_not_told_as_its_multiple(rows):
    t = every(60, 3)
    assert seconds_in(t, wave(t, 60.0 * rows) + 0.5 * noise(t)) == []


def test_a_burst_a_step_and_an_outage_have_no_period():
    t = every(300, 14)
    burst = 30.0 * ((t > 5 * DAY) & (t < 5.1 * DAY))[:, None]
    step = 5.0 * (t > 6 * DAY)[:, None]
    assert seconds_in(t, burst + 0.3 * noise(t)) == []
    assert seconds_in(t, step + 0.3 * noise(t)) == []
    away = (t > 4 * DAY) & (t < 6 * DAY)
    assert seconds_in(t[~away], noise(t)[~away]) == []


def test_a_day_and_a_week_are_both_told():
    t = every(600, 28)
    working = np.where((t // DAY) % 7 < 5, 1.0, 0.3)[:, None]
    added = wave(t, DAY) + wave(t, WEEK) + 0.5 * noise(t)
    assert seconds_in(t, added) == [DAY, WEEK]
    assert seconds_in(t, (1.5 + wave(t, DAY)) * working + 0.2 * noise(t)) == [DAY, WEEK]
    fortnight = t < 14 * DAY
    usual = ((1.5 + wave(t, DAY)) * working + 0.2 * noise(t))[fortnight]
    assert seconds_in(t[fortnight], usual) == [DAY, WEEK]


def test_a_short_job_beside_a_day_is_told():
    t = every(60, 7)
    assert seconds_in(t, wave(t, DAY) + 2.0 * job(t, 600, 60) + 0.5 * noise(t)) == [600, DAY]
    assert seconds_in(t, wave(t, DAY) + 2.0 * job(t, 2220, 240) + 0.5 * noise(t)) == [2220, DAY]


def test_the_shape_of_a_day_has_no_periods_of_its_own():
    """Two rush hours, a nightly job of twenty minutes, an office day with sharp edges."""
    t = every(300, 14)
    rush = 0.6 * wave(t, DAY) + wave(t, DAY / 2, seed=1) + 0.4 * wave(t, DAY / 3, seed=2)
    for shape in (rush, 5.0 * job(t, DAY, 1200), 2.0 * job(t, DAY, 8 * HOUR)):
        assert seconds_in(t, shape + 0.3 * noise(t)) == [DAY]


def test_a_day_survives_what_wanders_beneath_it():
    t = every(600, 14)
    values = wave(t, DAY) + 0.3 * noise(t)
    assert seconds_in(t, values + np.cumsum(noise(t, seed=1), axis=0) / 40) == [DAY]
    assert seconds_in(t, values + 0.5 * t[:, None] / DAY) == [DAY]


def test_irregular_times_gaps_and_missing_values_do_not_matter():
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.exponential(120.0, 10_000))
    values = wave(t, DAY) + 0.5 * noise(t)
    assert seconds_in(t, values) == [DAY]
    kept = rng.random(len(t)) < 0.5
    kept &= ~((t > 3 * DAY) & (t < 4.5 * DAY))
    values[rng.random(values.shape) < 0.2] = np.nan
    assert seconds_in(t[kept], values[kept]) == [DAY]


def test_a_day_by_the_clock_is_a_day_over_a_change_of_clocks():
    zone = "Europe/Berlin"
    times = pd.date_range("2026-03-16", periods=28 * 144, freq="10min", tz=ZoneInfo(zone))
    utc = times.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[us]")
    bins, _ = CivilCalendar(zone).bins(utc.astype(np.int64), 600)
    office = 2.0 * ((bins >= 48) & (bins < 108))[:, None] + 0.3 * noise(np.arange(len(bins)))
    assert seconds_of([Series(b"key", utc, office)]) == [DAY]


def test_most_keys_have_to_have_it():
    t = every(600, 7)
    daily = [series(t, wave(t, DAY, seed=k) + 0.5 * noise(t, seed=k), b"d%d" % k) for k in range(3)]
    other = [series(t, noise(t, seed=9 + k), b"o%d" % k) for k in range(4)]
    assert seconds_of([*daily, *other]) == []
    found = find_periods([*daily, *other[:2]])
    assert [(p.seconds, p.keys) for p in found] == [(DAY, 0.6)]


def test_one_channel_of_eight_is_enough_and_named():
    t = every(600, 14)
    values = noise(t, 8)
    values[:, 5] += 2.0 * wave(t, DAY, 1)[:, 0]
    found = find_periods([series(t, values)])
    assert [p.seconds for p in found] == [DAY]
    assert found[0].channels[5] > 0.5
    assert max(share for c, share in found[0].channels.items() if c != 5) < 0.05


def test_keys_of_other_intervals_and_lengths_have_one_period():
    fleet = []
    for k, (step, days) in enumerate([(300, 14), (600, 10), (900, 7), (420, 12)]):
        t = every(step, days)
        fleet.append(series(t, wave(t, DAY, seed=k) + 0.3 * noise(t, seed=k), b"%d" % k))
    assert seconds_of(fleet) == [DAY]


def test_record_numbers_as_times_have_their_own_day():
    """288 rows, of a minute each by their numbers."""
    t = every(60, 3)
    assert seconds_in(t, wave(t, 288 * 60.0) + 0.5 * noise(t)) == [288 * 60.0]


@pytest.mark.parametrize(
    "values", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((500, 2)), np.full((500, 1), np.nan)]
)
def test_nothing_to_look_at_gives_none(values):
    assert seconds_in(every(60, 1)[: len(values)], values) == []
    assert find_periods([]) == ()


def test_the_same_history_gives_the_same_periods():
    t = every(600, 14)
    fleet = [series(t, wave(t, DAY) + noise(t))]
    assert find_periods(fleet) == find_periods(fleet)
