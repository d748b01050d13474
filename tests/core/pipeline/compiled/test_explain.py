"""Compiled explanations of rows: the bits of those on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ember_core.models import RBM
from ember_core.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.compiled.explain import attribute
from ember_core.pipeline.explain import Explainer
from tests.core.pipeline.compiled.bits import assert_same_bits

OWNERS = {
    "one channel": [0] * 7,
    "channels and a clock": [*[0, 1, 2] * 7, -1, -1],
    "unequal channels": [0, 1, 1, 2, 2, 2, *[3] * 11],
    "a channel without units": [*[0, 2] * 5, 4],
    "many channels": list(range(19)) * 5,
    "a unit a channel": list(range(11)),
    "more terms than a block": [*[0] * 137, *[1] * 3],
}


def explainer(owner: list[int], hidden: int, seed: int) -> Explainer:
    rng = np.random.default_rng(seed)
    rbm = RBM(len(owner), hidden, visible="gaussian")
    weights = rng.normal(0.0, 0.4, (len(owner), hidden)).astype(np.float32)
    rbm.weights.data = weights
    rbm.hidden_bias.data = rng.normal(0.0, 1.0, hidden).astype(np.float32)
    rbm.visible_bias.data = rng.normal(0.0, 0.3, len(owner)).astype(np.float32)
    made = Explainer(owner, max(owner) + 1)
    made.prepare(rbm)
    return made


def rows(count: int, width: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return rng.uniform(-10.0, 10.0, (count, width)).astype(np.float32)


@pytest.mark.parametrize("hidden", [3, 64, 131])
@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_the_bits_are_those_of_arrays(owner: list[int], hidden: int) -> None:
    made = explainer(owner, hidden, hidden)
    for count in (1, 2, 5, 67):
        visible = rows(count, len(owner), count)
        assert_same_bits(attribute(made, visible), made.attribute(visible), str(count))


def test_rows_without_a_cause_are_shared_evenly() -> None:
    """Rows at their expectation, and rows that are no numbers."""
    made = explainer(OWNERS["channels and a clock"], 5, 1)
    visible = np.zeros((5, 23), np.float32)
    visible[1] = np.nan
    visible[2] = -made.frozen.visible_bias
    assert_same_bits(attribute(made, visible), made.attribute(visible))


def test_a_pipeline_explains_by_new_weights() -> None:
    made = Pipeline(PipelineConfig(channels=("a", "b", "c")))
    visible = rows(13, made.n_visible, 2)
    for scale in (1.0, 0.5):
        made.rbm.weights.data = made.rbm.weights.data * np.float32(scale)
        made.arrays_changed()
        made.use_compiled(on=False)
        expected = made.explain(visible)
        made.use_compiled()
        assert_same_bits(made.explain(visible), expected)
