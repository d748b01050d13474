"""The NAB score against cases by hand and published results."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.sources import DataOptions, read
from ember_core.evaluate import NAB_PROFILES, NabCosts, NabSeries, nab_probation, nab_score

T, WINDOW = 101, (61, 80)  # 20 records; the first 15 are probation


def flags(*at: int, size: int = T) -> np.ndarray:
    out = np.zeros(size)
    out[list(at)] = 1.0
    return out


def raw(*at: int, window: tuple[int, int] = WINDOW) -> float:
    """Sum over one series with one window, before it is put on a scale."""
    scaled = nab_score([NabSeries(flags(*at), [window])], threshold=1.0).score
    return scaled / 100.0 * 2.0 - 1.0


def sigmoid(y: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


def test_probation_is_a_share_of_at_most_5000_records() -> None:
    assert (nab_probation(101), nab_probation(4032), nab_probation(22695)) == (15, 604, 750)


def test_the_first_record_of_a_window_is_worth_most() -> None:
    assert raw(61) == pytest.approx(1.0)
    assert raw(71) == pytest.approx(sigmoid(-0.5) / sigmoid(-1.0))
    assert raw(80) == pytest.approx(sigmoid(-1 / 20) / sigmoid(-1.0))
    assert raw(71, 75, 80) == pytest.approx(raw(71)), "a window is worth its best record"


def test_false_detections_cost_less_shortly_after_a_window() -> None:
    assert raw(40) == pytest.approx(-1.0 - 0.11), "before any window: all of it"
    assert raw(82) == pytest.approx(-1.0 + 0.11 * sigmoid(2 / 19))
    assert raw(61, 99) == pytest.approx(1.0 + 0.11 * sigmoid(1.0))


def test_three_widths_after_a_window_the_whole_cost_is_due() -> None:
    assert raw(40, window=(20, 24)) == pytest.approx(-1.0 - 0.11)
    assert raw(35, window=(20, 24)) == pytest.approx(-1.0 + 0.11 * sigmoid(11 / 4))


def test_probation_is_not_scored() -> None:
    assert raw(14) == -1.0
    assert raw(15) == pytest.approx(-1.11)


def test_the_scale_runs_from_silence_to_perfection() -> None:
    for costs in NAB_PROFILES.values():
        series = [NabSeries(flags(61), [WINDOW]), NabSeries(np.zeros(T), [])]
        assert nab_score(series, costs).score == pytest.approx(100.0)
        silent = nab_score([NabSeries(flags(40), [WINDOW])], costs)
        assert (silent.score, silent.threshold, silent.false_positives) == (0.0, math.inf, 0)


def test_a_missed_window_costs_what_the_profile_says() -> None:
    series = [NabSeries(flags(61), [WINDOW]), NabSeries(np.zeros(T), [WINDOW])]
    for fn in (1.0, 2.0):
        found = nab_score(series, NabCosts(false_negative=fn))
        assert found.score == pytest.approx(100.0 * (1.0 + fn) / (2.0 + 2.0 * fn))


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=T, max_size=T),
    st.sampled_from(list(NAB_PROFILES.values())),
)
def test_the_threshold_found_is_the_best_of_all(score: list[float], costs: NabCosts) -> None:
    series = [NabSeries(score, [(20, 29), WINDOW]), NabSeries(score[::-1], [(37, 53)])]
    best = nab_score(series, costs)
    each = [nab_score(series, costs, threshold=t).score for t in {*score, math.inf}]
    assert best.score == pytest.approx(max(each))
    assert nab_score(series, costs, threshold=best.threshold) == best


def test_series_without_a_window_have_no_score() -> None:
    assert math.isnan(nab_score([NabSeries(flags(40), [])]).score)
    assert math.isnan(nab_score([]).score)


@pytest.mark.parametrize("windows", [[(80, 61)], [(61, 101)], [(61, 80), (70, 90)]])
def test_windows_that_do_not_fit_are_refused(windows: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="Windows must be record numbers"):
        nab_score([NabSeries(flags(40), windows)])


def windowed_gaussian(x: np.ndarray) -> np.ndarray:
    """The benchmark's own simple detector: normal probability in the last 6,400 values."""
    out = np.zeros(len(x))
    for i in range(1, len(x)):
        past = x[max(0, i - 6400) : i]
        out[i] = 1.0 - 0.5 * math.erfc(abs(x[i] - past.mean()) / (past.std() or 1e-6) / 2.0**0.5)
    return out


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "published", "false_positives"),
    [
        ("realAWSCloudwatch/elb_request_count_8c0756", -0.13844919792440225, 0),
        ("realAWSCloudwatch/rds_cpu_utilization_e47b3b", -0.13844919792440225, 0),
        ("realAWSCloudwatch/ec2_cpu_utilization_24ae8d", -1.266678759349383, 11),
    ],
)
def test_the_sum_is_the_published_one_of_the_windowed_gaussian(
    shared_data: Path, name: str, published: float, false_positives: int
) -> None:
    """`windowedGaussian_standard_scores.csv` of numenta/NAB, threshold 1.0."""
    folder = shared_data / "nab"
    table = read([folder / "data" / f"{name}.csv"], DataOptions(time="timestamp")).tables[0]
    spans = json.loads((folder / "windows.json").read_text())[f"{name}.csv"]
    times = [[datetime.fromisoformat(at).replace(tzinfo=UTC) for at in span] for span in spans]
    windows = [
        tuple(int(np.searchsorted(table.time_us, round(at.timestamp() * 1e6))) for at in span)
        for span in times
    ]
    found = nab_score(
        [NabSeries(windowed_gaussian(table.values[:, 0]), windows)],
        threshold=1.0,  # type: ignore[list-item]
    )
    total = found.score / 100.0 * 2.0 * len(windows) - len(windows)
    assert total == pytest.approx(published, abs=1e-12)
    assert found.false_positives == false_positives


def test_the_sum_is_that_of_each_record_by_itself_on_a_simulated_series() -> None:
    """Twin of the published one: a made-up series, and the score's formula written out."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(601)
    windows = [(200, 230), (400, 440)]
    x[[205, 418, 425, 300, 580]] += 90.0
    scores = windowed_gaussian(x)
    alarms = [int(i) for i in np.flatnonzero(scores >= 1.0) if i >= nab_probation(601)]
    assert {205, 300, 418, 580} <= set(alarms)
    assert not any(
        start <= i <= end for i in set(alarms) - {205, 418, 425} for start, end in windows
    )
    total, outside = 0.0, 0
    for start, end in windows:
        first = min(i for i in alarms if start <= i <= end)
        total += sigmoid(-(end - first + 1) / (end - start + 1)) / sigmoid(-1.0)
    for i in alarms:
        if any(start <= i <= end for start, end in windows):
            continue
        outside += 1
        before = [(start, end) for start, end in windows if end < i]
        place = (i - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else math.inf
        total += 0.11 * sigmoid(place) if place <= 3.0 else -0.11
    found = nab_score([NabSeries(scores, windows)], threshold=1.0)
    assert found.score / 100.0 * 2.0 * len(windows) - len(windows) == pytest.approx(total)
    assert found.false_positives == outside
