"""Figures over single records: average precision, best F1, F1 of given flags."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ranges import as_label, as_score


class BestF1(NamedTuple):
    """The best F1 any fixed threshold could reach: an upper bound, since it reads the labels."""

    f1: float
    threshold: float
    """Flag where `score >= threshold`."""


class PointScores(NamedTuple):
    """Counts of records, and the figures made of them."""

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float
    """NaN if nothing is flagged."""
    recall: float
    """NaN if nothing is labelled."""
    f1: float
    """NaN if nothing is labelled and nothing flagged."""


def auc_pr(label: ArrayLike, score: ArrayLike) -> float:
    """Average precision: `sum((R_n - R_{n-1}) P_n)` over the distinct scores, highest first.

    Args:
        label: 0/1 per record, shape `(T,)`.
        score: Score per record, higher is more anomalous, shape `(T,)`.

    Returns:
        Average precision in [0, 1]; NaN if no record is labelled 1.

    Raises:
        ValueError: If shapes differ or a score is NaN.

    Examples:
        >>> round(auc_pr([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8]), 3)
        1.0
    """
    _, hits, flagged = _sweep(label, score)
    if not hits.size or hits[-1] == 0:
        return float("nan")
    return float(np.diff(hits, prepend=0) @ (hits / flagged) / hits[-1])


def best_f1(label: ArrayLike, score: ArrayLike) -> BestF1:
    """The best F1 over all thresholds, and the (highest) threshold that gives it.

    Args:
        label: 0/1 per record, shape `(T,)`.
        score: Score per record, higher is more anomalous, shape `(T,)`.

    Returns:
        F1 in [0, 1] and the threshold; both NaN if no record is labelled 1.

    Raises:
        ValueError: If shapes differ or a score is NaN.
    """
    levels, hits, flagged = _sweep(label, score)
    if not hits.size or hits[-1] == 0:
        return BestF1(float("nan"), float("nan"))
    f1 = 2.0 * hits / (flagged + hits[-1])
    best = int(f1.argmax())
    return BestF1(float(f1[best]), float(levels[best]))


def point_f1(label: ArrayLike, flags: ArrayLike) -> PointScores:
    """Precision, recall and F1 of flagged records; every record counts for itself.

    There is no point-adjustment here or anywhere in this package: with it, random flags look good.

    Args:
        label: 0/1 per record, shape `(T,)`.
        flags: 0/1 per record from a threshold that never saw the labels, shape `(T,)`.

    Returns:
        Counts and figures.

    Raises:
        ValueError: If the shapes differ.
    """
    truth, raised = as_label(label), _as_flags(flags, label)
    hits = int((truth & raised).sum())
    return point_scores(hits, int(raised.sum()) - hits, int(truth.sum()) - hits)


def point_scores(hits: int, false_alarms: int, missed: int) -> PointScores:
    """The figures that follow from counts, also from counts pooled over several keys."""
    return PointScores(
        hits,
        false_alarms,
        missed,
        precision=ratio(hits, hits + false_alarms),
        recall=ratio(hits, hits + missed),
        f1=ratio(2 * hits, 2 * hits + false_alarms + missed),
    )


def ratio(part: float, whole: float) -> float:
    """`part / whole`; NaN where `whole` is 0, that is, where the figure is not defined."""
    return part / whole if whole else float("nan")


def _as_flags(flags: ArrayLike, label: ArrayLike) -> NDArray[np.bool_]:
    raised = as_label(flags)
    records = np.asarray(label).size
    if raised.size != records:
        raise ValueError(
            f"Flags and labels must be of the same records. Expected shape ({records},). "
            f"Received: shape={raised.shape}."
        )
    return raised


def _sweep(
    label: ArrayLike, score: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct scores, falling; hits and flagged records at `score >= level`, each `(U,)`."""
    truth = as_label(label)
    values = as_score(score, truth.size)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    # `!=` rather than a difference: inf - inf is NaN.
    # Records of equal score cannot be told apart: only their last one is a threshold.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if truth.size else order
    hits = truth[order].cumsum(dtype=np.int64)[last]
    return ranked[last], hits, (last + 1).astype(np.int64)
