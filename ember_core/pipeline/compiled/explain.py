"""Share of each channel in rows' improbability, with the bits of `Explainer.attribute`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.explain import Explainer

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp_all, on_grid, pairwise_sum, wide_sum
from .parameters import Parameters, prepared
from .products import TILE_ROWS, exact_product, padded
from .rbm import sum_of_softplus

_F = np.float32
_ZERO, _ONE, _HALF = _F(0.0), _F(1.0), _F(0.5)
_COLUMNS = 8  # a multiple of the numbers of a vector


@compiled
def share_rows(
    visible: Any,
    weights: Any,
    hidden_bias: Any,
    units: Any,
    starts: Any,
    from_visible: Any,
    to_visible: Any,
    bias: Any,
    precision: Any,
    shares: Any,
) -> None:
    """Write the shares of the channels in the free energy of each row.

    Args:
        visible: Visible units, `(R, V)`, float32.
        weights: `(V, N)`, float64, padded.
        hidden_bias: `(N,)`.
        units: Visible units of the channels, one channel after the other, `(U,)`.
        starts: First of each channel in `units`, and their number, `(C + 1,)`.
        from_visible: Weights from these units to the hidden ones, `(U, N)`, float64, padded.
        to_visible: Weights from the hidden units to those of each channel, `(C, N, W)`, float64,
            padded.
        bias: Bias of the units, `(U,)`.
        precision: Precision of the units, `(U,)`.
        shares: Output, `(R, C)`, float64.
    """
    (rows, v), hidden, channels = visible.shape, hidden_bias.size, shares.shape[1]
    width = to_visible.shape[2]
    wide, values = np.zeros((TILE_ROWS, v)), np.zeros((TILE_ROWS, width))
    sums, block = np.empty((2, TILE_ROWS, weights.shape[1]))
    narrow_sums, narrow_block = np.empty((2, TILE_ROWS, width))
    gates, drive_without = np.zeros((TILE_ROWS, hidden)), np.empty((TILE_ROWS, hidden), _F)
    drive, energy = np.empty((TILE_ROWS, hidden), _F), np.empty(TILE_ROWS)
    factors, replaced, part = np.empty(hidden, _F), np.empty(hidden, _F), np.empty(hidden)
    departures = np.empty((TILE_ROWS, width), _F)
    for start in range(0, rows, TILE_ROWS):
        count = min(TILE_ROWS, rows - start)
        for q in range(count):
            for d in range(v):
                wide[q, d] = np.float64(on_grid(visible[start + q, d]))
        exact_product(wide, 0, count, weights, sums, block)
        for q in range(count):
            for j in range(hidden):
                drive[q, j] = _F(sums[q, j]) + hidden_bias[j]
            energy[q] = sum_of_softplus(drive[q], factors, part)
        for c in range(channels):
            begin, n = starts[c], starts[c + 1] - starts[c]
            if n == 0:
                for q in range(count):
                    shares[start + q, c] = 0.0 * energy[q]
                continue
            from_units = from_visible[begin : begin + n]
            for q in range(count):
                for d in range(n):
                    values[q, d] = np.float64(on_grid(visible[start + q, units[begin + d]]))
            exact_product(values, 0, count, from_units, sums, block)
            for q in range(count):
                for j in range(hidden):
                    drive_without[q, j] = drive[q, j] - _F(sums[q, j])
                    factors[j] = -abs(drive_without[q, j])
                exp_all(factors, hidden)
                for j in range(hidden):
                    gate = (factors[j] if drive_without[q, j] < _ZERO else _ONE) / (
                        factors[j] + _ONE
                    )
                    gates[q, j] = np.float64(on_grid(gate))
            exact_product(gates, 0, count, to_visible[c], narrow_sums, narrow_block)
            for q in range(count):
                for d in range(n):
                    i = begin + d
                    expected = _F(narrow_sums[q, d]) + bias[i]
                    values[q, d] = np.float64(on_grid(expected))
                    deviation = (visible[start + q, units[i]] - bias[i]) * precision[i]
                    expected_deviation = (expected - bias[i]) * precision[i]
                    departures[q, d] = (
                        deviation * deviation - expected_deviation * expected_deviation
                    )
            exact_product(values, 0, count, from_units, sums, block)
            for q in range(count):
                for j in range(hidden):
                    replaced[j] = drive_without[q, j] + _F(sums[q, j])
                quadratic = _HALF * pairwise_sum(departures[q], 0, n)
                softplus = sum_of_softplus(replaced, factors, part)
                shares[start + q, c] = np.float64(quadratic) - energy[q] + softplus
    for row in range(rows):
        gains = shares[row]
        for c in range(channels):
            gains[c] = 0.0 if gains[c] < 0.0 else gains[c]
        total = wide_sum(gains, 0, channels)
        for c in range(channels):
            gains[c] = gains[c] / total if total > 0.0 else 0.0 * gains[c] + 1.0 / channels


def _parameters(explainer: Explainer) -> Parameters:
    frozen, channels = explainer.frozen, explainer.n_channels
    of_channel: list[Any] = [None] * channels
    for part in explainer.parts:
        from_visible, to_visible = (
            np.concatenate(part.into.blocks, 1),
            np.concatenate(part.back.blocks, 1),
        )
        columns = part.columns.reshape(len(part.channels), -1)
        stacked = zip(
            columns, from_visible, to_visible, part.bias[:, 0], part.precision[:, 0], strict=True
        )
        for channel, arrays in zip(part.channels, stacked, strict=True):
            of_channel[channel] = arrays
    sizes = [0 if arrays is None else len(arrays[0]) for arrays in of_channel]
    hidden, width = frozen.hidden_bias.size, max(sizes) + -max(sizes) % _COLUMNS
    weights = padded(frozen.weights)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    units, bias, precision = (np.zeros(starts[-1], dtype) for dtype in (np.int64, _F, _F))
    from_visible, to_visible = (
        np.zeros((starts[-1], weights.shape[1])),
        np.zeros((channels, hidden, width)),
    )
    for channel, arrays in enumerate(of_channel):
        if arrays is None:
            continue
        of_units = slice(starts[channel], starts[channel + 1])
        units[of_units], from_visible[of_units, :hidden] = arrays[0], arrays[1]
        to_visible[channel, :, : sizes[channel]] = arrays[2]
        bias[of_units], precision[of_units] = arrays[3:]
    return (
        weights,
        contiguous(frozen.hidden_bias),
        units,
        starts,
        from_visible,
        to_visible,
        bias,
        precision,
    )


def attribute(explainer: Explainer, visible: Any) -> Any:
    """Return what `Explainer.attribute` does, on NumPy's arrays."""
    parameters = prepared(explainer, (explainer.parts,), _parameters)
    shares = np.empty((len(visible), explainer.n_channels))
    share_rows(*(contiguous(visible), *parameters, shares))
    return shares
