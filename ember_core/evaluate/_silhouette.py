"""Silhouette: the separation of clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._ranges import as_numbers

Floats = NDArray[np.float64]


def silhouette(points: Floats, labels: NDArray[np.int64]) -> float:
    """Mean silhouette (Rousseeuw, 1987): near 1 apart, near 0 touching, below 0 mixed up.

    Of each point `(b - a) / max(a, b)`, with `a` the mean distance to its own cluster's others
    and `b` the smallest mean distance to another cluster's points; 0 in a cluster of one.

    Args:
        points: Shape `(n, D)`. Memory and time grow with `n` squared.
        labels: Cluster of each point, shape `(n,)`.

    Raises:
        ValueError: If there are fewer than two clusters, or points are not finite or not those of
            the labels.

    Examples:
        >>> import numpy as np
        >>> points = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> round(silhouette(points, np.array([0, 0, 1, 1])), 3)
        0.9
    """
    points = as_numbers(points, "A coordinate").astype(np.float64)
    if points.shape[:1] != np.shape(labels) or points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(
            "Every point has finite coordinates and a label. Expected points (n, D) and labels "
            f"(n,). Received: points.shape={points.shape}, labels.shape={np.shape(labels)}, "
            f"{int((~np.isfinite(points)).sum())} coordinates not finite."
        )
    kinds, cluster = np.unique(labels, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError(
            f"A silhouette compares clusters. Expected two or more. Received: {len(kinds)}."
        )
    norms = np.einsum("nd,nd->n", points, points)
    squared = np.maximum(norms[:, None] + norms - 2.0 * (points @ points.T), 0.0)
    np.fill_diagonal(squared, 0.0)
    member = np.eye(len(kinds))[cluster]
    sizes = member.sum(axis=0)
    sums = np.sqrt(squared) @ member
    rows = np.arange(len(points))
    # A point's distance to itself is 0, so its own cluster has one term less.
    own_distance = sums[rows, cluster] / np.maximum(sizes[cluster] - 1, 1)
    means = sums / sizes
    means[rows, cluster] = np.inf
    outside = means.min(axis=1)
    value = (outside - own_distance) / np.maximum(
        np.maximum(own_distance, outside), np.finfo(float).tiny
    )
    return float(np.where(sizes[cluster] > 1, value, 0.0).mean())
