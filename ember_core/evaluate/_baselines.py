"""Baselines a detector must beat: five simple ones, causal and deterministic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ._kmeans import kmeans, nearest_distance
from ._ranges import as_numbers

Floats = NDArray[np.float64]

WINDOW = 10
_SCORED_AT_ONCE = 4096  # windows; bounds the memory of a wide set
_FITTED = 4096  # windows that k-means learns from, spread evenly over the training part


class Baseline(Protocol):
    """Learns from training records and scores the following ones, never looking ahead."""

    def fit(self, train: Floats) -> None:
        """Learn from training records, shape `(T, C)`; NaN where a channel is missing."""

    def score(self, test: Floats) -> Floats:
        """Score of each record, shape `(T,)`, higher is more anomalous; from fresh state."""


def baselines(seed: int = 0) -> dict[str, Baseline]:
    """The five that are printed beside every result, by name."""
    return {
        "random": RandomScore(seed),
        "z_largest": ZScore("largest"),
        "z_mean": ZScore("mean"),
        "pca": PCAWindows(),
        "kmeans": KMeansWindows(seed=seed),
    }


class RandomScore:
    """Uniform random scores: what a figure is worth by chance."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def fit(self, train: Floats) -> None:
        """Learn nothing; accepted for the interface."""

    def score(self, test: Floats) -> Floats:
        """Uniform numbers in [0, 1), shape `(T,)`."""
        return self._rng.random(len(test))


class ZScore:
    """Largest, or mean, absolute z-score of the channels.

    Args:
        over: `"largest"` (not clipped) or `"mean"` (clipped at 10, or one channel drowns the rest).
    """

    def __init__(self, over: str = "largest") -> None:
        if over not in ("largest", "mean"):
            raise ValueError(
                f"Channels are joined in one of two ways. Expected 'largest' or 'mean'. "
                f"Received: over={over!r}."
            )
        self._largest = over == "largest"
        self._standard = Standard(clip=np.inf if self._largest else 10.0)

    def fit(self, train: Floats) -> None:
        """Learn mean and deviation of each channel."""
        self._standard.fit(train)

    def score(self, test: Floats) -> Floats:
        """Largest or mean absolute z-score, shape `(T,)`."""
        size = np.abs(self._standard(test))
        combined: Floats = size.max(axis=1) if self._largest else size.mean(axis=1)
        return combined


class PCAWindows:
    """Squared reconstruction error of the last `window` rows by the main components.

    Args:
        window: Rows a window holds.
        explained: Share of the training windows' variance that the kept components explain.
    """

    def __init__(self, window: int = WINDOW, explained: float = 0.9) -> None:
        self.window = window
        self.explained = explained
        self._standard = Standard()
        self._mean = np.empty(0)
        self._components = np.empty((0, 0))

    def fit(self, train: Floats) -> None:
        """Learn the components, by the eigenvectors of the windows' covariance."""
        self._standard.fit(train)
        rows = self._standard(train)
        size = self.window * rows.shape[1]
        total, outer, n = np.zeros(size), np.zeros((size, size)), 0
        for block in _windows(rows, self.window):
            # Sums of blocks: all windows at once would need `window` times the rows' memory.
            total += block.sum(axis=0)
            outer += block.T @ block
            n += len(block)
        self._mean = total / n
        variance, vectors = np.linalg.eigh(outer / n - np.outer(self._mean, self._mean))
        share = np.maximum(variance[::-1], 0.0).cumsum()
        enough = share >= self.explained * share[-1]
        self._components = vectors[:, ::-1][:, : int(enough.argmax()) + 1]

    def score(self, test: Floats) -> Floats:
        """Squared distance of each window from the main components' space, shape `(T,)`."""
        parts = []
        for block in _windows(self._standard(test), self.window):
            centred = block - self._mean
            residual = centred - (centred @ self._components) @ self._components.T
            parts.append((residual * residual).sum(axis=1))
        return np.concatenate(parts) if parts else np.empty(0)


class KMeansWindows:
    """Distance of the last `window` rows from the nearest of `clusters` centres.

    Args:
        window: Rows a window holds.
        clusters: Number of centres (fewer where there are fewer training windows).
        seed: Seed of the k-means++ start.
    """

    def __init__(self, window: int = WINDOW, clusters: int = 50, seed: int = 0) -> None:
        self.window = window
        self.clusters = clusters
        self.seed = seed
        self._standard = Standard()
        self._centres = np.empty((0, 0))

    def fit(self, train: Floats) -> None:
        """Learn the centres from at most 4,096 windows spread evenly over the training part."""
        self._standard.fit(train)
        rows = self._standard(train)
        indices = np.unique(np.linspace(0, len(rows) - 1, min(_FITTED, len(rows))).astype(np.int64))
        # The first windows repeat the first row instead of reaching before the series.
        window_rows = np.maximum(indices[:, None] + np.arange(1 - self.window, 1), 0)
        points = rows[window_rows].reshape(len(indices), -1)
        self._centres = kmeans(points, self.clusters, np.random.default_rng(self.seed))

    def score(self, test: Floats) -> Floats:
        """Distance from the nearest centre, shape `(T,)`."""
        blocks = _windows(self._standard(test), self.window)
        parts = [nearest_distance(block, self._centres) for block in blocks]
        return np.concatenate(parts) if parts else np.empty(0)


class Standard:
    """`(x - mean) / max(std, 1 % of the range)` per channel, learnt from the training part.

    The floor of 1 % (the product has 5 %) is that of the prototypes the table of known figures
    was measured with. A missing value counts as the mean; a channel that never moved in training
    keeps its own unit.
    """

    def __init__(self, clip: float = 10.0) -> None:
        self.clip = clip
        self._mean = np.empty(0)
        self._scale = np.empty(0)

    def fit(self, train: Floats) -> None:
        train = as_numbers(train, "A record's value")
        if train.ndim != 2 or not len(train):
            raise ValueError(
                f"A baseline learns from training records. Expected shape (T, C) with T >= 1. "
                f"Received: shape={train.shape}."
            )
        present = np.isfinite(train)
        n = np.maximum(present.sum(axis=0), 1)
        self._mean = np.where(present, train, 0.0).sum(axis=0) / n
        centred = np.where(present, train - self._mean, 0.0)
        std = np.sqrt((centred * centred).sum(axis=0) / n)
        scale = np.maximum(std, 0.01 * (centred.max(axis=0) - centred.min(axis=0)))
        self._scale = np.where(scale > 0.0, scale, 1.0)

    def __call__(self, rows: Floats) -> Floats:
        z = (as_numbers(rows, "A record's value") - self._mean) / self._scale
        return np.clip(np.where(np.isnan(z), 0.0, z), -self.clip, self.clip)


def _windows(rows: Floats, window: int) -> Iterator[Floats]:
    """The last `window` rows at each row, the first row repeated before it: `(n, window * C)`."""
    if not len(rows):
        return
    padded = np.concatenate([np.repeat(rows[:1], window - 1, axis=0), rows])
    for start in range(0, len(rows), _SCORED_AT_ONCE):
        part = padded[start : start + _SCORED_AT_ONCE + window - 1]
        view = np.lib.stride_tricks.sliding_window_view(part, window, axis=0)
        yield view.transpose(0, 2, 1).reshape(len(view), -1)
