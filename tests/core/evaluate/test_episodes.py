"""Alarm episodes against labelled events."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.evaluate import alarm_episodes, detection_delay, episode_scores

FLAGS = st.lists(st.booleans(), max_size=61)


def marks(n: int, *ranges: tuple[int, int]) -> np.ndarray:
    series = np.zeros(n, bool)
    for start, end in ranges:
        series[start:end] = True
    return series


@given(FLAGS, st.integers(1, 13))
def test_episodes_hold_all_flags_and_are_more_than_merge_apart(
    flags: list[bool], merge: int
) -> None:
    episodes = alarm_episodes(np.array(flags, bool), merge)
    covered = marks(len(flags), *episodes)
    assert covered[np.array(flags, bool)].all()
    for start, end in episodes:
        assert flags[start]
        assert flags[end - 1]
        inside = np.flatnonzero(flags[start:end])
        assert (np.diff(inside) <= merge).all()
    for (_, end), (start, _) in pairwise(episodes):
        assert start - (end - 1) > merge


def test_two_flags_exactly_merge_apart_are_one_episode() -> None:
    assert alarm_episodes(marks(31, (3, 4), (13, 14)), merge=10) == [(3, 14)]
    assert alarm_episodes(marks(31, (3, 4), (14, 15)), merge=10) == [(3, 4), (14, 15)]


@given(FLAGS, st.data())
def test_counts_add_up(label: list[bool], data: st.DataObject) -> None:
    size = len(label)
    flags = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    scores = episode_scores(np.array(label, bool), np.array(flags, bool), merge=3)
    assert 0 <= scores.caught <= scores.events
    assert 0 <= scores.false_episodes <= scores.episodes
    assert (scores.caught == 0) == (scores.episodes == scores.false_episodes)


def test_recall_precision_and_false_episodes() -> None:
    label = marks(500, (50, 60), (200, 230), (400, 401))
    flags = marks(500, (55, 58), (205, 206), (212, 213), (300, 301), (340, 345))
    scores = episode_scores(label, flags, merge=10)
    assert (scores.events, scores.caught, scores.episodes, scores.false_episodes) == (3, 2, 4, 2)
    assert scores.event_recall == pytest.approx(2 / 3)
    assert scores.episode_precision == 0.5
    assert scores.ef1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert scores.false_episodes_per_1000 == 4.0
    assert scores.delay_records == 5.0


def test_an_episode_that_only_spans_an_event_does_not_catch_it() -> None:
    """The flags lie on both sides of the event, near enough to be one episode."""
    scores = episode_scores(marks(29, (12, 15)), marks(29, (9, 10), (17, 18)), merge=10)
    assert (scores.caught, scores.episodes, scores.false_episodes, scores.ef1) == (0, 1, 1, 0.0)


def test_delay_is_counted_from_the_start_of_each_event() -> None:
    label = marks(60, (10, 20), (30, 33), (50, 60))
    flags = marks(60, (5, 6), (13, 14), (34, 35), (50, 51))
    np.testing.assert_array_equal(detection_delay(label, flags), [3.0, np.nan, 0.0])


def test_a_quiet_series_has_no_figures_but_no_false_alarm_either() -> None:
    quiet = episode_scores(np.zeros(37), np.zeros(37))
    assert math.isnan(quiet.ef1)
    assert quiet.false_episodes_per_1000 == 0.0
    missed = episode_scores(marks(37, (3, 5)), np.zeros(37))
    assert (missed.event_recall, missed.ef1) == (0.0, 0.0)
    assert math.isnan(missed.episode_precision)


def test_merge_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="merge=0"):
        alarm_episodes([0, 1], merge=0)
