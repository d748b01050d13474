"""The present level and spread of keys taken as their usual ones, at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .evidence import ChannelEvidence
from .evidence.signals import SPREAD
from .group_motor import GroupMotor
from .pipeline import Pipeline
from .stage import State
from .windows import ExponentialWindows

_WIDER: Final = (1.0, 8.0)
"""Least and largest factor on the usual size: a key never becomes more sensitive by this."""
_BOUND: Final = 6.0
"""Average departure up to which it is a level; beyond, the averages are cut off."""
_VALUES: Final = 5.0
"""Values that the present level counts as, beside those to come."""
_FREE: Final = 20.0
"""Usual intervals, counted twice, for which the anchor follows the new level freely."""
_QUICK: Final = 0
"""Place of the moving average that follows a level quickest, among those of a channel."""


def take_present(pipeline: Pipeline, state: State, time_us: Any) -> State:
    """Return the fields of keys that change when their present is usual from now on.

    Levels come from the moving averages of the last rows, and a spread that has grown from their
    deviations. What the key has learnt of the shape of a day, of other channels and of its tail
    stays. Its episode ends.

    Args:
        pipeline: The pipeline, on NumPy's arrays.
        state: Fields of the keys, `(K, ...)`.
        time_us: Present time of each, `(K,)`.
    """
    new = rested(pipeline, state)
    moved = None
    if pipeline.channels is not None:
        channels, moved = _channels(pipeline.channels, state, time_us)
        new |= channels
    if isinstance(pipeline.windows, ExponentialWindows):
        new |= _levels(pipeline, pipeline.windows, state, moved)
    return new


def rested(pipeline: Pipeline, state: State) -> State:
    """Return the fields of a motor neuron that has just resolved, and is used to nothing.

    Args:
        pipeline: The pipeline.
        state: Fields of the keys, `(K, ...)`.
    """
    motor = pipeline.motor
    names = ["evidence", "firing"]
    if isinstance(motor, GroupMotor):
        names += ["calm", "paged", "joined", "habituation", "raised", "lowered"]
    rested: State = {name: 0 * state[name] for name in names}
    rested["refractory"] = 0 * state["refractory"] + motor.refractory_rows
    rested["tail_held"] = 0 * state["tail_held"]
    return rested


def _levels(pipeline: Pipeline, windows: ExponentialWindows, state: State, moved: Any) -> State:
    """Return scales of the channels and the averages in them.

    Args:
        pipeline: The pipeline.
        windows: Its windows.
        state: Fields of the keys.
        moved: True for channels whose level goes off before the scales, `(K, C)`; None: none.
    """
    c, strides = windows.n_channels, len(windows.half_lives)
    level = np.asarray(state["ewma"])[:, min(1, strides - 1)].astype(np.float64)
    deviations = np.sqrt(np.maximum(state["ewvar"], 0.0)).astype(np.float64)
    begin = c * (1 + strides)
    usual = np.asarray(state["feature_mean"])[:, begin : begin + c * strides]
    usual = np.maximum(usual.reshape(-1, strides, c), 1e-3)
    # A jump widens the slow deviations for a while; the least of them is the spread.
    wider = np.clip((deviations / usual).min(axis=1), *_WIDER)
    normaliser = pipeline.normaliser
    kept = {name: state[name] for name in ("norm_mean", "norm_var", "norm_low", "norm_high")}
    size = normaliser.scale(state)
    shift = level * size if moved is None else np.where(moved, 0.0, level * size)
    middle = 0.5 * (kept["norm_low"] + kept["norm_high"]) + shift
    half = 0.5 * (kept["norm_high"] - kept["norm_low"]) * wider

    def rescaled(z: Any) -> Any:
        return ((z - level[:, None]) / wider[:, None]).astype(np.float32)

    return {
        "norm_mean": kept["norm_mean"] + shift,
        "norm_var": kept["norm_var"] * wider * wider,
        "norm_low": middle - half,
        "norm_high": middle + half,
        "ewma": rescaled(state["ewma"]),
        "ewvar": (usual * usual).astype(np.float32),
        "pending": rescaled(state["pending"]),
        "carried": rescaled(state["carried"][:, None])[:, 0],
        "anchor": (0.0 * state["anchor"]).astype(np.float32),
    }


def _channels(stage: ChannelEvidence, state: State, time_us: Any) -> tuple[State, Any]:
    """Return usual levels and sizes of channels, and which levels go off before the scales."""
    day, _ = stage.calendar.bins(np.asarray(time_us), stage.bin_seconds)
    day_size = np.asarray(stage.day_size)[np.asarray(day) % len(stage.day_size)]
    growth = np.clip(state["scale_growth"], 1.0, 4.0)
    averages = np.asarray(state["channel_averages"])
    half_life: Any = np.asarray(stage.anchor_half_life)
    average, is_anchored = averages[:, _QUICK], half_life > 0
    present = state["channel_anchor"] + average * growth * day_size
    present = np.where(np.abs(average) < _BOUND, present, state["last_departure"])
    change = np.maximum(state["usual_change"], 1e-3)
    wider = np.clip(averages[:, SPREAD] / change, *_WIDER).astype(np.float32)
    wider = np.where(wider > 1.5, wider, np.float32(1.0))
    moved = np.broadcast_to(~is_anchored, present.shape) & (state["usual_unit"] > 0)
    extremes = state["usual_extremes"].copy()
    extremes *= wider[:, None]
    run = state["usual_run"]
    quiet = averages.copy()
    quiet[:, :SPREAD] = 0.0
    size = np.maximum(state["usual_size"], 1e-6)
    # A level that is being accepted: for some rows nothing holds the anchor back.
    free = _floats(is_anchored, half_life + _FREE, 0.0)
    return {
        "usual_level": state["usual_level"] + np.where(moved, present * size, 0.0),
        "channel_anchor": _floats(is_anchored, present, state["channel_anchor"]),
        # The anchor's mean goes on from so few values: rows to come make the level exact.
        "channel_rows": _floats(
            is_anchored, np.minimum(state["channel_rows"], _VALUES), state["channel_rows"]
        ),
        "last_departure": state["last_departure"] - np.where(moved, present, 0.0),
        "channel_averages": quiet,
        "own_averages": 0.0 * state["own_averages"],
        "channel_far": 0.0 * state["channel_far"] + free,
        "usual_extremes": extremes,
        "usual_change": state["usual_change"] * wider,
        "usual_run": _floats((run > 0) & (state["equal_run"] >= run), 0.0, run),
    }, moved


def _floats(condition: Any, chosen: Any, other: Any) -> Any:
    """Return `where` as float32."""
    return np.asarray(np.where(condition, chosen, other), dtype=np.float32)
