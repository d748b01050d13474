"""The liquid network, row by row: rows of different keys share the weights of a product.

The rows of one key follow each other, so that they cannot. Everything else is the operations of
`LiquidNetwork.forward` in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.liquid import LiquidNetwork
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .cell import advance_cell, end_of_group
from .compiler import compiled
from .elementary import on_grid
from .forecasts import follow_average, look_ahead, renew_forecasts, take_due, write_residuals
from .parameters import Parameters, prepared
from .products import TILE_ROWS, exact_product, padded

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)
_AHEAD = 64  # rows whose functions of time are taken together


@compiled
def follow_liquid(
    key: Any,
    anchor: Any,
    liquid: Any,
    pending: Any,
    z: Any,
    clock: Any,
    elapsed: Any,
    first: Any,
    rows: Any,
    low: Any,
    high: Any,
    fading: Any,
    synapses: Any,
    bias: Any,
    gates: Any,
    tau: Any,
    readout: Any,
    growth: Any,
    horizons: Any,
    residual_horizons: Any,
    slow: Any,
    due: Any,
    basis: Any,
    features: Any,
) -> None:
    """Advance keys row by row, and update their state in place.

    Args:
        key: Key of each row, `(R,)`.
        anchor: `(K, C)`.
        liquid: `(K, H)`.
        pending: `(K, sum(horizons), C)`.
        z: `(R, C)`.
        clock: `(R, n_clock)`.
        elapsed: `(R,)`.
        first: `(R,)`.
        rows: `(R,)`.
        low: Least departure that counts, `(R, C)`, or `(R, 0)` where all do.
        high: Largest departure that counts, likewise.
        fading: Logarithm of the share that the slow average keeps in one interval.
        synapses: `(C + n_clock + H, H)`, padded.
        bias: `(H,)`.
        gates: `(H, 2 H)`, padded.
        tau: `(H,)`.
        readout: `(H + C + n_clock + 1, P * C)`, padded.
        growth: `(P, 8, C)`.
        horizons: `(P,)`.
        residual_horizons: Places of those horizons whose residuals are features.
        slow: Output, `(R, C)`.
        due: Output, `(R, P, C)`.
        basis: Output, `(R, H + C + n_clock)`.
        features: Output, `(R, D + K * C)`: the last columns become the residuals.
    """
    channels, hidden = z.shape[1], tau.size
    n_in = channels + clock.shape[1]
    offset = features.shape[1] - residual_horizons.size * channels
    widest = max(synapses.shape[1], gates.shape[1], readout.shape[1])
    sums, part = np.empty((TILE_ROWS, widest)), np.empty((TILE_ROWS, widest))
    x = np.zeros((TILE_ROWS, n_in + hidden))
    inner = np.zeros((TILE_ROWS, hidden))
    wide_basis = np.zeros((TILE_ROWS, hidden + n_in + 1))
    h = np.zeros(TILE_ROWS * hidden, _F)
    content, decay = np.zeros_like(h), np.zeros_like(h)
    previous, departure = np.empty(channels, _F), np.empty(channels, _F)
    passed = np.zeros(TILE_ROWS, _F)
    shares, log_waits = np.empty(_AHEAD, _F), np.empty(_AHEAD, _F)
    start = end_ahead = base = 0
    while start < key.size:
        end = end_of_group(key, start)
        if end > end_ahead:
            end_ahead = start + look_ahead(start, elapsed, fading, shares, log_waits)
            base = start
        group = end - start
        for q in range(group):
            r = start + q
            k = key[r]
            share, wait = shares[r - base], log_waits[r - base]
            follow_average(r, k, z, first[r], share, low, high, anchor, previous, slow, departure)
            take_due(r, k, rows, horizons, pending, previous, due)
            if residual_horizons.size:
                write_residuals(r, z, wait, due, growth, residual_horizons, features, offset)
            for c in range(n_in):
                value = departure[c] if c < channels else clock[r, c - channels]
                basis[r, hidden + c] = value
                wide = np.float64(on_grid(value))
                x[q, c] = wide
                wide_basis[q, hidden + c] = wide
            wide_basis[q, hidden + n_in] = 1.0
            scale = _ZERO if first[r] else _ONE
            for j in range(hidden):
                h[q * hidden + j] = scale * liquid[k, j]
            passed[q] = -elapsed[r]
        advance_cell(
            group, x, h, passed, synapses, bias, gates, tau, content, decay, inner, sums, part
        )
        for q in range(group):
            r = start + q
            for j in range(hidden):
                state = h[q * hidden + j]
                liquid[key[r], j] = state
                basis[r, j] = state
                wide_basis[q, j] = np.float64(on_grid(state))
        exact_product(wide_basis, 0, group, readout, sums, part)
        for q in range(group):
            renew_forecasts(start + q, key[start + q], rows, horizons, slow, sums, q, pending)
        start = end


def _parameters(stage: LiquidNetwork) -> Parameters:
    synapses, gates, readout = (
        padded(stage.exact_weight(name)) for name in ("synapses", "content_gate", "readout")
    )
    return (
        _F(stage.fading),
        synapses,
        contiguous(stage.bias.data),
        gates,
        contiguous(stage.tau),
        readout,
        contiguous(stage.growth),
        np.array(stage.horizons, np.int64),
        np.array([stage.horizons.index(h) for h in stage.residuals], np.int64),
    )


def _prepared(stage: LiquidNetwork) -> Parameters:
    weights = (stage.synapses, stage.bias, stage.content_gate, stage.readout)
    sources = (*(weight.data for weight in weights), stage.tau, stage.growth)
    return prepared(stage, sources, _parameters)


def liquid(
    stage: LiquidNetwork, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Run `LiquidNetwork.forward` on NumPy's arrays; while training, itself."""
    if stage.training:
        return stage.forward(state, x, observation)
    z, clock = contiguous(observation.z), contiguous(observation.clock)
    n, channels = z.shape
    none = np.empty((n, 0), _F)
    low = high = none
    if observation.counted is not None:
        low = contiguous(observation.counted["low"])
        high = contiguous(observation.counted["high"])
    fields = {field.name: np.array(state[field.name]) for field in stage.state_fields()}
    residuals = len(stage.residuals) * channels
    features = np.empty((n, x.shape[1] + residuals), _F)
    features[:, : x.shape[1]] = x
    slow = np.empty_like(z)
    due = np.empty((n, len(stage.horizons), channels), _F)
    basis = np.empty((n, stage.hidden + channels + clock.shape[1]), _F)
    columns = (observation.elapsed, observation.first, observation.rows)
    follow_liquid(
        *(
            observation.packed.key,
            *fields.values(),
            z,
            clock,
            *map(np.ascontiguousarray, columns),
            low,
            high,
            *_prepared(stage),
            slow,
            due,
            basis,
            features,
        )
    )
    observation.slow, observation.due, observation.basis = slow, due, basis
    return fields, features
