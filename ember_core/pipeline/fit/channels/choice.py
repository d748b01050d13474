"""Choice of profile and anchor of every channel, by forecasts two hours ahead."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from .padded import average, padded
from .profiles import DAY, HALF_WEEK, NONE, WEEK, Mode

DISCRETE: Final = 0.15
"""Share of the rows that one value of a discrete channel holds."""
AHEAD_SECONDS: Final = 7_200.0
_KEYS = 24
_MOST = 5.0


class Anchor(NamedTuple):
    """Anchor of a channel.

    Attributes:
        half_life: In usual intervals; 0: none.
        cost: Factor on the error of a forecast: an anchor that follows fast also hides slow faults.
        is_fast: Whether the profile beside it costs ten times as much.
    """

    half_life: float
    cost: float
    is_fast: bool


class Choice(NamedTuple):
    """Profile and anchor of a channel, and the name of the profile."""

    mode: Mode
    anchor: Anchor
    profile: str


_PROFILES = {
    "none": (NONE, 1.0),
    "day": (DAY, 1.03),
    "day and half the week": (HALF_WEEK, 1.05),
    "week": (WEEK, 1.06),
}


def anchors(day_rows: float, *, has_day: bool) -> list[Anchor]:
    """Return the anchors to choose from."""
    if not has_day:
        return [Anchor(0.0, 1.04, False), Anchor(720.0, 1.0, False), Anchor(120.0, 1.8, True)]
    return [
        Anchor(0.0, 1.04, False),
        Anchor(day_rows, 1.0, False),
        Anchor(day_rows / 4.0, 1.3, True),
        Anchor(day_rows / 24.0, 1.8, True),
    ]


def horizon_rows(step: float, rows: int, *, has_day: bool) -> int:
    """Return how many rows ahead a forecast is tried."""
    horizon = AHEAD_SECONDS / step if has_day else min(AHEAD_SECONDS / step, 120.0)
    return max(1, min(int(horizon), rows // 10))


def choose(
    fit: Any, keys: list[Any], warm: Any, bases: list[Any], loadings: list[Any]
) -> list[Choice]:
    """Return the choice for each channel, that of the smallest error over a fleet's keys.

    Args:
        fit: The fit: spans, step, and profiles out of fold.
        keys: Its keys.
        warm: Keys with a whole history.
        bases: Profiles of the fleet, of each fold.
        loadings: Shares of each key, of each fold.
    """
    sample_keys = warm[:_KEYS]
    names = ["none"]
    if fit.has_day:
        names.append("day")
    if fit.has_week:
        names += ["day and half the week", "week"]
    usual_rows = int(np.median([len(keys[k].y) for k in sample_keys]))
    horizon = horizon_rows(fit.step, usual_rows, has_day=fit.has_day)
    elapsed = padded([keys[k].elapsed for k in sample_keys], 0.0)
    best: list[tuple[float, Choice] | None] = [None] * len(fit.channels)
    for name in names:
        mode, cost = _PROFILES[name]
        residuals = padded(
            [
                (
                    keys[k].y
                    - keys[k].level
                    - fit.out_of_fold(keys[k], int(k), bases, loadings, mode)
                ).astype(np.float32)
                for k in sample_keys
            ]
        )
        for anchor in anchors(fit.day_rows, has_day=fit.has_day):
            if usual_rows < 3 * anchor.half_life:
                continue
            error = _error(residuals, elapsed, anchor, horizon, fit)
            total = error * anchor.cost * (1.0 + (10.0 if anchor.is_fast else 1.0) * (cost - 1.0))
            for c, value in enumerate(total.tolist()):
                current = best[c]
                if current is None or value < current[0]:
                    best[c] = value, Choice(mode, anchor, name)
    return [choice[1] for choice in best if choice is not None]


def _error(residuals: Any, elapsed: Any, anchor: Anchor, horizon: int, fit: Any) -> Any:
    """Return the error of forecasts of each channel, `(C,)`, mean over keys."""
    if anchor.half_life:
        errors = residuals[horizon:] - average(residuals, elapsed, anchor.half_life)[:-horizon]
    else:
        errors = residuals[horizon:]
    begin = int(min(len(errors) // 4, fit.day_rows))
    errors = np.minimum(np.abs(errors[begin:]), _MOST)
    finite = np.isfinite(errors)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, errors, 0.0).sum(axis=0) / count
    square = np.sqrt((np.where(finite, errors, 0.0) ** 2).sum(axis=0) / count)
    return np.where(fit.discrete, square, mean).mean(axis=0)
