"""Records of the steps of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.stage import State
from ember_core.training import History

from .periods import Period
from .scales import Prior
from .series import Gathered, Series


class ScalesFit(NamedTuple):
    """Scales of the channels.

    Attributes:
        first: First state of each key, `(K, ...)`, with the scales of its channels.
        prior: Scales that a key never seen begins with.
        periods_seconds: Periods of the clock.
        periods: Those found in the history, the one that explains most first.
        residuals: History of the keys as the normaliser takes it, without its seasonal part.
    """

    first: State
    prior: Prior
    periods_seconds: tuple[float, ...]
    periods: tuple[Period, ...]
    residuals: Sequence[Series]


class LiquidFit(NamedTuple):
    """Read-out of the liquid network.

    Attributes:
        rows: Rows of the history, as the fitted network leaves them.
        report: Mean squared error of each horizon, as of `fit_liquid`.
    """

    rows: Gathered
    report: dict[str, float]


class ScoresFit(NamedTuple):
    """Weights of the RBM, and the scores that follow from them.

    Attributes:
        history: Errors of each epoch.
        scores: Free energy of each gathered row, `(R,)`.
        new_features: First values of the feature scaler's fields for a key never seen.
    """

    history: History
    scores: NDArray[np.float32]
    new_features: State


class TailFit(NamedTuple):
    """Tails of all keys.

    Attributes:
        log_scores: Log score of each gathered row, `(R,)`.
        new_state: First state of a key never seen, `(1, ...)`.
    """

    log_scores: Any
    new_state: State
