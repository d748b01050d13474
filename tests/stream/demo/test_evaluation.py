"""Evaluation of alarms, and the baseline detector."""

from __future__ import annotations

import numpy as np
import pytest

from stream.demo.baseline import QUIET_ROWS, LargestZ, starts
from stream.demo.evaluation import GRACE_ROWS, Alarm, evaluate
from stream.demo.faults import Fault, Injector, Kind, plan_faults
from stream.demo.fleet import START_US, Fleet

INTERVAL = 10_000_000
SPIKE = Fault(Kind.SPIKE, 2, "web-001", 3, 101, 107, 5.0)
SILENT = Fault(Kind.SILENT, 4, "edge-001", None, 211, 271)
NAMES = ("pump-001", "db-001", "web-001", "cache-001", "edge-001")


def at(row: int) -> int:
    """Event time of a row."""
    return START_US + row * INTERVAL


def score(*alarms: Alarm) -> tuple[list[bool], int]:
    """Mask of the two faults caught, and number of false alarms."""
    evaluation = evaluate([SPIKE, SILENT], alarms, INTERVAL, NAMES)
    return [c is not None for c in evaluation.caught], len(evaluation.false)


@pytest.mark.parametrize(
    ("row", "inside"),
    [(100, False), (101, True), (106, True), (106 + GRACE_ROWS, True), (107 + GRACE_ROWS, False)],
)
def test_the_window_ends_ten_intervals_after_the_fault(row, inside):
    """The window includes both ends; outside of it the alarm is false."""
    caught_count, false = score(Alarm("web-001", at(row), ("cpu", "errors", "latency_p99")))
    assert caught_count == [inside, False]
    assert false == (not inside)


def test_the_channel_must_be_among_the_first_three():
    """An alarm within the window for other channels is neither caught nor false."""
    assert score(Alarm("web-001", at(103), ("cpu", "load", "errors", "latency_p99"))) == (
        [False, False],
        0,
    )


def test_a_later_alarm_of_the_same_window_may_still_catch():
    """The first alarm that names the channel counts."""
    wrong = Alarm("web-001", at(102), ("cpu",))
    right = Alarm("web-001", at(105), ("latency_p99",))
    evaluation = evaluate([SPIKE], [right, wrong], INTERVAL, NAMES)
    assert evaluation.caught == (right,)
    assert evaluation.count == 1


def test_silence_is_caught_by_stale_only():
    """A silent key is caught by stale alarms only, and these catch no other kind."""
    assert score(Alarm("edge-001", at(231), (), stale=True)) == ([False, True], 0)
    assert score(Alarm("edge-001", at(275), ("cpu", "load", "memory"))) == ([False, False], 0)
    assert score(Alarm("web-001", at(103), (), stale=True)) == ([False, False], 0)
    assert score(Alarm("db-001", at(103), (), stale=True)) == ([False, False], 1)


def test_each_episode_elsewhere_is_false_and_the_host_does_not_count():
    """Alarms of healthy keys, and of faulty ones at other times, are false."""
    alarms = [
        Alarm("db-001", at(10), ("cpu",)),
        Alarm("db-001", at(50), ("cpu",)),
        Alarm("edge-001", at(50), ("cpu",)),
        Alarm("host/here", at(50), ("cpu",)),
    ]
    assert score(*alarms) == ([False, False], 3)


def test_episodes_start_after_a_quiet_time():
    """Rows close to the last one above belong to its episode."""
    above = np.zeros((53, 2), dtype=bool)
    above[[3, 4, 4 + QUIET_ROWS, 4 + 2 * QUIET_ROWS + 1], 0] = True
    above[0, 1] = True
    assert np.argwhere(starts(above)).tolist() == [[0, 1], [3, 0], [4 + 2 * QUIET_ROWS + 1, 0]]


def test_the_baseline_has_no_more_false_alarms_and_a_threshold_no_higher_than_needed():
    """With the same false alarms it catches large spikes, but neither correlation nor frequency."""
    fleet = Fleet(4, 37)
    _, history = fleet.history(499)
    mean, deviation = history.mean(0), history.std(0)
    faults = plan_faults(4, fleet.names, 499, 331, per_kind=2)
    injector = Injector(fleet, faults, deviation)
    detector = LargestZ(fleet.names, mean, deviation)
    for first in range(499, 499 + 331, 31):
        _, healthy = fleet.history(min(31, 499 + 331 - first))
        detector.feed(first, *injector.apply(first, healthy))
    thresholds = []
    for allowed in (0, 3, 11):
        evaluation, threshold = detector.evaluate(faults, INTERVAL, allowed)
        assert len(evaluation.false) <= allowed
        thresholds.append(threshold)
        missed = {f.kind for f, c in zip(faults, evaluation.caught, strict=True) if c is None}
        assert {Kind.CORRELATION, Kind.FREQUENCY, Kind.SILENT} <= missed
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] > 2
    blind, _ = detector.evaluate(faults, INTERVAL, 10**6)
    assert len(blind.false) > 11


def test_the_baseline_catches_what_stands_out():
    """A single huge value is caught at its channel, without any false alarm."""
    values = np.random.default_rng(0).normal(size=(211, 5, 8))
    values[101:107, 2, 3] += 20
    detector = LargestZ(NAMES, np.zeros((5, 8)), np.ones((5, 8)))
    detector.feed(0, values, np.ones((211, 5), dtype=bool))
    evaluation, threshold = detector.evaluate([SPIKE], INTERVAL, 0)
    assert evaluation.count == 1
    assert evaluation.false == ()
    assert 2 < threshold < 20


def test_a_baseline_that_saw_nothing_catches_nothing():
    """Without rows it has neither catches nor false alarms."""
    detector = LargestZ(NAMES, np.zeros((5, 8)), np.ones((5, 8)))
    evaluation, _ = detector.evaluate([SPIKE], INTERVAL, 3)
    assert evaluation.count == len(evaluation.false) == 0
