"""Other detectors over the same fleets, each fitted to every key by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ember_core.evaluate import Baseline, KMeansWindows, PCAWindows, ZScore

from .calibration import Scored
from .constant import CountsConstants
from .cut_forest import CutForest
from .fleet import Fleet, Floats
from .naive import NAMED, as_rates, naive

MAKERS: Final[dict[str, Callable[[], Baseline]]] = {
    "z": lambda: ZScore("largest"),
    "pca": PCAWindows,
    "kmeans": KMeansWindows,
    "random_cut_forest": lambda: CutForest(0),
}
DETECTORS: Final = ("naive_seasonal", *MAKERS)


def scored(name: str, fleet: Fleet) -> Scored:
    """Scores of a detector by its name in `DETECTORS`."""
    if name == "naive_seasonal":
        return naive(fleet)
    train, test, channel_index = [], [], []
    for series in fleet.keys:
        values = as_rates(series.values)
        head, tail = values[series.train], values[~series.train]
        detector = CountsConstants(MAKERS[name]())
        detector.fit(head)
        train.append(detector.score(head))
        test.append(detector.score(tail))
        channel_index.append(_farthest(head, tail))
    return Scored(train, test, channel_index)


def _farthest(head: Floats, tail: Floats) -> NDArray[np.int64]:
    """Channels that are farthest from their mean, at each scored row: these detectors name none."""
    spread = np.maximum(np.nanstd(head, axis=0), 1e-9)
    size = np.abs(np.nan_to_num((tail - np.nanmean(head, axis=0)) / spread))
    order: NDArray[np.int64] = np.argsort(-size, axis=1, kind="stable")[:, :NAMED]
    return order
