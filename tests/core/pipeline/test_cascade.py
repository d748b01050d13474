"""The cascade: RBM into liquid network into motor neuron, streamed, trained and kept."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from ember_core import ops
from ember_core.data.columns import ColumnFeatures
from ember_core.nn import CellKind
from ember_core.pipeline import CascadePipeline
from ember_core.pipeline.fit import fit_cascade, fit_cascade_liquid, fit_cascade_rbm

B, T, C, H, N = 2, 7, 3, 13, 5
KINDS = get_args(CellKind)
SMALL = {"units": H, "rbm_hidden": N, "lstm_units": 3, "half_lives": (2.0, 5.0)}


def machine(rows, seed=1, fault=None):
    """Three channels with a beat of 11 rows, `(rows, 3)`; out of step from row `fault` on."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows, dtype=float)
    if fault is not None:
        t[fault:] += 5.5
    beat = np.sin(2 * np.pi * t / 11)
    x = np.stack([beat, np.cos(2 * np.pi * t / 11), 0.5 * beat], axis=1)
    return np.asarray([30.0, -2.0, 500.0]) + np.asarray([4.0, 0.1, 90.0]) * (
        x + 0.05 * rng.standard_normal(x.shape)
    )


def rows_of(batch=B, steps=T, seed=1):
    return ops.from_numpy(
        np.random.default_rng(seed).standard_normal((batch, steps, C)).astype("float32")
    )


def close(actual, expected):
    np.testing.assert_allclose(ops.to_numpy(actual), ops.to_numpy(expected), rtol=2e-4, atol=2e-5)


@pytest.fixture(scope="module")
def fitted():
    pipeline = CascadePipeline(C, network_type="cfc", threshold_type="adaptive", **SMALL)
    report = fit_cascade(
        pipeline, machine(1201), rbm_epochs=5, liquid_epochs=8, generator=ops.generator(1)
    )
    return pipeline, report


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["forecast", "labels"])
def test_rows_as_they_arrive_give_what_the_whole_series_gives(backend, kind, target):
    pipeline = CascadePipeline(
        C, network_type=kind, target=target, threshold_type="adaptive", history_length=3, **SMALL
    )
    x = rows_of()
    dt = ops.from_numpy(np.random.default_rng(2).exponential(size=(B, T)).astype("float32"))
    whole, last = pipeline(x, elapsed=dt)
    assert ops.shape(whole.hidden) == (B, T, N)
    assert {ops.shape(value) for value in whole[1:]} == {(B, T)}
    state = pipeline.initial_state(B)
    for t in range(T):
        state, said = pipeline.step(state, x[:, t], dt[:, t])
        for part, of_all in zip(said, whole, strict=True):
            close(part, of_all[:, t : t + 1])
    assert state.keys() == last.keys() == {f.name for f in pipeline.state_fields()}
    for name, value in last.items():
        close(state[name], value)


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_depends_on_a_later_one(kind):
    pipeline = CascadePipeline(C, network_type=kind, **SMALL)
    x = ops.to_numpy(rows_of(1, 23)[0])
    changed = x.copy()
    changed[17:] += 3.0
    before, after = pipeline.score(x), pipeline.score(changed)
    assert np.array_equal(before[:17], after[:17])
    assert before[17] != after[17]


def test_a_missing_value_is_the_channels_last_and_the_mean_before_the_first():
    pipeline = CascadePipeline(C, **SMALL)
    pipeline.assign({"mean": np.asarray([1.0, 2.0, 3.0], "float32")})
    x = ops.to_numpy(rows_of(1, 7)[0]).copy()
    torn, filled = x.copy(), x.copy()
    torn[0, 1], torn[4:6, 2] = np.nan, np.nan
    filled[0, 1], filled[4:6, 2] = 2.0, x[3, 2]
    assert np.array_equal(pipeline.score(torn), pipeline.score(filled))
    assert np.isfinite(pipeline.score(np.full((5, C), np.nan))).all()


def test_trained_it_sees_a_machine_fall_out_of_step(fitted):
    pipeline, report = fitted
    assert report.liquid["loss"][-1] < report.liquid["loss"][0]
    assert report.rbm["reconstruction_error"][-1] < report.rbm["reconstruction_error"][0]
    assert set(report.seconds) == {"rbm", "liquid"}
    normal = pipeline.score(machine(401, seed=2))[50:]
    broken = pipeline.score(machine(401, seed=2, fault=300))
    assert broken[300:303].max() > normal.max()
    assert np.array_equal(broken[:300], pipeline.score(machine(401, seed=2))[:300])


def test_the_motor_neuron_is_a_half_at_the_quantile_of_training(fitted):
    pipeline, _ = fitted
    x = machine(1201)
    said, _ = pipeline(ops.from_numpy(x[None].astype("float32")))
    share = float((said.output[0, 32:] > 0.5).mean())
    assert share == pytest.approx(0.01, abs=2e-3)
    np.testing.assert_allclose(said.output, 1.0 / (1.0 + np.exp(-said.score)), rtol=1e-4)
    assert np.array_equal(said.trigger, (said.output > said.threshold).astype("float32"))


def test_triggers_can_be_left_out(fitted):
    said, _ = fitted[0](rows_of(), return_triggers=False)
    assert (said.threshold, said.trigger) == (None, None)


def test_file_brings_back_scales_weights_and_threshold(fitted, tmp_path):
    pipeline, _ = fitted
    pipeline.save(tmp_path / "cascade.safetensors")
    again = CascadePipeline.load(tmp_path / "cascade.safetensors")
    assert again.get_config() == pipeline.get_config()
    x = machine(67, seed=3)
    assert np.array_equal(again.score(x), pipeline.score(x))


def test_backends_say_the_same(fitted, backend, tmp_path):
    pipeline, _ = fitted
    pipeline.save(tmp_path / "cascade.safetensors")
    again = CascadePipeline.load(tmp_path / "cascade.safetensors")
    assert ops.backend_name(again.mean) == backend
    x = machine(67, seed=3)
    np.testing.assert_allclose(again.score(x), pipeline.score(x), rtol=1e-3, atol=1e-3)


def test_a_table_goes_through_the_extractor_that_is_kept_with_the_rest(tmp_path):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"load": rng.standard_normal(201), "rack": rng.choice(["a", "b"], 201)})
    extractor = ColumnFeatures().fit(table)
    pipeline = CascadePipeline(len(extractor.feature_names_out), extractor, **SMALL)
    fit_cascade(pipeline, table, rbm_epochs=1, liquid_epochs=1, generator=ops.generator(1))
    scores = pipeline.score(table)
    assert scores.shape == (201,)
    pipeline.save(tmp_path / "cascade.safetensors")
    again = CascadePipeline.load(tmp_path / "cascade.safetensors")
    assert np.array_equal(again.score(table), scores)


@pytest.mark.parametrize(
    "threshold", ["fixed", pytest.param("adaptive", marks=pytest.mark.slow), "learned"]
)
def test_labels_teach_the_motor_neuron_and_its_threshold(threshold):
    x, marks = machine(401), np.zeros(401)
    for start in range(40, 401, 80):
        x[start : start + 13] += np.asarray([0.0, 0.0, 250.0])
        marks[start : start + 13] = 1.0
    options = SMALL | {"rbm_hidden": 29, "half_lives": ()}
    pipeline = CascadePipeline(
        C, network_type="cfc", target="labels", threshold_type=threshold, **options
    )
    before = pipeline.state_dict()
    fit_cascade_rbm(pipeline, x, epochs=60, batch_size=31, generator=ops.generator(1))
    fit_cascade_liquid(
        pipeline,
        x,
        labels=[marks],
        epochs=11,
        steps=17,
        batch_size=5,
        learning_rate=3e-2,
        validation_share=0.0,
        generator=ops.generator(1),
    )
    said, _ = pipeline(ops.from_numpy(x[None].astype("float32")))
    scores = ops.to_numpy(said.score[0])
    assert np.median(scores[marks == 1]) > np.quantile(scores[marks == 0], 0.95)
    if threshold != "adaptive":
        agree = ops.to_numpy(said.trigger[0]) == marks
        assert agree.mean() > 0.9
    learned = [n for n in before if "projection" in n and "threshold" in n]
    assert bool(learned) == (threshold == "learned")
    for name in learned:
        assert not np.array_equal(before[name], pipeline.state_dict()[name])


def test_parts_learn_one_by_one(backend):
    pipeline = CascadePipeline(C, **SMALL)
    before = {n: ops.to_numpy(v).copy() for n, v in pipeline.state_dict().items()}
    fit_cascade_rbm(pipeline, [machine(101), machine(67)], epochs=1, generator=ops.generator(1))
    after = {n: ops.to_numpy(v) for n, v in pipeline.state_dict().items()}
    changed = {n.partition(".")[0] for n in before if not np.array_equal(before[n], after[n])}
    assert changed == {"rbm", "mean", "deviation", "feature_mean", "feature_deviation"}
    x = machine(101)
    both = np.concatenate([x, machine(67)])
    np.testing.assert_allclose(after["mean"], both.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(after["deviation"], both.std(axis=0), rtol=1e-3)


def test_summary_names_every_part_and_adds_its_weights_up():
    pipeline = CascadePipeline(C, **SMALL)
    lines = pipeline.summary().splitlines()
    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(counts[:-1]) == counts[-1] == sum(p.data.size for p in pipeline.parameters())
    assert "ncp, 13 neurons, forecast" in pipeline.summary()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CascadePipeline(C, threshold_type="learned"), "threshold_type='learned'"),
        (lambda: CascadePipeline(C, target="regression"), "target='regression'"),
        (lambda: CascadePipeline(C, network_type="gru"), "Received: 'gru'"),
        (lambda: CascadePipeline(C, **SMALL)(ops.ones((B, C))), r"x\.shape=\(2, 3\)"),
        (lambda: CascadePipeline(C, **SMALL).score(np.ones((T, C + 1))), r"shape=\(7, 4\)"),
        (
            lambda: fit_cascade(
                CascadePipeline(C, target="labels", **SMALL),
                machine(67),
                rbm_epochs=1,
                generator=ops.generator(1),
            ),
            "Received: labels=None",
        ),
        (
            lambda: fit_cascade_rbm(
                CascadePipeline(C, **SMALL), machine(1), generator=ops.generator(1)
            ),
            r"rows=\[1\]",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
