"""CfC and LTC cells against the ncps package, step by step over irregular times."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.nn import AutoNCP, CfCCell, LTCCell, WiredCfCCell

TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-12}}
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
MODES = pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])


def weights(golden):
    return {k.removeprefix("w/"): golden[k] for k in golden if k.startswith("w/")}


def head(w, prefix, mode):
    """The fused arrays of a `CfCHead` from the reference's separate layers."""
    names = ["ff1"] if mode == "pure" else ["ff1", "ff2", "time_a", "time_b"]
    arrays = {
        "weight": np.concatenate([w[f"{prefix}{n}.weight"] for n in names]).T,
        "bias": np.concatenate([w[f"{prefix}{n}.bias"] for n in names]),
    }
    if mode == "pure":
        arrays |= {"w_tau": w[f"{prefix}w_tau"][0], "amplitude": w[f"{prefix}A"][0]}
    return arrays


def assert_follows(there, cell, golden, dtype):
    cell.astype(dtype)
    x, ts, h = (golden[k].astype(dtype) for k in ("x", "ts", "h0"))
    short = {"float32": "f32", "float64": "f64"}[dtype]
    for t in range(x.shape[1]):
        out, h = there.run(cell, x[:, t], h, ts[:, t : t + 1])
        assert out.dtype == dtype
        for name, value in (("out", out), ("h", h)):
            expected = golden[f"{name}_{short}"][:, t]
            np.testing.assert_allclose(value, expected, **TOLERANCE[dtype], err_msg=f"{name} {t}")


@DTYPES
@MODES
@pytest.mark.parametrize("layers", [1, 2])
def test_cfc(there, golden_data, mode, layers, dtype):
    golden = np.load(golden_data / f"ncps_cfc_cell_{mode}_bl{layers}.npz")
    w = weights(golden)
    cell = CfCCell(4, 6, mode, backbone_units=16, backbone_layers=layers)
    arrays = {f"head.{name}": value for name, value in head(w, "", mode).items()}
    for i in range(0, 2 * layers, 2):
        arrays[f"backbone.layers.{i}.weight"] = w[f"backbone.{i}.weight"].T
        arrays[f"backbone.layers.{i}.bias_vector"] = w[f"backbone.{i}.bias"]
    there.put(cell, arrays)
    assert_follows(there, cell, golden, dtype)


@DTYPES
@MODES
def test_wired_cfc(there, golden_data, mode, dtype):
    golden = np.load(golden_data / f"ncps_wired_cfc_{mode}.npz")
    w = weights(golden)
    cell = WiredCfCCell(4, AutoNCP(19, 3, 0.5, seed=123), mode)
    for i, layer in enumerate(cell.layers):
        mask = w[f"layer_{i}.sparsity_mask"].T
        assert np.array_equal(ops.to_numpy(layer.mask)[:, : mask.shape[1]], mask)
        there.put(layer, head(w, f"layer_{i}.", mode))
    assert_follows(there, cell, golden, dtype)


@DTYPES
@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_ltc(there, golden_data, kind, dtype):
    golden = np.load(golden_data / f"ncps_ltc_{kind}.npz")
    w = weights(golden)
    unfolds, epsilon = int(golden["ode_unfolds"]), float(golden["epsilon"])
    cell = LTCCell(4, AutoNCP(19, 3, 0.5, seed=123), unfolds, epsilon, kind == "implicit")
    assert np.array_equal(ops.to_numpy(cell.mask), w.pop("sparsity_mask"))
    assert np.array_equal(ops.to_numpy(cell.sensory_mask), w.pop("sensory_sparsity_mask"))
    assert np.array_equal(np.sign(ops.to_numpy(cell.erev.data)), np.sign(w["erev"]))
    there.put(cell, w)
    assert_follows(there, cell, golden, dtype)
