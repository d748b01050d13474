"""The fused CfC step is the cell's."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn

F, U, M = 5, 23, 3


def made(mode="default", rows=7):
    rng = np.random.default_rng(1)
    cell = nn.WiredCfCCell(F, nn.AutoNCP(U, M, seed=2), mode)
    for head in cell.layers:
        head.bias.data = rng.standard_normal(head.bias.data.shape).astype("float32")
    x = rng.standard_normal((rows, F)).astype("float32")
    state = rng.standard_normal((rows, U)).astype("float32")
    elapsed = rng.exponential(size=(rows, 1)).astype("float32")
    return cell, (x, state, elapsed)


@pytest.mark.parametrize("mode", ["default", "no_gate"])
@pytest.mark.parametrize("rows", [1, 7, 20_011])
def test_it_gives_the_cells_numbers(mode, rows):
    """Also over several tiles, and from its own state."""
    cell, (x, state, elapsed) = made(mode, rows)
    fused = nn.FusedCfC(cell)
    for _ in range(2):
        expected, after = cell(x, state, elapsed)
        output, state = fused(x, state, elapsed)
        np.testing.assert_allclose(output, expected, atol=2e-6)
        np.testing.assert_allclose(state, after, atol=2e-6)
        assert output.dtype == state.dtype == np.float32


def test_the_state_may_be_replaced_in_place():
    """Over several tiles, in either layout."""
    cell, (x, state, elapsed) = made(rows=5_003)
    fused = nn.FusedCfC(cell)
    _, expected = fused(x, state, elapsed)
    for order in "CF":
        own = np.array(state, order=order)
        _, after = fused(x, own, elapsed, out=own)
        assert np.shares_memory(after, own)
        assert np.array_equal(own, expected)
    with pytest.raises(ValueError, match=r"shape \(5003, 23\).*dtype=float64"):
        fused(x, state, elapsed, out=state.astype("float64"))


def test_weights_are_copied():
    cell, step = made()
    fused = nn.FusedCfC(cell)
    before = fused(*step)[1].copy()
    for head in cell.layers:
        head.weight.data *= 0.0
    assert np.array_equal(fused(*step)[1], before)


def test_pure_cells_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="Received: mode='pure'"):
        nn.FusedCfC(made("pure")[0])
    cell, (x, state, elapsed) = made()
    with pytest.raises(ValueError, match="elapsed"):
        nn.FusedCfC(cell)(x, state, elapsed[:, 0])
