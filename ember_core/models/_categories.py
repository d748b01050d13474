"""Kinds of anomalies: rows that an RBM finds improbable, by what its hidden units make of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.evaluate import kmeans, nearest, nearest_distance, silhouette
from ember_core.ops import Array

from .rbm import RBM

_STARTS = 4
_JUDGED = 2_000  # rows a silhouette is taken over: its cost grows with their square


class Categories(NamedTuple):
    """Kinds of anomalies.

    Attributes:
        labels: `(B,)` int64, the kind of each row from 0, by size; -1 where nothing is flagged.
        silhouette: How well the kinds stand apart, below 1; 0 where there is only one.
        centres: `(K, N)`, mean hidden probabilities of each kind.
        units: `(K, V)` int64, visible units of each kind, the one that departs most from the rows
            that are not flagged first.
        departures: `(K, V)`, of those units in that order: difference of the means over the
            deviation of the rows that are not flagged, with its sign.
    """

    labels: NDArray[np.int64]
    silhouette: float
    centres: NDArray[np.float64]
    units: NDArray[np.int64]
    departures: NDArray[np.float64]


def categorize_anomalies(
    rbm: RBM,
    rows: Array,
    flagged: Any,
    *,
    most: int = 10,
    least_rows: int = 2,
    seed: int = 0,
) -> Categories:
    """Sort the flagged rows into kinds: k-means on hidden probabilities, best silhouette.

    Args:
        rbm: The model.
        rows: Visible values, `(B, V)`.
        flagged: True for rows that are anomalies, `(B,)`.
        most: Most kinds that are tried.
        least_rows: A division with a smaller kind than this is not taken.
        seed: Seed of the starts.

    Raises:
        ValueError: If `flagged` is not one boolean per row.

    Examples:
        >>> import numpy as np
        >>> from ember_core.models import RBM, categorize_anomalies
        >>> rbm = RBM(3, 2)
        >>> rbm.weights.data = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
        >>> rows = np.array([[0, 0, 0], [0, 0, 1], [9, 0, 0], [9, 1, 0], [0, -9, 0], [1, -9, 0]])
        >>> kinds = categorize_anomalies(rbm, rows, [False, False, True, True, True, True])
        >>> kinds.labels.tolist(), kinds.units[:, 0].tolist()
        ([-1, -1, 0, 0, 1, 1], [0, 1])
    """
    values = np.asarray(ops.to_numpy(ops.asarray(rows)), np.float64)
    flags = np.asarray(ops.to_numpy(ops.asarray(flagged)), bool)
    if values.ndim != 2 or flags.shape != values.shape[:1]:
        raise ValueError(
            f"Flags and rows do not belong together. Expected rows (B, {rbm.n_visible}) and one "
            f"flag per row. Received: rows.shape={values.shape}, flagged.shape={flags.shape}."
        )
    labels = np.full(len(values), -1, np.int64)
    if not flags.any():
        no_rows = np.zeros((0, rbm.n_visible))
        return Categories(
            labels, 0.0, np.zeros((0, rbm.n_hidden)), no_rows.astype(np.int64), no_rows
        )
    hidden = np.asarray(ops.to_numpy(rbm(ops.to(rows, like=rbm.weights.data))), np.float64)[flags]
    clusters, quality = _divide(hidden, most, least_rows, np.random.default_rng(seed))
    order = np.argsort(-np.bincount(clusters), kind="stable")  # the largest kind is number 0
    labels[flags] = np.argsort(order)[clusters]
    usual = values[~flags] if (~flags).any() else values
    deviation = np.maximum(usual.std(axis=0), 1e-6)
    kinds = range(len(order))
    centres = np.stack([hidden[labels[flags] == i].mean(axis=0) for i in kinds])
    differences = np.stack(
        [(values[labels == i].mean(axis=0) - usual.mean(axis=0)) / deviation for i in kinds]
    )
    units = np.argsort(-np.abs(differences), axis=1, kind="stable")
    return Categories(
        labels, quality, centres, units, np.take_along_axis(differences, units, axis=1)
    )


def _divide(
    points: NDArray[np.float64], most: int, least_rows: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """Labels of the division that stands apart best, and how well; one kind where none does."""
    best, quality = np.zeros(len(points), np.int64), 0.0
    sample = rng.permutation(len(points))[:_JUDGED]
    for count in range(2, min(most, len(points) // max(least_rows, 1)) + 1):
        trials = [kmeans(points, count, rng) for _ in range(_STARTS)]
        labels = nearest(points, min(trials, key=lambda c: nearest_distance(points, c).sum()))
        sizes = np.unique(labels, return_counts=True)[1]
        if len(sizes) < 2 or sizes.min() < least_rows or len(set(labels[sample])) < 2:
            continue
        value = silhouette(points[sample], labels[sample])
        if value > quality:
            best, quality = np.unique(labels, return_inverse=True)[1], value
    return best, quality
