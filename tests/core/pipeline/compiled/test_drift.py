"""Compiled drift: the bits of the plain stage, in incidents and out of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import PackedRows
from ember_core.pipeline.drift import Drift
from tests.core.pipeline.compiled.twins import (
    CHANNELS,
    SEEDS,
    SIZES,
    TWINS,
    as_float32,
    assert_twins,
    observation,
    values,
)


@TWINS
@given(c=CHANNELS, sizes=SIZES, seed=SEEDS, scale=st.sampled_from([0.5, 5.0]))
def test_the_bits_are_those_of_the_plain_stage(
    c: int, sizes: list[int], seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    stage, packed = Drift(c, half_life=97.0, longest_hold=7.0), PackedRows(sizes)
    shape = packed.key_count, c
    usual = np.where(rng.random(shape) < 0.2, 0.0, rng.uniform(0.01, 1.5, shape))
    state = {
        "drift_usual": usual.astype(np.float32),
        "drift_size": rng.uniform(0.0, 2.0, shape).astype(np.float32),
        "drift_level": rng.normal(0.0, 1.0, shape).astype(np.float32),
        "drift_held": rng.choice([0.0, 3.0, 8.0], packed.key_count).astype(np.float32),
    }
    for _ in range(2):
        z = as_float32(scale * values(rng, (packed.row_count, c)))
        fields, _ = assert_twins(stage, state, z, observation(rng, packed))
        state = state | fields
