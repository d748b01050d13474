"""Visible units of rows, four at a time where they are whitened."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.visible_units import CLIP, CLOCK_SCALE, VisibleUnits

from .arrays import contiguous
from .compiler import compiled
from .elementary import larger, on_grid, smaller
from .parameters import Parameters, prepared
from .products import TILE_ROWS, exact_product, padded

_F = np.float32
_CLIP, _CLOCK_SCALE = _F(CLIP), _F(CLOCK_SCALE)


@compiled
def append_clock(clock: Any, visible: Any) -> None:
    """Write the clock `(R, n_clock)` into the last columns of the visible units `(R, V)`."""
    offset = visible.shape[1] - clock.shape[1]
    for r in range(clock.shape[0]):
        for c in range(clock.shape[1]):
            visible[r, offset + c] = _CLOCK_SCALE * clock[r, c]


@compiled
def whiten_rows(visible: Any, whitener: Any) -> None:
    """Take the usual correlations out of visible units `(R, V)`, in place.

    Args:
        visible: `(R, V)`, float32.
        whitener: `(V, V)`, float64, padded.
    """
    rows, v = visible.shape
    wide = np.zeros((TILE_ROWS, v))
    sums = np.empty((TILE_ROWS, whitener.shape[1]))
    part = np.empty_like(sums)
    for start in range(0, rows, TILE_ROWS):
        count = min(TILE_ROWS, rows - start)
        for q in range(count):
            for d in range(v):
                wide[q, d] = np.float64(on_grid(visible[start + q, d]))
        exact_product(wide, 0, count, whitener, sums, part)
        for q in range(count):
            for d in range(v):
                visible[start + q, d] = smaller(larger(_F(sums[q, d]), -_CLIP), _CLIP)


def _parameters(stage: VisibleUnits) -> Parameters:
    return (padded(stage.exact_whitener()),)


def visible_units(
    stage: VisibleUnits, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Run `VisibleUnits.forward` on NumPy's arrays."""
    observation.scaled = observation.visible = x
    if stage.n_clock or stage.whiten:
        visible = np.empty((len(x), stage.n_features + stage.n_clock), _F)
        visible[:, : stage.n_features] = x
        if stage.n_clock:
            append_clock(contiguous(observation.clock), visible)
        if stage.whiten:
            whiten_rows(visible, *prepared(stage, (stage.whitener,), _parameters))
        observation.visible = visible
    return {}, observation.visible
