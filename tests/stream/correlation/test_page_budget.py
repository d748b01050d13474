"""The budget of pages for the fleet: kept over every week, spent on the most improbable."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from stream.correlation import PageBudget
from tests.stream.correlation.fleet import Fleet

DAY, WEEK = 86_400.0, 604_800.0


def most_in_a_week(times: list[float]) -> int:
    """Largest number of pages within any seven days."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - WEEK:
            first += 1
        most = max(most, last - first + 1)
    return most


def incidents(seed: int, per_day: float, weeks: int) -> list[tuple[float, float]]:
    """Times and improbabilities, with storms in which ten times as many come."""
    draw = random.Random(seed)
    entries, time = [], 0.0
    while time < weeks * WEEK:
        time += draw.expovariate(per_day / DAY * (10 if draw.random() < 0.05 else 1))
        entries.append((time, draw.expovariate(2.3)))
    return entries


@pytest.mark.parametrize("per_week", [2.0, 3.5, 7.0, 14.0, 35.0, 70.0])
@pytest.mark.parametrize("per_day", [1.0, 10.0, 100.0])
def test_no_week_has_more_than_one_and_a_half_budgets(per_week: float, per_day: float) -> None:
    for seed in range(8):
        budget = PageBudget(per_week)
        pages = [t for t, severity in incidents(seed, per_day, 12) if budget.decide(t, severity)]
        assert most_in_a_week(pages) <= 1.5 * per_week


@pytest.mark.parametrize("per_week", [3.5, 7.0, 35.0])
def test_it_is_spent_on_the_most_improbable(per_week: float) -> None:
    """Nearly all of it, and nearly as improbable as if the future were known."""
    for seed in range(5):
        budget = PageBudget(per_week)
        entries = incidents(seed, 50.0, 20)
        pages = [severity for time, severity in entries if budget.decide(time, severity)]
        assert 0.7 * 20 * per_week <= len(pages) <= 1.1 * 20 * per_week
        ideal = sorted((severity for _, severity in entries), reverse=True)[: len(pages)]
        assert sum(pages) >= 0.8 * sum(ideal)
        rest = sorted(severity for _, severity in entries)
        assert sorted(pages)[len(pages) // 2] > rest[int(0.95 * len(rest))]


def test_a_quiet_fleet_pages_every_incident() -> None:
    budget = PageBudget(35.0)
    assert all(budget.decide(day * DAY, 0.1) for day in range(100))


def test_a_hard_limit_is_never_held_back() -> None:
    budget = PageBudget(7.0)
    for n in range(100):
        budget.decide(float(n), 5.0)
    assert all(budget.decide(100.0 + n, 0.0, is_limit=True) for n in range(50))


def test_the_rarest_incident_of_a_month_pages_within_a_storm_of_common_ones() -> None:
    missed = 0
    for seed in range(30):
        budget = PageBudget(14.0)
        for time, severity in incidents(seed, 200.0, 4):
            budget.decide(time, severity)
        missed += not budget.decide(4 * WEEK + 60.0, 8.0)
    assert missed <= 2


def test_a_restart_decides_as_before() -> None:
    entries = incidents(3, 50.0, 4)
    budget = PageBudget(14.0)
    decided = [(t, severity, budget.decide(t, severity)) for t, severity in entries]
    again = PageBudget(14.0)
    half = len(entries) // 2
    for time, severity, paged in decided[:half]:
        again.restore(time, severity, paged=paged)
    assert [again.decide(t, s) for t, s, _ in decided[half:]] == [p for *_, p in decided[half:]]


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    budget = PageBudget(7.0)
    pages = [budget.decide(DAY * (n % 2), 1.0) for n in range(100)]
    assert sum(pages) <= 1.5 * 7.0 + 1
    assert all(later <= earlier for earlier, later in pairwise(pages[20:]))


def test_incidents_beyond_the_budget_are_for_the_digest_until_they_grow() -> None:
    fleet = Fleet(pages=2.0)
    for n in range(20):
        fleet.write(f"host-{n}", 2_000.0 * n, channels=[f"c{n}"])
        fleet.run(60.0)
        fleet.end(f"host-{n}", 2_000.0 * n, until=2_000.0 * n + 60)
        fleet.run(1_940.0)
    first = [body for _, body in fleet.topic if body.status == "firing"]
    assert len(first) == 20
    assert 1 <= sum(body.page for body in first) <= 3
    fleet.run(3 * WEEK, 3_600.0)
    fleet.write("late", 4 * WEEK, margin=0.0)
    fleet.write("limit", 4 * WEEK + 1, margin=0.0, channels=["heat"], name="EmberLimit")
    bodies = fleet.run(60.0)
    assert next(b for b in bodies if b.annotations["first"] == "limit").page


def test_an_incident_that_becomes_severe_leaves_the_digest() -> None:
    fleet = Fleet(pages=7.0)
    fleet.correlator._budget._tokens = 0.0  # type: ignore[union-attr]
    fleet.write("a", margin=0.0)
    (body,) = fleet.run(20.0)
    assert not body.page
    fleet.correlator._budget._tokens = 2.0  # type: ignore[union-attr]
    fleet.write("a", status="updated", margin=4.0)
    (body,) = fleet.run(120.0)
    assert (body.status, body.page, body.severity_class) == ("updated", True, "critical")


def test_a_limit_that_joins_an_incident_of_the_digest_pages_at_once() -> None:
    fleet = Fleet(pages=7.0)
    fleet.correlator._budget._tokens = 0.0  # type: ignore[union-attr]
    fleet.write("a", margin=0.0)
    (body,) = fleet.run(20.0)
    assert not body.page
    fleet.write("a", margin=0.0, name="EmberLimit")
    (body,) = fleet.run(5.0)
    assert (body.page, body.is_limit, body.severity_class) == (True, True, "critical")
    fleet.end("a", name="EmberLimit")
    fleet.end("a")
    (body,) = fleet.run(60.0)
    assert body.status == "resolved"
