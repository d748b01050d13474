"""Windows of rows, row by row: sums have NumPy's order along the axis of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.windows import RowWindows

from .arrays import contiguous
from .compiler import compiled
from .elementary import pairwise_sum

_F = np.float32


@compiled
def _sum_of_column(x: Any, c: Any, memory: Any) -> Any:
    """Return the sum of a column of `(W, C)` in NumPy's order: by pairs where it is alone."""
    if x.shape[1] == 1:
        for i in range(x.shape[0]):
            memory[i] = x[i, 0]
        return pairwise_sum(memory, 0, x.shape[0])
    total = _F(0.0)
    for i in range(x.shape[0]):
        total = total + x[i, c]
    return total


@compiled
def follow_row_windows(
    key: Any,
    ring: Any,
    ring_rows: Any,
    held_mean: Any,
    held_std: Any,
    z: Any,
    first: Any,
    size: Any,
    strides: Any,
    dilated: Any,
    levels: Any,
    features: Any,
) -> None:
    """Update the rings in place, and write the features of each row.

    Args:
        key: Key of each row, `(R,)`.
        ring: Last rows, the newest first, `(K, N, C)`.
        ring_rows: Rows absorbed, `(K,)`.
        held_mean: Means of the last hop, `(K, S, C)`; unused where `dilated`.
        held_std: Deviations of the last hop, likewise.
        z: `(R, C)`.
        first: `(R,)`.
        size: Rows in a window, `W`.
        strides: `(S,)`.
        dilated: Whether a window has every `s`-th row; otherwise it is looked at every `s` rows.
        levels: Whether the means are features.
        features: Output, `(R, D)` or wider: its first columns become the features.
    """
    channels, count = z.shape[1], _F(size)
    window, memory = np.empty((size, channels), _F), np.empty(size, _F)
    block = strides.size * channels
    for r in range(key.size):
        k = key[r]
        depth = ring.shape[1]
        if first[r]:
            ring_rows[k] = 0
            for i in range(1, depth):
                for c in range(channels):
                    ring[k, i, c] = z[r, c]
        else:
            for i in range(depth - 1, 0, -1):
                for c in range(channels):
                    ring[k, i, c] = ring[k, i - 1, c]
        for c in range(channels):
            ring[k, 0, c] = z[r, c]
            features[r, c] = z[r, c]
        for s in range(strides.size):
            step = strides[s] if dilated else 1
            is_due = dilated or ring_rows[k] % strides[s] == 0
            for c in range(channels):
                if is_due:
                    for i in range(size):
                        window[i, c] = ring[k, i * step, c]
                    mean = _sum_of_column(window, c, memory) / count
                    for i in range(size):
                        departure = window[i, c] - mean
                        window[i, c] = departure * departure
                    std = np.sqrt(_sum_of_column(window, c, memory) / count)
                    if not dilated:
                        held_mean[k, s, c], held_std[k, s, c] = mean, std
                else:
                    mean, std = held_mean[k, s, c], held_std[k, s, c]
                column = channels + s * channels + c
                features[r, column] = z[r, c] - mean
                features[r, column + block] = std
                if levels:
                    features[r, column + 2 * block] = mean
        ring_rows[k] += 1


def row_windows(
    stage: RowWindows, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Run `RowWindows.forward` on NumPy's arrays."""
    fields = {field.name: np.array(state[field.name]) for field in stage.state_fields()}
    none = np.empty((0, 0, 0), _F)
    features = np.empty((len(x), stage.n_features), _F)
    follow_row_windows(
        observation.packed.key,
        fields["ring"],
        fields["ring_rows"],
        fields.get("held_mean", none),
        fields.get("held_std", none),
        contiguous(x),
        contiguous(observation.first, np.bool_),
        stage.size,
        np.array(stage.strides, np.int64),
        stage.mode == "dilated",
        stage.levels,
        features,
    )
    return fields, features
