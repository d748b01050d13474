"""The liquid network, row by row: rows of different keys share the weights of a product.

The rows of one key follow each other, so that they cannot. Everything else is the operations of
`LiquidNetwork.forward` in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.liquid import GAPS, HELD, LiquidNetwork
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp32, exp_all, larger, log_all, on_grid, smaller, tanh_all
from .parameters import Parameters, prepared
from .products import TILE_ROWS, exact_product, padded
from .variants import inlined

_F = np.float32
_ZERO, _ONE, _TWO, _HELD = _F(0.0), _F(1.0), _F(2.0), _F(HELD)
_LN2 = _F(np.log(2.0))
_AHEAD = 64  # rows whose functions of time are taken together
_LAST_OCTAVE = _F(GAPS - 1.0)


@inlined
def end_of_group(key: Any, start: Any) -> Any:
    """Return the end of the rows from `start` on, at most four, that are of different keys."""
    end = start + 1
    while end < key.size and end < start + TILE_ROWS:
        for r in range(start, end):
            if key[r] == key[end]:
                return end
        end += 1
    return end


@inlined
def _advance(
    group: Any,
    x: Any,
    h: Any,
    passed: Any,
    synapses: Any,
    bias: Any,
    gates: Any,
    tau: Any,
    content: Any,
    decay: Any,
    inner: Any,
    sums: Any,
    part: Any,
) -> None:
    """Advance the cell by one row of some keys: `LiquidNetwork.advance`.

    Args:
        group: Number of keys, 1 to 4.
        x: Input, and room for the state, on the grid, `(4, n_in + H)`, float64.
        h: Liquid state, updated in place, `(4 H,)`.
        passed: Time since the row before, times -1, `(4,)`.
        synapses: `(n_in + H, H)`, padded.
        bias: `(H,)`.
        gates: `(H, 2 H)`, padded.
        tau: `(H,)`.
        content: Memory, `(4 H,)`.
        decay: Memory, `(4 H,)`.
        inner: Memory, `(4, H)`, float64.
        sums: Memory, `(4, N)`, of the widest product.
        part: As `sums`.
    """
    hidden = tau.size
    n_in, n = synapses.shape[0] - hidden, group * hidden
    for q in range(group):
        for j in range(hidden):
            x[q, n_in + j] = np.float64(on_grid(h[q * hidden + j]))
    exact_product(x, 0, group, synapses, sums, part)
    for q in range(group):
        for j in range(hidden):
            content[q * hidden + j] = _F(sums[q, j]) + bias[j]
    tanh_all(content, n)
    for q in range(group):
        for j in range(hidden):
            inner[q, j] = np.float64(on_grid(content[q * hidden + j]))
    exact_product(inner, 0, group, gates, sums, part)
    for q in range(group):
        for j in range(hidden):
            content[q * hidden + j] = _F(sums[q, j])
            gate = _F(sums[q, hidden + j])
            decay[q * hidden + j] = smaller(larger(gate, -_TWO), _TWO)
    tanh_all(content, n)
    exp_all(decay, n)
    for q in range(group):
        for j in range(hidden):
            decay[q * hidden + j] = passed[q] * (decay[q * hidden + j] / tau[j])
    exp_all(decay, n)
    for i in range(n):
        h[i] = decay[i] * h[i] + (_ONE - decay[i]) * content[i]


@inlined
def _follow_average(
    r: Any,
    k: Any,
    z: Any,
    is_new: Any,
    kept: Any,
    low: Any,
    high: Any,
    anchor: Any,
    before: Any,
    slow: Any,
    departure: Any,
) -> None:
    """Update the slow averages of a key by a row.

    Args:
        r: The row.
        k: Its key.
        z: Normalised rows, `(R, C)`.
        is_new: Whether the row is the key's first.
        kept: Share that the averages keep of themselves.
        low: Least departure that counts, `(R, C)`, or `(R, 0)` where all do.
        high: Largest departure that counts, likewise.
        anchor: Slow averages, `(K, C)`.
        before: Output, the averages before the row, `(C,)`.
        slow: Output, those after it, `(R, C)`.
        departure: Output, departures that count, `(C,)`.
    """
    gain = _ONE - kept
    for c in range(before.size):
        value = z[r, c]
        average = value if is_new else anchor[k, c]
        before[c] = average
        average = average + gain * (value - average)
        departure[c] = value - average
        slow[r, c] = average
        anchor[k, c] = average
    if low.shape[1]:
        for c in range(before.size):
            departure[c] = smaller(larger(departure[c], low[r, c]), high[r, c])


@inlined
def _write_residuals(
    r: Any,
    z: Any,
    waited: Any,
    due: Any,
    growth: Any,
    residual_horizons: Any,
    features: Any,
    offset: Any,
) -> None:
    """Write the residuals of a row from a column on: `LiquidNetwork.residual`.

    Args:
        r: The row.
        z: `(R, C)`.
        waited: Logarithm of the time since the row before, at least 0.
        due: `(R, P, C)`.
        growth: `(P, 8, C)`.
        residual_horizons: Places of the horizons.
        features: Output, `(R, D + K * C)`.
        offset: The column.
    """
    octave = smaller(larger(waited / _LN2, _ZERO), _LAST_OCTAVE)
    lower = smaller(np.floor(octave), _LAST_OCTAVE - _ONE)
    share = octave - lower
    index = np.int64(lower)
    channels = z.shape[1]
    for i in range(residual_horizons.size):
        p = residual_horizons[i]
        for c in range(channels):
            size = growth[p, index, c]
            size = size + share * (growth[p, index + 1, c] - size)
            features[r, offset + i * channels + c] = (z[r, c] - due[r, p, c]) / size


@inlined
def _take_due(
    r: Any, k: Any, rows: Any, horizons: Any, pending: Any, before: Any, due: Any
) -> None:
    """Write the forecasts that are due at a row, or the averages before it where none is."""
    place = 0
    for p in range(horizons.size):
        if rows[r] >= horizons[p]:
            slot = place + rows[r] % horizons[p]
            for c in range(before.size):
                due[r, p, c] = pending[k, slot, c]
        else:
            for c in range(before.size):
                due[r, p, c] = before[c]
        place += horizons[p]


@inlined
def _renew(
    r: Any, k: Any, rows: Any, horizons: Any, slow: Any, sums: Any, q: Any, pending: Any
) -> None:
    """Put the forecasts of a row, its averages and row `q` of the sums, where they wait."""
    place, channels = 0, slow.shape[1]
    for p in range(horizons.size):
        slot = place + rows[r] % horizons[p]
        for c in range(channels):
            pending[k, slot, c] = slow[r, c] + _F(sums[q, p * channels + c])
        place += horizons[p]


@inlined
def _look_ahead(start: Any, elapsed: Any, fading: Any, kept: Any, waited: Any) -> Any:
    """Write what rows need of their time, for as many as there is room for.

    Args:
        start: First of the rows.
        elapsed: Time since the row before, `(R,)`.
        fading: As in `follow_liquid`.
        kept: Output, share that the averages keep of themselves, `(N,)`.
        waited: Output, logarithm of the time, at least 0, `(N,)`.

    Returns:
        How many rows these are.
    """
    n = min(kept.size, elapsed.size - start)
    for i in range(n):
        kept[i] = elapsed[start + i] * fading
        waited[i] = larger(elapsed[start + i], _ONE)
    exp_all(kept, n)
    log_all(waited, n)
    return n


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
    before, departure = np.empty(channels, _F), np.empty(channels, _F)
    passed = np.zeros(TILE_ROWS, _F)
    kept, waited = np.empty(_AHEAD, _F), np.empty(_AHEAD, _F)
    start = known = base = 0
    while start < key.size:
        end = end_of_group(key, start)
        if end > known:
            known = start + _look_ahead(start, elapsed, fading, kept, waited)
            base = start
        group = end - start
        for q in range(group):
            r = start + q
            k = key[r]
            share, wait = kept[r - base], waited[r - base]
            _follow_average(r, k, z, first[r], share, low, high, anchor, before, slow, departure)
            _take_due(r, k, rows, horizons, pending, before, due)
            if residual_horizons.size:
                _write_residuals(r, z, wait, due, growth, residual_horizons, features, offset)
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
        _advance(group, x, h, passed, synapses, bias, gates, tau, content, decay, inner, sums, part)
        for q in range(group):
            r = start + q
            for j in range(hidden):
                state = h[q * hidden + j]
                liquid[key[r], j] = state
                basis[r, j] = state
                wide_basis[q, j] = np.float64(on_grid(state))
        exact_product(wide_basis, 0, group, readout, sums, part)
        for q in range(group):
            _renew(start + q, key[start + q], rows, horizons, slow, sums, q, pending)
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


@compiled
def hold_rows(
    key: Any,
    anchor: Any,
    z: Any,
    elapsed: Any,
    first: Any,
    low: Any,
    high: Any,
    fading: Any,
    held: Any,
) -> None:
    """Write the rows that averages follow where a side does not count.

    Args:
        key: Key of each row, `(R,)`.
        anchor: Slow averages, `(K, C)`; they become those of the rows that are held.
        z: `(R, C)`.
        elapsed: `(R,)`.
        first: `(R,)`.
        low: 0 where departures below do not count, `(R, C)`.
        high: 0 where departures above do not.
        fading: As in `follow_liquid`.
        held: Output, `(R, C)`.
    """
    for r in range(key.size):
        k = key[r]
        gain = _ONE - exp32(elapsed[r] * fading)
        for c in range(z.shape[1]):
            average = z[r, c] if first[r] else anchor[k, c]
            least, most = average + (low[r, c] - _HELD), average + (high[r, c] + _HELD)
            bounded = smaller(larger(z[r, c], least), most)
            held[r, c] = bounded
            anchor[k, c] = average + gain * (bounded - average)


def hold(stage: LiquidNetwork, state: State, z: Any, observation: Observation) -> Any:
    """Run `LiquidNetwork.held` on NumPy's arrays; while training, itself."""
    counted = observation.counted
    if stage.training or counted is None:
        return stage.held(state, z, observation)
    low, high = contiguous(counted["held_low"]), contiguous(counted["held_high"])
    if low.all() and high.all():
        return z
    z = contiguous(z)
    held = np.empty_like(z)
    elapsed = np.ascontiguousarray(observation.elapsed)
    first = np.ascontiguousarray(observation.first)
    anchor, key = np.array(state["anchor"]), observation.packed.key
    hold_rows(key, anchor, z, elapsed, first, low, high, _F(stage.fading), held)
    return held
