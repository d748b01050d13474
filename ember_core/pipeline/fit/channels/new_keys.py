"""Usual values of keys with little or no history, leaning on the fleet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ember_core.pipeline.fit.series import MIN_ROWS, Series
from ember_core.pipeline.stage import State

from .profiles import DAY_US, DAYS_FOR_DAY, DAYS_FOR_WEEK, FLEET

COLD_EXCESS: Final = 0.8
"""Least mean size of the departures of a new key, in usual sizes."""
_RIDGE = 1.5
"""Variance of a departure in the fit of a new key's loadings: 30 rows that say the same."""


class Spans:
    """Lengths of the histories of a fleet's keys.

    A key with a short history among `FLEET` with a whole one is new: it leans on them, and teaches
    them nothing.

    Args:
        series: History of the keys.

    Attributes:
        has_day: Whether the usual history shows a profile of the day.
        has_week: Whether it shows one of the week.
        new: New keys, `(K,)`.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        days = np.array([(s.time_us[-1] - s.time_us[0]) / DAY_US for s in series])
        has_rows = np.array([len(s.time_us) >= MIN_ROWS for s in series])
        usual_days = float(np.median(days[has_rows] if has_rows.any() else days))
        self.has_day, self.has_week = usual_days >= DAYS_FOR_DAY, usual_days >= DAYS_FOR_WEEK
        least_days = DAYS_FOR_WEEK if self.has_week else min(usual_days, DAYS_FOR_DAY) * 0.5
        is_whole = has_rows & (days >= least_days)
        self.new = ~is_whole & (is_whole.sum() >= FLEET)


def lean_on_fleet(key: Any, basis: Any, share: Any) -> Any:
    """Return the loadings of a new key, `(C, r)`: ridge regression towards the fleet's.

    The level is fitted with them, since few hours of a day tell little of it.

    Args:
        key: The key, its level written to.
        basis: Profiles of the fleet, `(C, r, D + W)`.
        share: Shares of its keys, `(K, C, r)`.
    """
    out = np.zeros(share.shape[1:])
    mean, variance = share.mean(axis=0), np.maximum(share.var(axis=0), 1e-6)
    for c in range(basis.shape[0]):
        finite = np.isfinite(key.y[:, c])
        columns = basis[c][:, key.bins.day[finite]]
        if key.bins.weeks:
            columns = columns + basis[c][:, key.bins.days + key.bins.week[finite]]
        x = np.column_stack([np.ones(int(finite.sum())), columns.T])
        prior = np.concatenate([[0.0], mean[c]])
        weight = np.diag(np.concatenate([[0.1], 1.0 / variance[c]]))
        target = key.y[finite, c] - key.level[c]
        solved = np.linalg.solve(x.T @ x / _RIDGE + weight, x.T @ target / _RIDGE + weight @ prior)
        key.level[c] += solved[0]
        out[c] = solved[1:]
    return out


def fleet_prior(first: State, warm: Any) -> State:
    """Return the fields that a key never seen begins with: those of a usual key.

    Args:
        first: Learnt fields of every key, `(K, ...)`.
        warm: Keys with a whole history; fewer than `FLEET` are no fleet, and give none.
    """
    if len(warm) < FLEET:
        return {}
    middle = ("usual_unit", "usual_size", "usual_excess", "usual_change", "usual_run")
    prior = {name: np.median(first[name][warm], axis=0)[None] for name in middle}
    prior["usual_excess"] = np.maximum(prior["usual_excess"], COLD_EXCESS)
    prior["usual_loadings"] = first["usual_loadings"][warm].mean(axis=0)[None]
    extremes_log = np.log(first["usual_extremes"][warm].astype(np.float64))
    prior["usual_extremes"] = np.exp(extremes_log.mean(axis=0))[None]
    prior["scale_growth"] = np.ones_like(prior["usual_unit"])
    return prior
