"""Faults of a kind and a size: what they change, and what they leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ember_core.pipeline.fit import Series
from ember_core.pipeline.fit.trials.cases import Case, Moment, cases_of, fault_rows
from ember_core.pipeline.fit.trials.kinds import KINDS, SIZES, Habits, sign_of

ROWS, BEGIN = 40, 200


def series(columns: Sequence[np.ndarray]) -> Series:
    return Series("a", np.arange(len(columns[0])) * 60_000_000 + 10**15, np.stack(columns, axis=1))


def cases(columns: Sequence[np.ndarray], seed: int = 0) -> tuple[Series, list[Case]]:
    own = series(columns)
    habits = {own.key: [Habits.of(column) for column in own.values.T]}
    names = tuple(f"c{i}" for i in range(len(columns)))
    rng = np.random.default_rng(seed)
    return own, cases_of([Moment(own, BEGIN)], habits, names, ROWS, rng)


def noise(seed: int = 0, level: float = 50.0) -> np.ndarray:
    return level + np.random.default_rng(seed).normal(0.0, 2.0, 400)


def test_a_usual_range_holds_nine_in_ten_values() -> None:
    habits = Habits.of(np.r_[np.arange(101.0), np.nan, np.inf])
    assert (habits.low, habits.high, habits.size, habits.lowest) == (5.0, 95.0, 90.0, 0.0)
    seldom = Habits.of(np.r_[np.zeros(99), 100.0])
    assert seldom.size == pytest.approx(3.3 * np.std(np.r_[np.zeros(99), 100.0]))
    for nothing in (np.full(9, 7.0), np.array([np.nan]), np.array([])):
        assert Habits.of(nothing).size == 0.0


def test_every_kind_comes_in_every_size_on_one_channel() -> None:
    own, found = cases([noise(), noise(1)])
    plain = own.values[BEGIN : BEGIN + ROWS]
    assert [c.kind for c in found].count("") == 1
    for name, kind in KINDS.items():
        of_kind = [c for c in found if c.kind == name]
        assert [c.size for c in of_kind] == list(SIZES if kind.is_sized else (0.0,))
        for case in of_kind:
            changed = (case.values != plain).any(axis=0)
            assert changed.sum() == 1
            assert case.channel == f"c{int(changed.argmax())}"


def test_faults_are_as_large_as_they_say() -> None:
    own, found = cases([noise(), noise(1)])
    plain = own.values[BEGIN : BEGIN + ROWS]
    size = {f"c{i}": Habits.of(own.values[:, i]).size for i in range(2)}
    for case in found[1:]:
        change = (case.values - plain)[:, int(case.channel[1])]
        amount = case.size * size[case.channel]
        if case.kind == "spike of one row":
            assert abs(change[0]) == pytest.approx(amount)
            assert not change[1:].any()
        elif case.kind == "level shift":
            assert np.abs(change) == pytest.approx(np.full(ROWS, amount))
        elif case.kind == "slow drift":
            assert abs(change[-1]) == pytest.approx(amount)
            assert (np.diff(np.abs(change)) > 0).all()


def test_a_fault_of_a_channel_that_is_never_negative_stays_so() -> None:
    rare = np.random.default_rng(3).poisson(0.3, 400).astype(float)
    for seed in range(8):
        _, found = cases([rare, rare[::-1].copy()], seed)
        assert min(case.values.min() for case in found) >= 0.0
    assert sign_of(-1.0, Habits.of(noise()), np.array([50.0]), 1.0) == -1.0


def test_kinds_that_would_show_nothing_are_left_out() -> None:
    """A constant channel has no range; one that stands still by itself cannot freeze."""
    _, found = cases([np.full(400, 7.0)])
    assert [case.kind for case in found] == [""]
    steps = np.repeat(np.random.default_rng(0).normal(0.0, 1.0, 40), 10)
    _, found = cases([steps])
    kinds = {case.kind for case in found}
    assert "level shift" in kinds
    assert not kinds & {"frozen value", "drop to zero", "broken correlation"}


def test_missing_values_stay_missing() -> None:
    gaps = noise()
    gaps[BEGIN + 3 : BEGIN + 6] = np.nan
    _, found = cases([gaps, noise(1)])
    for case in found:
        assert np.isnan(case.values[3:6, 0]).all()
        assert np.isfinite(case.values[:3]).all()


def test_a_fault_lasts_two_hours_within_bounds() -> None:
    assert [fault_rows(s) for s in (0.0, 1.0, 60.0, 300.0, 3600.0)] == [120, 120, 120, 24, 24]
