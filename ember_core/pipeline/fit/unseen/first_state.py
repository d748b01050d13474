"""First state of a key never seen: the scales, levels, tail and spread of a usual key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.scales import MIN_FLEET
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .levels import fleet_levels

MIN_SHOWN = 3
"""Keys that show how far one key is from another."""
TAIL_ROWS = (50.0, 2000.0)
"""Fewest and most rows that the fleet's tail counts as beside a new key's own."""
_QUANTILE_ROWS = 490.0
"""Variance of a 98 % quantile in squared mean excesses, times the number of rows, where ten rows
say as much as one that is independent."""


def begin_as_fleet(
    pipeline: Pipeline,
    series: Sequence[Series],
    residuals: Sequence[Series],
    key_state: State,
    new_state: State,
) -> None:
    """Let keys never seen begin with the levels and spreads of a usual key, by empirical Bayes.

    What the fleet's keys differ in less than a key's few rows tell counts as more rows of its own.

    Args:
        pipeline: The pipeline, its thresholds set; written to.
        series: History of the keys with a whole one.
        residuals: The same without their seasonal part, as the normaliser takes them.
        key_state: First states of these keys.
        new_state: That of a key never seen, written to.
    """
    high, excess = key_state["tail_high"].astype(np.float64), key_state["tail_excess"]
    tail_rows = _QUANTILE_ROWS * float(np.mean(excess)) ** 2 / max(float(high.var()), 1e-9)
    pipeline.arrival.assign(
        {"tail_rows": np.array([np.clip(tail_rows, *TAIL_ROWS)], dtype=np.float32)}
    )
    scale = np.sqrt(np.maximum(new_state["norm_var"][0], 1e-18))
    levels = fleet_levels([s.values for s in residuals], scale)
    if levels is None:
        return
    new_state["norm_mean"][0] = levels.mean
    bounds = {"mean_rows": levels.rows, "least": levels.lowest, "most": levels.highest}
    pipeline.normaliser.assign({name: _float32(value) for name, value in bounds.items()})
    for name in ("drift_usual", "drift_size", "joint_mid"):
        if name in key_state:
            new_state[name][0] = np.median(key_state[name], axis=0)
    for name in ("joint_size", "joint_extreme"):
        if name in key_state:  # a deviation of the keys more: the others do not foretell it
            logs = np.log(np.maximum(key_state[name].astype(np.float64), 1e-6))
            new_state[name][0] = np.exp(logs.mean(axis=0) + logs.std(axis=0))
    if pipeline.channels is not None:
        _begin_channels(pipeline, series, new_state)


def _begin_channels(pipeline: Pipeline, series: Sequence[Series], new_state: State) -> None:
    """Set the first level of each channel, in its transformed unit, and where it is learnt."""
    stage, unit = pipeline.channels, new_state["usual_unit"][0]
    assert stage is not None
    if len(series) < MIN_FLEET or not (unit > 0).all():
        return
    levels = fleet_levels([stage.transforms(s.values) for s in series], unit)
    assert levels is not None
    new_state["usual_level"][0] = levels.mean / unit
    bounds = {
        "level_rows": levels.rows,
        "level_least": levels.lowest,
        "level_most": levels.highest,
    }
    stage.assign({name: _float32(value) for name, value in bounds.items()})


def without_own(new_state: State, own: State, keys: int) -> State:
    """Return first states as the other keys alone would give them, `(N, ...)`.

    A mean over the keys is drawn to each of them; what a key begins with must not know it.

    Args:
        new_state: First state of a key never seen, `(1, ...)`.
        own: First states of some of the keys.
        keys: Number of keys that the mean is of.
    """
    count = len(own["known"])
    out = {name: np.repeat(value, count, axis=0) for name, value in new_state.items()}
    for name in ("norm_var", "feature_var"):
        logs = (np.log(np.maximum(x[name], 1e-18)) for x in (out, own))
        fleet, key = logs
        out[name][...] = np.exp(fleet + (fleet - key) / (keys - 1))
    for name in ("feature_mean",):
        out[name][...] = out[name] + (out[name] - own[name]) / (keys - 1)
    return out


def _float32(values: Any) -> NDArray[np.float32]:
    return np.asarray(np.clip(values, -3e38, 3e38), dtype=np.float32)
