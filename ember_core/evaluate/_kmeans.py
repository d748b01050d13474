"""A small seeded k-means: k-means++ start, then Lloyd's steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kmeans(points: Floats, clusters: int, rng: np.random.Generator, steps: int = 30) -> Floats:
    """Centres of the clusters that `points` fall into.

    Args:
        points: Shape `(n, D)`.
        clusters: Number of centres wanted; there are never more than distinct points.
        rng: Draws the start; the same generator state gives the same centres.
        steps: Most Lloyd's steps; it ends sooner when no point changes its centre.

    Returns:
        Centres, shape `(k, D)` with `1 <= k <= clusters`.
    """
    norms = _norms(points)
    centres = _start(points, norms, clusters, rng)
    owner = np.full(len(points), -1)
    for _ in range(steps):
        closest = _squared(points, norms, centres).argmin(axis=1)
        if np.array_equal(closest, owner):
            break
        owner = closest
        members = np.zeros((len(centres), len(points)))
        members[owner, np.arange(len(points))] = 1.0
        size = members.sum(axis=1)
        # A centre that lost all its points stays where it is.
        occupied = size > 0
        centres[occupied] = (members @ points)[occupied] / size[occupied, None]
    return centres


def nearest(points: Floats, centres: Floats) -> NDArray[np.int64]:
    """Number of the centre nearest to each point, shape `(n,)`."""
    owner: NDArray[np.int64] = _squared(points, _norms(points), centres).argmin(axis=1)
    return owner


def nearest_distance(points: Floats, centres: Floats) -> Floats:
    """Euclidean distance of each point from its nearest centre, shape `(n,)`."""
    distance: Floats = np.sqrt(_squared(points, _norms(points), centres).min(axis=1))
    return distance


def _start(points: Floats, norms: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """k-means++: each next centre drawn with a chance proportional to its squared distance."""
    centres = [points[int(rng.integers(len(points)))]]
    distance = _squared(points, norms, centres[0][None])[:, 0]
    while len(centres) < clusters:
        total = distance.cumsum()
        if total[-1] <= 0.0:
            break
        pick = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        centres.append(points[min(pick, len(points) - 1)])
        distance = np.minimum(distance, _squared(points, norms, centres[-1][None])[:, 0])
    return np.stack(centres)


def _norms(points: Floats) -> Floats:
    """Squared length of each point, shape `(n,)`."""
    norms: Floats = np.einsum("nd,nd->n", points, points)
    return norms


def _squared(points: Floats, norms: Floats, centres: Floats) -> Floats:
    """Squared distances `(n, k)`; rounding may leave a hair below 0, which is cut off."""
    distance: Floats = norms[:, None] + _norms(centres) - 2.0 * (points @ centres.T)
    return np.maximum(distance, 0.0, out=distance)
