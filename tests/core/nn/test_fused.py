"""The fused CfC step is the cell's."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops

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


@pytest.fixture(params=["numpy", "torch"])
def fusable(request):
    """The backends that have a fused form."""
    if request.param == "torch":
        pytest.importorskip("torch")
    return request.param


@pytest.mark.parametrize("mode", ["default", "no_gate"])
@pytest.mark.parametrize("rows", [1, 7, 20_011])
def test_it_gives_the_cells_numbers(fusable, mode, rows):
    """Also over several tiles, and from its own state."""
    cell, step = made(mode, rows)
    cell.to(backend=fusable)
    x, state, elapsed = (ops.to(a, backend=fusable) for a in step)
    fused = nn.FusedCfC(cell)
    for _ in range(2):
        expected, after = cell(x, state, elapsed)
        output, state = fused(x, state, elapsed)
        for got, wanted in ((output, expected), (state, after)):
            assert (ops.backend_name(got), ops.dtype(got)) == (fusable, "float32")
            np.testing.assert_allclose(ops.to_numpy(got), ops.to_numpy(wanted), rtol=0.0, atol=2e-6)


def test_the_state_may_be_replaced_in_place(fusable):
    """Over several tiles, in either layout."""
    cell, step = made(rows=5_003)
    cell.to(backend=fusable)
    x, state, elapsed = (ops.to(a, backend=fusable) for a in step)
    fused = nn.FusedCfC(cell)
    _, expected = fused(x, state, elapsed)
    for order in "CF":
        held = np.array(ops.to_numpy(state), order=order)
        own = held
        if fusable == "torch":
            own = __import__("torch").from_numpy(held)
        _, after = fused(x, own, elapsed, out=own)
        assert np.shares_memory(ops.to_numpy(after), held)
        np.testing.assert_array_equal(held, ops.to_numpy(expected))
    with pytest.raises(ValueError, match=r"shape \(5003, 23\).*dtype=float64"):
        fused(x, state, elapsed, out=ops.astype(state, "float64"))


def test_no_gradient_goes_through_it():
    torch = pytest.importorskip("torch")
    cell, step = made()
    x, state, elapsed = map(torch.from_numpy, step)
    fused = nn.FusedCfC(cell.to(backend="torch"))
    output, after = fused(x.requires_grad_(), state, elapsed)
    assert not output.requires_grad
    assert not after.requires_grad


def test_rows_of_another_backend_and_cells_without_such_a_form_are_refused():
    torch = pytest.importorskip("torch")
    cell, step = made()
    with pytest.raises(TypeError, match=r"Expected: numpy\. Received: torch"):
        nn.FusedCfC(cell)(*map(torch.from_numpy, step))
    pytest.importorskip("mlx")
    with pytest.raises(ValueError, match="Received: backend='mlx'"):
        nn.FusedCfC(cell.to(backend="mlx"))


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
