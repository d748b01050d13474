"""The operator's figures, by pages made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.paging.assessment import Page, assess
from benchmarks.paging.calibration import Scored, figures, spans, threshold
from benchmarks.paging.fleet import Fault, Fleet, KeySeries

MINUTE = 60_000_000
ROWS, HEAD = 2880, 1440
LONG = Fault("leak", "a", 1500, 1899, ("x",))
INNER = Fault("burst", "a", 1700, 1719, ("y",), hidden=True)
OTHER = Fault("spike", "a", 2300, 2302, ("y", "x"))


def fleet(values: np.ndarray | None = None) -> Fleet:
    """Two keys of two channels, a day of training and a day that is scored."""
    rows = np.arange(ROWS)
    cells = np.zeros((ROWS, 2)) if values is None else values
    keys = tuple(
        KeySeries(key, rows * MINUTE, cells, rows < HEAD, events, "web")
        for key, events in (("a", (LONG, INNER, OTHER)), ("b", ()))
    )
    return Fleet("by hand", 0, 60.0, ("x", "y"), keys, "UTC", ())


def at(row: int, status: str = "firing", *named: str, key: str = "a") -> Page:
    return Page(key, row * MINUTE, status, named or ("x",))  # type: ignore[arg-type]


def test_pages_outside_of_faults_are_false() -> None:
    seen = assess(fleet(), [at(1480), at(1498), at(2000), at(100, key="b"), at(2000, key="b")])
    assert (seen.pages, seen.false_pages, seen.paged) == (4, 4, 0), "training is not looked at"
    assert seen.false_a_day == pytest.approx(4 / seen.key_days)
    assert seen.key_days == pytest.approx(2 * 1439 / 1440)


@pytest.mark.parametrize(("row", "paged"), [(2298, 0), (2299, 1), (2302, 1), (2307, 1), (2308, 0)])
def test_a_page_is_of_a_fault_from_a_row_before_until_five_after(row: int, paged: int) -> None:
    assert assess(fleet(), [at(row)]).paged == paged


def test_a_channel_counts_as_named_among_the_first_three() -> None:
    assert assess(fleet(), [at(2300, "firing", "p", "q", "x")]).named == 1
    late = assess(fleet(), [at(2300, "firing", "p", "q", "r", "x")])
    assert (late.paged, late.named) == (1, 0)


def test_a_fault_hidden_in_an_episode_needs_a_page_of_its_own() -> None:
    first = at(1505)
    assert assess(fleet(), [first]).hidden_paged == 0
    assert assess(fleet(), [first, at(1705, "updated", "x")]).hidden_paged == 0
    told = assess(fleet(), [first, at(1705, "updated", "y")])
    assert (told.hidden, told.hidden_paged, told.paged, told.false_pages) == (1, 1, 2, 0)
    assert assess(fleet(), [at(1705, "firing", "y")]).hidden_paged == 1


def test_delay_is_from_the_first_row_to_the_first_page() -> None:
    assert assess(fleet(), [at(1512), at(1600)]).delay_minutes == 12.0
    assert assess(fleet(), [at(1499)]).delay_minutes == 0.0, "a row early is at once"


def test_resolve_is_from_the_last_row_until_nothing_is_open() -> None:
    open_on = assess(fleet(), [at(1505)])
    assert open_on.resolve_minutes == ROWS - 1 - 1899
    assert assess(fleet(), [at(1505), at(1905, "resolved")]).resolve_minutes == 6.0
    early = [at(1505), at(1600, "resolved"), at(1650), at(1800, "resolved")]
    assert assess(fleet(), early).resolve_minutes == 0.0
    again = [at(1505), at(1600, "resolved"), at(1650), at(1990, "resolved")]
    assert assess(fleet(), again).resolve_minutes == 91.0


def test_pages_per_fault_are_those_inside() -> None:
    seen = assess(fleet(), [at(1505), at(1600), at(1890), at(2300)])
    assert seen.pages_per_fault == 2.0
    assert seen.by_kind == {"burst": (0, 1), "leak": (1, 1), "spike": (1, 1)}


def test_some_keys_can_be_judged_alone() -> None:
    seen = assess(fleet(), [at(1480), at(1600, key="b")], keys=["b"])
    assert (seen.false_pages, seen.faults) == (1, 0)


def test_rows_above_a_threshold_are_one_episode_within_ten_rows() -> None:
    score = np.zeros(100)
    score[[5, 6, 16, 40]] = 1.0
    assert spans(score, 1.0) == [(5, 26), (40, 50)]


def test_a_threshold_keeps_to_its_budget_in_training() -> None:
    rng = np.random.default_rng(3)
    train = [rng.exponential(size=14 * 1440) for _ in range(6)]
    for a_day in (2.0, 0.5, 0.14):
        level = threshold(train, 84.0, a_day)
        counted = sum(len(spans(score, level)) for score in train)
        assert 0.8 * a_day * 84 - 1 <= counted <= a_day * 84
    # Rarer than what training holds: the exponential tail is drawn on, so about 1 in 840 days.
    assert threshold(train, 84.0, 1 / 840) == pytest.approx(np.log(840 * 1440), rel=0.25)


def test_a_detector_that_sees_the_faults_is_given_them() -> None:
    score = np.zeros(ROWS - HEAD)
    for fault in (LONG, INNER, OTHER):
        score[fault.first - HEAD : fault.last + 1 - HEAD] += 5.0
    noise = np.random.default_rng(4).random(HEAD)
    named = np.tile([[0, 1]], (ROWS - HEAD, 1))
    scored = Scored([noise, noise], [score, 0.5 * np.ones(HEAD)], [named, named])
    row = figures(fleet(), scored)[".14"]
    assert row["false_pages"] == 0
    assert row["paged"] == 2, "the inner one has no page of its own"
    assert row["true_rate"] == 2
