"""Free energy of rows, four at a time: the products of different rows share the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.rbm_score import HALVINGS, RBMScore
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp32, log32, on_grid, wide_sum
from .parameters import Parameters, prepared
from .products import TILE_ROWS, exact_product, padded

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)


@compiled
def _sum_of_softplus(drive: Any, factors: Any, part: Any) -> Any:
    """Return `ops`' sum of softplus of a row, `(N,)`; `factors` and `part` are memory."""
    n = drive.size
    for j in range(n):
        x = drive[j]
        factors[j] = exp32(-abs(x)) + _ONE
        part[j] = np.float64(_ZERO if x < _ZERO else x)  # NaN stays NaN
    positive = wide_sum(part, 0, n)
    for _ in range(HALVINGS):
        half = n // 2
        if half == 0:
            break
        for j in range(half):
            factors[j] = factors[j] * factors[half + j]
        if n % 2:
            factors[half] = factors[n - 1]
        n -= half
    for j in range(n):
        part[j] = np.float64(log32(factors[j]))
    return positive + wide_sum(part, 0, n)


@compiled
def _visible_energy(v: Any, gaussian: Any, bias: Any, precision: Any, part: Any) -> Any:
    """Return the energy of the visible units of a row alone, in float64; `part` is memory."""
    if gaussian:
        for d in range(v.size):
            deviation = (v[d] - bias[d]) * precision[d]
            part[d] = np.float64(deviation * deviation)
        return 0.5 * wide_sum(part, 0, v.size)
    for d in range(v.size):
        part[d] = np.float64(v[d] * bias[d])
    return -wide_sum(part, 0, v.size)


@compiled
def score_rows(
    visible: Any,
    gaussian: Any,
    weights: Any,
    hidden_bias: Any,
    visible_bias: Any,
    precision: Any,
    score: Any,
) -> None:
    """Write the free energy of each row.

    Args:
        visible: Visible units, `(R, V)`, float32.
        gaussian: Whether they are Gaussian.
        weights: `(V, N)`, float64, padded.
        hidden_bias: `(N,)`.
        visible_bias: `(V,)`.
        precision: `(V,)`.
        score: Output, `(R,)`, float32.
    """
    rows, v = visible.shape
    hidden = hidden_bias.size
    wide = np.zeros((TILE_ROWS, v))
    sums = np.empty((TILE_ROWS, weights.shape[1]))
    block = np.empty_like(sums)
    drive, factors = np.empty(hidden, _F), np.empty(hidden, _F)
    part = np.empty(max(hidden, v))
    for start in range(0, rows, TILE_ROWS):
        count = min(TILE_ROWS, rows - start)
        for q in range(count):
            for d in range(v):
                wide[q, d] = np.float64(on_grid(visible[start + q, d]))
        exact_product(wide, 0, count, weights, sums, block)
        for q in range(count):
            for j in range(hidden):
                drive[j] = _F(sums[q, j]) + hidden_bias[j]
            hidden_energy = _sum_of_softplus(drive, factors, part)
            row = visible[start + q]
            energy = _visible_energy(row, gaussian, visible_bias, precision, part)
            score[start + q] = _F(energy - hidden_energy)


def _parameters(stage: RBMScore) -> Parameters:
    frozen = stage.frozen
    vectors = (frozen.hidden_bias, frozen.visible_bias, frozen.precision)
    return (frozen.gaussian, padded(frozen.weights), *map(contiguous, vectors))


def rbm_score(stage: RBMScore, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
    """Run `RBMScore.forward` on NumPy's arrays."""
    parameters = prepared(stage, (stage.frozen,), _parameters)
    score = np.empty(len(x), _F)
    score_rows(*(contiguous(x), *parameters, score))
    return {}, score
