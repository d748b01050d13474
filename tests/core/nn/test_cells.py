"""Recurrent cells: shapes, elapsed time, configurations and wirings."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.nn import AutoNCP, CfCCell, FullyConnected, LTCCell, Random, WiredCfCCell

B, F, H = 2, 5, 11
MAKERS = {
    "cfc": lambda **kw: CfCCell(F, H, backbone_units=7, **kw),
    "cfc_pure": lambda **kw: CfCCell(F, H, "pure", backbone_layers=0, **kw),
    "wired": lambda **kw: WiredCfCCell(F, AutoNCP(H, 3), "no_gate", **kw),
    "wired_random": lambda **kw: WiredCfCCell(F, Random(H, 3, 0.5), **kw),
    "wired_full": lambda **kw: WiredCfCCell(F, FullyConnected(H), **kw),
    "ltc": lambda **kw: LTCCell(F, AutoNCP(H, 3), implicit_constraints=True, **kw),
}
CELLS = pytest.mark.parametrize("name", MAKERS)


def step_inputs(seed=1):
    g = ops.generator(seed)
    return ops.normal(g, (B, F)), ops.normal(g, (B, H)), 0.1 + ops.uniform(g, (B, 1))


@CELLS
def test_a_step_gives_output_and_state_in_float32(name):
    cell = MAKERS[name]()
    out, state = cell(*step_inputs())
    assert state.shape == (B, H)
    assert out.shape == (B, H if name in ("cfc", "cfc_pure", "wired_full") else 3)
    assert {out.dtype.name, state.dtype.name} == {"float32"}
    assert np.isfinite(state).all()


@CELLS
def test_rows_do_not_see_each_other(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs()
    _, state = cell(x, h, dt)
    _, alone = cell(x[1:], h[1:], dt[1:])
    np.testing.assert_allclose(alone, state[1:], rtol=1e-5, atol=1e-6)


@CELLS
@pytest.mark.parametrize("shape", [(B,), (1, 1), (B, H), ()])
def test_elapsed_times_of_another_shape_are_refused(name, shape):
    x, h, _ = step_inputs()
    with pytest.raises(ValueError, match=r"Expected shape \(2, 1\)"):
        MAKERS[name]()(x, h, np.ones(shape, "float32"))


@CELLS
def test_longer_times_give_other_states(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs()
    assert not np.allclose(cell(x, h, dt)[1], cell(x, h, 5 * dt)[1])


@CELLS
def test_file_brings_back_the_cell(name, tmp_path):
    cell = MAKERS[name](generator=ops.generator(3))
    cell.save(tmp_path / "cell.safetensors")
    again = type(cell).load(tmp_path / "cell.safetensors")
    assert again.get_config() == cell.get_config()
    assert np.array_equal(again(*step_inputs())[1], cell(*step_inputs())[1])


def test_masks_are_buffers():
    for name in ("wired", "ltc"):
        cell = MAKERS[name]()
        assert not [n for n, _ in cell.named_parameters() if "mask" in n]
        assert [n for n, _ in cell.named_buffers() if "mask" in n]


def test_an_absent_synapse_carries_nothing():
    cell = MAKERS["wired"]()
    motor = cell.wiring.layers["motor"]
    command = cell.wiring.layers["command"]
    head = cell.layers[-1]
    absent = np.argwhere(cell.wiring.adjacency_matrix[np.ix_(command, motor)] == 0)
    assert len(absent)
    source, target = absent[0]
    head.weight.data[:, 2 * head.hidden_size :] = 0.0  # the gate of time sees every input
    x = np.zeros((1, len(command) + len(motor)), "float32")
    moved = x.copy()
    moved[0, source] = 1.0
    dt = np.ones((1, 1), "float32")
    assert head(x, dt)[0, target] == head(moved, dt)[0, target]


@pytest.mark.parametrize(
    "make", [lambda: CfCCell(F, H, "fast"), lambda: LTCCell(F, AutoNCP(H, 3), ode_unfolds=0)]
)
def test_impossible_cells_are_refused(make):
    with pytest.raises(ValueError, match=r"Received: (mode|ode_unfolds)="):
        make()


def test_a_wiring_built_for_other_inputs_is_refused():
    with pytest.raises(ValueError, match=r"Expected 7\. Received: input_dim=5"):
        WiredCfCCell(F, AutoNCP(H, 3).build(7))
