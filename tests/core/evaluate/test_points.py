"""Figures over single records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ember_core.evaluate import auc_pr, best_f1, point_f1

RECORDS = st.lists(st.tuples(st.booleans(), st.integers(0, 7)), min_size=1, max_size=53)


def split(records: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one for one, _ in records]), np.array([float(v) for _, v in records])


@given(RECORDS)
def test_auc_pr_is_average_precision(records: list[tuple[bool, int]]) -> None:
    label, score = split(records)
    if label.any():
        assert auc_pr(label, score) == pytest.approx(average_precision_score(label, score))
    else:
        assert math.isnan(auc_pr(label, score))


@given(RECORDS)
def test_no_threshold_beats_best_f1_and_its_threshold_reaches_it(
    records: list[tuple[bool, int]],
) -> None:
    label, score = split(records)
    best = best_f1(label, score)
    if not label.any():
        assert math.isnan(best.f1)
        return
    tried = [point_f1(label, score >= level).f1 for level in np.unique(score)]
    assert best.f1 == pytest.approx(max(tried))
    assert point_f1(label, score >= best.threshold).f1 == pytest.approx(best.f1)


def test_best_f1_takes_infinite_scores() -> None:
    best = best_f1([0, 1, 1], [-np.inf, np.inf, np.inf])
    assert best.f1 == 1.0
    assert best.threshold == np.inf


def test_point_f1_counts_every_record_for_itself() -> None:
    """One flagged record in a long event is one hit, not the whole event."""
    label = np.repeat([0, 1, 0], [5, 11, 7])
    flags = np.zeros(label.size)
    flags[[6, 20]] = 1
    scores = point_f1(label, flags)
    assert scores[:3] == (1, 1, 10)
    assert scores.precision == 0.5
    assert scores.recall == pytest.approx(1 / 11)
    assert scores.f1 == pytest.approx(2 / 13)


def test_what_is_not_defined_is_nan() -> None:
    quiet = point_f1([0, 0, 0], [0, 0, 0])
    assert math.isnan(quiet.precision)
    assert math.isnan(quiet.recall)
    assert math.isnan(quiet.f1)
    assert math.isnan(auc_pr([], []))


def test_flags_of_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\).*shape=\(2,\)"):
        point_f1([0, 1, 0], [0, 1])
