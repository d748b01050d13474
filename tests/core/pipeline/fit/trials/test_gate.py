"""Gate of a retrained model: what it refuses, and why."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from ember_core.pipeline.fit import Contestant, Incident, Series, Verdict, judge
from tests.core.pipeline.evidence.fleet import DAY_ROWS, DAYS, model, rows, times

SINCE = int(times(DAYS * DAY_ROWS, 1)[0])
FAULT = slice(160, 190)  # of the rows that are judged: begins at row 144


def recent(keys: int = 4, days: int = 3, fault: float = 0.0) -> list[Series]:
    """A day before the judged ones, and these; with a fault of the first key, if asked for."""
    first, count = (DAYS - 1) * DAY_ROWS, (1 + days) * DAY_ROWS
    out = []
    for k in range(keys):
        values = rows(k, first, count)
        if k == 0:
            values[FAULT, 0] += fault
        out.append(Series(f"host-{k}", times(first, count), values))
    return out


def with_threshold(on: float) -> FleetModel:
    other = copy.copy(model())
    other.pipeline = copy.copy(other.pipeline)
    motor = copy.copy(other.pipeline.motor)
    motor.on = on
    other.pipeline.motor = motor
    return other


def verdict(candidate: FleetModel, series: list[Series] | None = None, **options: Any) -> Verdict:
    series = recent() if series is None else series
    return judge(
        Contestant(candidate, series), Contestant(model(), series), since_us=SINCE, **options
    )


def test_the_model_in_service_would_pass() -> None:
    result = verdict(model(), budget_per_week=1.0)
    assert (result.accepted, result.reasons) == (True, [])
    assert result.figures["faults"] > 100
    assert 0.2 < result.figures["faults_caught"] == result.figures["faults_caught_in_service"] < 1
    assert result.figures["agreement"] == 1.0
    assert result.figures["moments_worse"] == result.figures["moments_better"] == 0


def test_a_candidate_over_its_budget_is_refused() -> None:
    result = verdict(with_threshold(0.3), recent(9), budget_per_week=0.05)
    assert not result.accepted
    assert result.figures["pages"] > result.figures["pages_allowed"]
    assert "Expected at most" in result.reasons[0]
    assert "budget" in result.reasons[0]


def test_a_candidate_that_catches_fewer_faults_is_refused() -> None:
    result = verdict(with_threshold(model().pipeline.motor.on + 1.5), budget_per_week=1.0)
    assert not result.accepted
    assert result.figures["faults_caught"] < result.figures["faults_caught_in_service"]
    assert any("injected faults" in reason for reason in result.reasons)


def test_a_first_model_is_held_to_its_budget_alone() -> None:
    series = recent(9)
    result = judge(Contestant(model(), series), None, since_us=SINCE)
    assert result.accepted
    assert "faults" not in result.figures
    loud = Contestant(with_threshold(0.3), series)
    refused = judge(loud, None, since_us=SINCE, budget_per_week=0.05)
    assert not refused.accepted


def test_pages_of_known_episodes_do_not_count() -> None:
    series = recent(fault=200.0)
    first = int(times((DAYS - 1) * DAY_ROWS + FAULT.start, 1)[0])
    known = Incident(b"host-0", first, first + 30 * 600_000_000)
    without = verdict(model(), series, budget_per_week=1.0)
    marked = verdict(model(), series, budget_per_week=1.0, incidents=[known])
    assert marked.figures["pages"] < without.figures["pages"]
    assert marked.figures["key_days"] < without.figures["key_days"]
    assert marked.figures["episodes_known"] == marked.figures["episodes_told"] == 1


def test_a_candidate_that_tells_none_of_the_known_episodes_is_refused() -> None:
    series = recent(keys=9)
    first = (DAYS - 1) * DAY_ROWS
    known = []
    for s in series[:6]:
        s.values[FAULT, 0] += 60.0
        begin = int(times(first + FAULT.start, 1)[0])
        known.append(Incident(s.key, begin, begin + 30 * 600_000_000))
    result = verdict(with_threshold(99.0), series, budget_per_week=1.0, incidents=known)
    assert result.figures["episodes_known"] == 6
    assert result.figures["episodes_told"] == 0
    assert any("known episodes" in reason for reason in result.reasons)


def test_a_candidate_that_is_alone_with_its_open_episodes_is_refused() -> None:
    """The other way round it is no worse: the model in service may hold false ones open."""
    result = verdict(with_threshold(-6.0), budget_per_week=99.0)
    assert result.figures["open_alone"] > 0.3
    assert any("has an episode open" in reason for reason in result.reasons)
    series, loud = recent(), Contestant(with_threshold(-6.0), recent())
    swapped = judge(Contestant(model(), series), loud, since_us=SINCE, budget_per_week=99.0)
    assert swapped.figures["open_alone"] == 0.0
    assert swapped.figures["agreement"] == result.figures["agreement"] < 0.7
    assert not any("has an episode open" in reason for reason in swapped.reasons)


def test_no_rows_since_the_training_is_no_pass() -> None:
    first = (DAYS - 1) * DAY_ROWS
    old = [Series("host-0", times(first, 100), rows(0, first, 100))]
    for series in (old, [Series("other", s.time_us, s.values) for s in recent(1)], []):
        result = verdict(model(), series)
        assert not result.accepted
        assert "held back" in result.reasons[0]


def test_the_same_seed_gives_the_same_verdict() -> None:
    candidate = with_threshold(model().pipeline.motor.on + 0.3)
    one, two = (verdict(candidate, recent(2), budget_per_week=1.0, seed=3) for _ in range(2))
    assert one == two
    assert one.as_json()["figures"]["faults"] == one.figures["faults"]


def test_channels_and_rows_that_one_side_lacks_are_left_out() -> None:
    """The rows of a model with other rules for channels have other times and values."""
    series = recent()
    other = [s.rows(1).with_values(s.values[1:] * np.array([1, 1, 1, 2.0])) for s in series]
    both = judge(Contestant(model(), series), Contestant(model(), other), since_us=SINCE)
    assert both.figures["faults"] > 100
    assert both.figures["key_days"] == pytest.approx(12.0, rel=0.01)
