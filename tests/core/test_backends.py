"""One model, three backends: the same scores and decisions, and training under each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.pipeline import FleetModel, PipelineConfig, freeze_rbm
from ember_core.pipeline.fit import fit_pipeline
from tests.core.conftest import CHANNELS, ROW_US, SMALL, START, fit, history, signal

ROWS = 307


def gappy(number):
    """Rows at irregular times, some channels missing, a fault in the middle."""
    rng = np.random.default_rng([7, number])
    values = signal(ROWS, number, part=2)
    values[rng.random(values.shape) < 0.06] = np.nan
    values[151:163, 1] += 60.0
    steps = np.where(rng.random(ROWS) < 0.1, rng.integers(2, 30, ROWS), 1) * ROW_US
    return values, START + np.cumsum(steps) + rng.integers(0, ROW_US // 3, ROWS)


def run(model):
    """Scores, severities, triggers and shares of two known keys and a new one, row by row."""
    pipeline = model.pipeline
    parts = [gappy(n) for n in range(3)]
    values, times = np.stack([v for v, _ in parts]), np.stack([t for _, t in parts])
    state = {
        name: ops.concatenate([model.key_state[name], model.new_state[name]])
        for name in model.key_state
    }
    names = ("score", "severity", "fires", "resolves", "scored", "shares")
    out: dict[str, list] = {name: [] for name in names}
    like = state["ewvar"] if "ewvar" in state else state["ring"]
    for t in range(ROWS):
        state, seen, score, decision = pipeline.step(
            state,
            ops.from_numpy(values[:, t], like=like),
            ops.from_numpy(times[:, t], like=like),
        )
        row = {
            "score": score,
            "severity": decision.severity,
            "fires": decision.fires & seen.scored,
            "resolves": decision.resolves & seen.scored,
            "scored": seen.scored,
            "shares": pipeline.explain(seen.visible),
        }
        for name, value in row.items():
            assert ops.backend_name(value) == ops.backend_name(like)
            out[name].append(ops.to_numpy(value))
    return {name: np.stack(rows) for name, rows in out.items()}, state


def assert_same_scores(got, expected):
    """To 1e-5 of the score, or of 1 nat where it is smaller: the unit of a free energy."""
    size = np.maximum(np.abs(expected["score"]), 1.0)
    assert (np.abs(got["score"] - expected["score"]) <= 1e-5 * size).all()


CONFIGS = {
    "exponential": {},
    "whitened with a clock": {"whiten": 0.02, "periods_seconds": (600.0,)},
    "hop": {"windows": "hop", "window_size": 5, "levels": False},
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Folder of a bundle of each kind trained on NumPy, and what it gives there."""
    made = {}
    for kind, config in CONFIGS.items():
        folder = tmp_path_factory.mktemp("bundle")
        with ops.default_backend("numpy"):
            fit(**config).save(folder)
            made[kind] = (folder, *run(FleetModel.load(folder)))
    return made


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bundle_gives_the_same_scores_and_decisions_on_every_backend(bundles, kind, backend):
    folder, expected, state = bundles[kind]
    model = FleetModel.load(folder)
    got, after = run(model)
    assert np.array_equal(got["scored"], expected["scored"])
    assert got["scored"][:, :2].all()
    assert got["scored"][-1].all()
    for name in ("fires", "resolves"):
        assert np.array_equal(got[name], expected[name])
    assert_same_scores(got, expected)
    np.testing.assert_allclose(got["severity"], expected["severity"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got["shares"], expected["shares"], atol=1e-4)
    for name, value in state.items():
        assert ops.dtype(after[name]) == value.dtype.name, name
    for name in ("rows", "last_time", "norm_count", "refractory", "firing"):
        assert np.array_equal(ops.to_numpy(after[name]), state[name])
    for name in ("norm_mean", "norm_var", "interval"):  # float64 on every backend
        np.testing.assert_allclose(ops.to_numpy(after[name]), state[name], rtol=1e-12)
    assert expected["fires"].any()


def test_a_pipeline_moves_between_backends_and_back(bundles, backend):
    folder, _, _ = bundles["exponential"]
    there = FleetModel.load(folder, backend="numpy")
    moved = FleetModel.load(folder, backend="numpy").to(backend=backend)
    assert {ops.backend_name(x) for x in moved.pipeline.state_dict().values()} == {backend}
    again = moved.to(backend="numpy")
    for name, value in there.pipeline.state_dict().items():
        assert np.array_equal(again.pipeline.state_dict()[name], value)
    for name, value in there.key_state.items():
        assert np.array_equal(again.key_state[name], value)
    visible = np.random.default_rng(1).standard_normal((5, there.pipeline.n_visible))
    assert np.array_equal(again.pipeline.score(visible), there.pipeline.score(visible))


def test_a_whole_series_runs_and_its_results_are_of_the_backend(bundles, backend):
    folder, _, _ = bundles["exponential"]
    pipeline = FleetModel.load(folder).pipeline
    values, times = gappy(2)
    got = pipeline(values, times)  # NumPy's, taken to the backend of the weights
    assert ops.backend_name(got["score"]) == backend
    score = ops.to_numpy(got["score"])
    assert np.isnan(score[: SMALL["warmup_score"]]).all()
    assert np.isfinite(score[SMALL["warmup_score"] :]).all()


def test_a_pipeline_is_trained_on_every_backend(backend, tmp_path):
    model = fit_pipeline(
        history(), PipelineConfig(channels=CHANNELS, **SMALL), epochs=5, budget_per_week=1.0
    )
    assert {ops.backend_name(x) for x in model.pipeline.state_dict().values()} == {backend}
    assert {ops.backend_name(x) for x in model.key_state.values()} == {backend}
    got, _ = run(model)
    assert got["fires"][:, :2].any()
    model.save(tmp_path)
    reference, _ = run(FleetModel.load(tmp_path, backend="numpy"))
    assert_same_scores(got, reference)
    assert np.array_equal(got["fires"], reference["fires"])


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_the_example_of_the_backends_runs(backend):
    page = (Path(__file__).resolve().parents[2] / "docs/backends.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(compile(example, "backends.md", "exec"), names)
    assert names["gradients"].keys() == {"weight", "bias_vector"}
    assert ops.backend_name(names["gradients"]["weight"]) == "torch"
    assert ops.backend_name(names["layer"].weight.data) == "numpy"


def test_a_rows_score_does_not_depend_on_its_batch(backend):
    """Bit for bit on NumPy, where the worker runs; PyTorch's last bits may differ."""
    frozen = freeze_rbm(RBM(83, 61, generator=ops.generator(1)))
    v = ops.random.normal(ops.generator(2), (257, 83))
    whole = ops.to_numpy(frozen.free_energy(v))
    for size in (1, 2, 7, 64):
        parts = [frozen.free_energy(v[i : i + size]) for i in range(0, 257, size)]
        apart = ops.to_numpy(ops.concatenate(parts))
        if backend == "numpy":
            assert np.array_equal(apart, whole), size
        np.testing.assert_allclose(apart, whole, atol=2e-5)  # a few last bits of terms around 42
