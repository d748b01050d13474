"""Detectors that count a channel which never moved in training, and now does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ember_core.evaluate import Baseline

from .fleet import Floats

STEP = 10.0  # usual deviations: the most that the product lets such a channel count


class CountsConstants:
    """A detector to which a departure from a constant is ten usual deviations.

    The detectors take one unit of the channel as its usual deviation otherwise, and channels of
    recorded sets are scaled into 0 to 1: such a departure would all but vanish.

    Args:
        detector: The detector.
    """

    def __init__(self, detector: Baseline) -> None:
        self._detector = detector
        self._constant: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._value: Floats = np.zeros(0)

    def fit(self, train: Floats) -> None:
        """Learn from training records `(T, C)`."""
        low, high = np.fmin.reduce(train), np.fmax.reduce(train)  # they pass over NaN
        self._constant, self._value = low == high, low
        self._detector.fit(self._changed(train))

    def score(self, test: Floats) -> Floats:
        """Score of each record, `(T,)`."""
        return self._detector.score(self._changed(test))

    def _changed(self, rows: Floats) -> Floats:
        departures = STEP * np.sign(rows - self._value)
        return np.where(self._constant & np.isfinite(rows), departures, rows)
