"""Lists of stages, the order of their fields in a row, and the roles of the fields."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ember_core.pipeline import Pipeline, PipelineConfig, Role, names_with, service_stages
from ember_core.pipeline.arrangements import ROW_ORDER
from ember_core.serialize import load_bundle
from tests.core.conftest import CHANNELS, ROW_US, SMALL, START, fit, signal

FIELDS = [
    "rows",
    "known",
    "last_time",
    "interval",
    "carried",
    "age",
    "norm_mean",
    "norm_var",
    "norm_low",
    "norm_high",
    "norm_count",
    "ewma",
    "ewvar",
    "feature_mean",
    "feature_var",
    "anchor",
    "liquid",
    "pending",
    "tail_mid",
    "tail_high",
    "tail_excess",
    "tail_held",
    "evidence",
    "firing",
    "refractory",
    "feedback",
]
"""Fields of a row since the first release: their order decides its bytes."""


@pytest.fixture
def pipeline():
    return Pipeline(PipelineConfig(channels=CHANNELS, **SMALL))


def test_a_row_has_the_fields_of_all_stages_in_the_order_of_the_first_release(pipeline):
    assert [f.name for f in pipeline.state_fields()] == FIELDS
    stages = service_stages(pipeline.config)
    more = service_stages(replace(pipeline.config, evidence="channels+joint"))
    for chain, left_out in ((stages, {"channels", "drift", "joint"}), (more, set())):
        remembering = {name for name, stage in chain.items() if stage.state_fields()}
        assert set(ROW_ORDER) - left_out == remembering
    assert list(stages) == list(pipeline.stages)


def test_only_the_decision_writes_fields_with_that_role(pipeline):
    decided = names_with(Role.DECIDED, pipeline.state_fields())
    state = pipeline.initial_state(2)
    observation = pipeline.observe(state, signal(2), START + ROW_US * np.arange(2))
    decision = pipeline.decide(
        {name: state[name] for name in decided},
        pipeline.score(observation.visible),
        observation.may_fire,
        observation.learning,
    )
    assert set(decision.state) == set(decided)
    assert set(observation.state) == set(FIELDS) - set(decided)


def test_a_bundle_holds_the_learned_fields_the_bands_and_no_other(fitted, tmp_path):
    fitted.save(tmp_path)
    arrays, _ = load_bundle(tmp_path)
    learned = set(names_with(Role.LEARNED, fitted.pipeline.state_fields()))
    for prefix in ("key.", "new."):
        names = {name.removeprefix(prefix) for name in arrays if name.startswith(prefix)}
        assert names == learned | {"bands"}


def test_a_whitened_pipeline_keeps_the_name_of_its_matrix_in_the_bundle(tmp_path):
    model = fit(whiten=0.02)
    model.save(tmp_path)
    arrays, _ = load_bundle(tmp_path)
    assert arrays["weights.whitener"].shape == (model.pipeline.n_visible,) * 2
    loaded = type(model).load(tmp_path)
    assert np.array_equal(loaded.pipeline.visible.whitener, model.pipeline.visible.whitener)
