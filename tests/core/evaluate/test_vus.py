"""VUS-PR: against its definition read out loud, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.evaluate import vus_pr
from tests.conftest import examples


def spelled_out(label: np.ndarray, score: np.ndarray, buffer: int, thresholds: int) -> float:
    """The definition, visiting every record for every threshold and buffer."""
    n = len(label)
    events = []
    for i in range(n):
        if label[i] and (i == 0 or not label[i - 1]):
            end = i
            while end + 1 < n and label[end + 1]:
                end += 1
            events.append((i, end))
    levels = np.sort(score)[::-1][np.linspace(0, n - 1, thresholds).astype(int)]
    areas = []
    for window in range(buffer + 1):
        half = window // 2
        weight = np.zeros(n)
        merged: list[list[int]] = []
        for start, end in events:
            for away in range(1, half + 1):
                for place in (start - away, end + away):
                    if 0 <= place < n:
                        weight[place] += math.sqrt(1 - away / window)
            if merged and merged[-1][1] + half >= start - half:
                merged[-1][1] = end
            else:
                merged.append([start, end])
        weight = np.where(label == 1, 1.0, np.minimum(weight, 1.0))
        area, last = 0.0, 0.0
        for level in levels:
            flagged = score >= level
            found = float((weight * flagged).sum())
            near = float((weight * flagged)[label == 0].sum())
            touched = np.mean([flagged[max(s - half, 0) : e + half + 1].any() for s, e in merged])
            recall = min(found / ((2 * label.sum() + near) / 2), 1.0) * touched
            area += (recall - last) * found / flagged.sum()
            last = recall
        areas.append(area)
    return float(np.mean(areas))


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=43),
    st.integers(0, 13),
    st.integers(1, 17),
)
def test_equals_the_definition(
    records: list[tuple[bool, int]], buffer: int, thresholds: int
) -> None:
    label = np.array([int(one) for one, _ in records])
    score = np.array([float(value) for _, value in records])
    if not label.any():
        assert math.isnan(vus_pr(label, score, buffer, thresholds))
        return
    expected = spelled_out(label, score, buffer, thresholds)
    assert vus_pr(label, score, buffer, thresholds) == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_perfect_score_without_buffer_is_one() -> None:
    label = np.repeat([0, 1, 0], [97, 11, 89])
    assert vus_pr(label, label.astype(float), 0) == 1.0


def test_only_the_order_of_scores_matters() -> None:
    rng = np.random.default_rng(5)
    label = np.repeat([0, 1, 0, 1, 0], [31, 7, 53, 3, 41])
    score = rng.random(label.size)
    assert vus_pr(label, score, 11) == vus_pr(label, np.exp(7 * score), 11)


def test_infinite_scores_are_scores() -> None:
    label = [0, 0, 1, 0, 0]
    assert vus_pr(label, [-np.inf, 0, np.inf, 0, -np.inf], 0, thresholds=5) == 1.0


@pytest.mark.parametrize(
    ("label", "score", "buffer", "thresholds", "said"),
    [
        ([0, 1], [0.1], 3, 7, r"same records.*shape \(2,\).*shape=\(1,\)"),
        ([0, 1], [0.1, np.nan], 3, 7, r"score\[1\]=nan, 1 of 2"),
        ([0, 2], [0.1, 0.2], 3, 7, "must be 0 or 1"),
        ([0, 1], [0.1, 0.2], -1, 7, "buffer=-1"),
        ([0, 1], [0.1, 0.2], 3, 0, "thresholds=0"),
        ([], [], 3, 7, "records=0"),
        ([[0, 1]], [0.1, 0.2], 3, 7, "one dimension"),
    ],
)
def test_wrong_input_is_named(
    label: list[int], score: list[float], buffer: int, thresholds: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        vus_pr(label, score, buffer, thresholds)
