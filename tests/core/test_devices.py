"""Everything stays on the device of its arrays; tried with PyTorch's fake CUDA, without a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.data.strides import TemporalStrides
from ember_core.models import RBM, LiquidAutoencoder, LiquidForecaster, RBMDetector
from ember_core.pipeline import ExponentialWindows, Pipeline, PipelineConfig, exponential_series
from ember_core.training._batches import _pick, placed

torch = pytest.importorskip("torch")

B, T, F = 7, 5, 3


@pytest.fixture
def cuda(monkeypatch):
    """Tensors without numbers, whose devices are checked as CUDA's would be."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    from ember_core.ops import _torch

    monkeypatch.setattr(_torch, "check_device", lambda name: name)
    # What reads a number from a tensor: there are none.
    monkeypatch.setattr(FakeTensor, "__bool__", lambda _x: True, raising=False)
    monkeypatch.setattr(FakeTensor, "__float__", lambda _x: 0.5, raising=False)
    monkeypatch.setattr(FakeTensor, "__int__", lambda _x: 0, raising=False)
    monkeypatch.setattr(
        _torch, "to_numpy", lambda x: np.ones(tuple(x.shape), str(x.dtype).removeprefix("torch."))
    )
    with FakeTensorMode(), ops.default_backend("numpy"):
        yield lambda x: ops.from_numpy(x, like=torch.empty(1, device="cuda"))


def on_cuda(tree):
    arrays = list(tree.values()) if isinstance(tree, dict) else list(tree)
    return all(str(x.device).startswith("cuda") for x in arrays)


def rows(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def cells():
    return [
        nn.CfCCell(F, 11),
        nn.CfCCell(F, 11, mode="pure"),
        nn.WiredCfCCell(F, nn.AutoNCP(13, 2)),
        nn.LTCCell(F, nn.AutoNCP(13, 2)),
        nn.TimeGateCfCCell(F, 11),
        nn.StrideAwareCfCCell(F, 11),
    ]


@pytest.mark.parametrize("number", range(len(cells())))
def test_a_cell_moves_with_its_buffers(cuda, number):
    cell = cells()[number].to(backend="torch", device="cuda")
    assert on_cuda(cell.state_dict())
    out, state = cell(cuda(rows(B, F)), cuda(rows(B, cell.state_size)), cuda(rows(B, 1)))
    assert on_cuda([out, state])
    out, state = nn.Recurrent(cell)(cuda(rows(B, T, F)), None, cuda(rows(B, T)))
    assert on_cuda([out, state])


def test_a_pipelines_step_stays_where_its_state_is(cuda):
    config = PipelineConfig(channels=("a", "b", "c"), whiten=0.02, periods_seconds=(600.0,))
    pipeline = Pipeline(config).to(backend="torch", device="cuda")
    pipeline.freeze()
    state = pipeline.initial_state(B)
    assert on_cuda(state)
    state, seen, score, decision = pipeline.step(
        state, cuda(rows(B, F, dtype=np.float64)), cuda(rows(B, dtype=np.int64))
    )
    assert on_cuda(state)
    assert on_cuda([seen.visible, seen.expected, score, decision.severity, decision.fires])
    assert on_cuda([pipeline.explain(seen.visible)])


@pytest.mark.parametrize("windows", ["dilated", "hop"])
def test_windows_of_rows_stay_where_their_state_is(cuda, windows):
    config = PipelineConfig(channels=("a", "b", "c"), windows=windows)
    pipeline = Pipeline(config).to(backend="torch", device="cuda")
    pipeline.freeze()
    state, _, score, _ = pipeline.step(
        pipeline.initial_state(B), cuda(rows(B, F, dtype=np.float64)), cuda(rows(B, dtype=np.int64))
    )
    assert on_cuda(state)
    assert on_cuda([score])


def test_features_of_a_series_are_made_where_it_lies(cuda):
    x = cuda(rows(23, F))
    state, features = exponential_series(ExponentialWindows(F), None, x)
    assert on_cuda(state)
    assert on_cuda([features, exponential_series(ExponentialWindows(F), state, x)[1]])
    strides = TemporalStrides(F, 4, (1, 3), summary=("mean", "std", "departure"))
    assert on_cuda([w.values for w in strides.transform(x).values()])


def test_a_detector_takes_rows_to_its_own_device(cuda):
    detector = RBMDetector(RBM(F, 11)).to(backend="torch", device="cuda")
    assert on_cuda([detector.score(rows(B, F)), detector.reconstruct(rows(B, F))])


def test_two_devices_in_one_operation_are_one_clear_error(cuda):
    with pytest.raises(ValueError, match="on two devices"):
        ops.maximum(cuda(rows(B)), torch.ones(B))


def test_like_names_backend_and_device(cuda):
    there = cuda(rows(B))
    assert on_cuda([ops.to(rows(B), like=there), ops.to(torch.ones(B), like=there)])
    assert ops.to(there, like=there) is there
    assert ops.dtype(ops.to(rows(B), like=there, dtype="float64")) == "float64"


def test_a_batch_goes_to_the_modules_device(cuda):
    like = cuda(rows(F))
    assert on_cuda(placed((rows(23, F), torch.ones(23, F)), like))
    order = cuda(rows(B, dtype=np.int64))  # drawn by a generator of the GPU
    assert str(_pick(torch.ones(23, F), order).device) == "cpu"
    assert on_cuda([_pick(cuda(rows(23, F)), torch.arange(B))])


@pytest.mark.parametrize("kind", ["forecaster", "autoencoder"])
def test_sequence_models_stay_where_they_are(cuda, kind):
    if kind == "forecaster":
        model = LiquidForecaster(nn.liquid_cell("ncp", F, 13), F)
    else:
        model = LiquidAutoencoder(nn.liquid_cell("cfc", F, 13), nn.liquid_cell("cfc", 2, 11))
    model.to(backend="torch", device="cuda")
    reading, state = model(cuda(rows(B, T, F)))
    assert on_cuda([reading.output, reading.score, state])
