"""Principal components of windows from moments that are gathered chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops

_MOST = 32  # components where nobody says how many
_ROWS = 8192  # windows flattened at once, so that memory does not follow the chunk


class Moments:
    """Count, mean and scatter matrix of vectors `(D,)`, exact however they are cut into chunks.

    Args:
        width: Length of a vector, `D`.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = np.zeros(width)
        self.scatter = np.zeros((width, width))

    def add(self, x: NDArray[np.float64]) -> None:
        """Take in vectors `(n, D)` (Chan, Golub and LeVeque 1979)."""
        for start in range(0, len(x), _ROWS):
            part = x[start : start + _ROWS]
            mean = ops.mean(part, axis=0)
            centred = part - mean
            total = self.count + len(part)
            step = mean - self.mean
            self.scatter += ops.matmul(ops.transpose(centred), centred)
            self.scatter += (self.count * len(part) / total) * step[:, None] * step[None, :]
            self.mean += step * (len(part) / total)
            self.count = total


def components(
    moments: Moments, most: int | None
) -> tuple[NDArray[Any], NDArray[np.float64], float]:
    """Directions of the largest variance.

    Args:
        moments: Moments of at least two vectors `(D,)`.
        most: Components wanted; None for half of `D`, at most 32. Never more than the vectors
            allow: their number less one.

    Returns:
        Directions `(K, D)` of length 1, the entry of largest magnitude positive; the variance
        along each `(K,)`, falling; the variance of all (divided by the count less one).
    """
    width = len(moments.mean)
    if most is None:
        most = max(1, min(width // 2, _MOST))
    k = max(1, min(most, moments.count - 1, width))
    covariance = moments.scatter / (moments.count - 1)
    values, vectors = ops.linalg.eigh(covariance)
    directions = ops.transpose(vectors)[::-1][:k]
    variance = ops.maximum(values[::-1][:k], 0.0)
    peak = ops.argmax(ops.abs(directions), axis=1)
    sign = np.sign(directions[np.arange(k), peak])
    return directions * sign[:, None], variance, float(np.trace(covariance))
