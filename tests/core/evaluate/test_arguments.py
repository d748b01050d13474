"""Arguments of the figures: numbers of any type, and one clear error for anything else."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ember_core import evaluate

LABEL, SCORE = [0, 1, 0, 1], [0.1, 0.8, 0.2, 0.9]
POINTS = np.random.default_rng(3).standard_normal((50, 3))
NUMBERS = {
    "array": np.array(SCORE),
    "objects": np.array(SCORE, object),
    "decimals": [Decimal(str(x)) for x in SCORE],
    "pandas, of another order": pd.Series(SCORE, index=[3, 2, 1, 0]),
    "float32": np.array(SCORE, np.float32),
}
NO_NUMBERS = {
    "text": ["0.1", "0.8", "0.2", "0.9"],
    "text in objects": np.array(["0.1", "0.8", "0.2", "0.9"], object),
    "dates": np.arange(4).astype("datetime64[s]"),
    "objects": [object()] * 4,
    "NaN": [0.1, float("nan"), 0.2, 0.9],
    "none": [0.1, None, 0.2, 0.9],
    "longer": SCORE * 2,
    "a table": [SCORE],
}
FIGURES = {
    "auc_pr": lambda label, score: evaluate.auc_pr(label, score),
    "best_f1": lambda label, score: evaluate.best_f1(label, score).f1,
    "vus_pr": lambda label, score: evaluate.vus_pr(label, score, 2),
    "summary": lambda label, score: evaluate.summary(label, score)["auc_pr"],
    "nab_score": lambda _, score: (
        evaluate.nab_score([evaluate.NabSeries(np.repeat(score, 30), [(30, 59)])]).score
    ),
}


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("name", NUMBERS)
def test_scores_of_any_type_are_those_numbers(figure, name):
    assert FIGURES[figure](LABEL, NUMBERS[name]) == FIGURES[figure](LABEL, SCORE)


@pytest.mark.parametrize("figure", [name for name in FIGURES if name != "nab_score"])
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_scores_that_are_no_numbers_are_refused(figure, name):
    with pytest.raises(ValueError, match=r"must be a number|must be of the same records"):
        FIGURES[figure](LABEL, NO_NUMBERS[name])


@pytest.mark.parametrize("name", [n for n in NO_NUMBERS if n not in ("longer", "a table")])
@pytest.mark.parametrize("baseline", ["z_largest", "pca", "kmeans"])
def test_baselines_take_numbers_of_any_type_and_nothing_else(baseline, name):
    expected, given = (evaluate.baselines()[baseline] for _ in range(2))
    for detector, rows in ((expected, POINTS), (given, POINTS.tolist())):
        detector.fit(rows)
    assert (given.score(POINTS.astype(object)) == expected.score(POINTS)).all()
    if name not in ("NaN", "none"):  # missing values count as the mean
        with pytest.raises(ValueError, match="must be a number"):
            evaluate.baselines()[baseline].fit(np.asarray(NO_NUMBERS[name])[:, None])


def test_lengths_are_whole_records():
    with pytest.raises(ValueError, match="whole buffer"):
        evaluate.vus_pr(LABEL, SCORE, 1.5)
    with pytest.raises(ValueError, match="record numbers"):
        evaluate.nab_score([evaluate.NabSeries(SCORE, [(0.5, 1)])])


def test_a_silhouette_is_of_finite_points_with_labels():
    labels = np.arange(50) % 2
    assert evaluate.silhouette(POINTS.tolist(), labels) == evaluate.silhouette(POINTS, labels)
    with pytest.raises(ValueError, match="1 coordinates not finite"):
        evaluate.silhouette(np.where(POINTS[3, 1] == POINTS, np.nan, POINTS), labels)
    with pytest.raises(ValueError, match="a label"):
        evaluate.silhouette(POINTS, labels[1:])
