"""The compiled free energy has the bits of the plain one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core import ops
from ember_core.models import RBM
from ember_core.pipeline import Observation, PackedRows, Pipeline, PipelineConfig
from ember_core.pipeline.compiled.rbm import rbm_score
from ember_core.pipeline.rbm_score import RBMScore
from tests.core.pipeline.compiled.bits import assert_same_bits


def _stage(visible: int, hidden: int, *, gaussian: bool = True, size: float = 0.3) -> RBMScore:
    rng = np.random.default_rng(visible + hidden)
    kind: Any = "gaussian" if gaussian else "binary"
    rbm = RBM(visible, hidden, visible=kind, generator=ops.generator(1))
    for name, shape in (("weights", (visible, hidden)), ("hidden_bias", (hidden,))):
        values = (size * rng.standard_normal(shape)).astype(np.float32)
        rbm.assign({name: values.clip(-7.9, 7.9)})
    rbm.assign({"visible_bias": rng.standard_normal(visible).astype(np.float32)})
    stage = RBMScore()
    stage.prepare(rbm)
    return stage


def _compare(stage: RBMScore, visible: Any) -> None:
    observation = Observation(PackedRows([len(visible)]))
    with np.errstate(all="ignore"):
        _, expected = stage.forward({}, visible, observation)
    _, got = rbm_score(stage, {}, visible, observation)
    assert_same_bits(got, expected)


@settings(deadline=None, max_examples=60)
@given(
    visible=st.sampled_from([1, 3, 7, 19, 72, 127, 128, 129, 311]),
    hidden=st.sampled_from([1, 5, 8, 31, 64, 67, 128, 131]),
    rows=st.integers(0, 11),
    size=st.sampled_from([0.0, 0.01, 1.0, 11.0]),
    gaussian=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_bits_are_those_of_the_plain_stage(
    visible: int, hidden: int, rows: int, size: float, gaussian: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    v = (size * rng.standard_normal((rows, visible))).astype(np.float32)
    _compare(_stage(visible, hidden, gaussian=gaussian, size=size), v)


@pytest.mark.parametrize("extreme", [1e30, -1e30, np.inf, np.nan, 1e-45, -0.0])
def test_an_extreme_stays_in_its_row(extreme: float) -> None:
    v = np.random.default_rng(5).standard_normal((7, 19)).astype(np.float32)
    v[3, 11] = extreme
    _compare(_stage(19, 31), v)


def test_rows_of_another_layout_are_scored() -> None:
    v = np.asfortranarray(np.random.default_rng(5).standard_normal((13, 19)).astype(np.float32))
    v.flags.writeable = False
    _compare(_stage(19, 31), v[::2])


def test_new_weights_are_taken_over() -> None:
    stage, v = _stage(7, 5), np.ones((3, 7), np.float32)
    _compare(stage, v)
    stage.prepare(RBM(7, 5, visible="gaussian", generator=ops.generator(3)))
    _compare(stage, v)


def test_a_pipeline_scores_by_the_compiled_form(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(PipelineConfig(channels=("a", "b", "c"), rbm_hidden=7))
    v = np.random.default_rng(2).standard_normal((5, pipeline.n_visible)).astype(np.float32)
    expected = pipeline.score(v)
    pipeline.use_compiled()
    with monkeypatch.context() as patch:
        patch.setattr(RBMScore, "forward", None)
        assert_same_bits(pipeline.score(v), expected)
    pipeline.use_compiled(on=False)
    assert_same_bits(pipeline.score(v), expected)
