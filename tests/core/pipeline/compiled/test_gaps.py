"""Compiled gap filler: the bits of the plain stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import PackedRows
from ember_core.pipeline.gaps import GapFiller
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
@given(c=CHANNELS, sizes=SIZES, seed=SEEDS, missing=st.sampled_from([0.0, 0.1, 0.8]))
@pytest.mark.parametrize("has_config", [True, False])
def test_the_bits_are_those_of_the_plain_stage(
    has_config: bool, c: int, sizes: list[int], seed: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    stage, packed = GapFiller(c), PackedRows(sizes)
    shape = packed.key_count, c
    state = {
        "carried": rng.normal(0.0, 1.0, shape).astype(np.float32),
        "age": rng.choice([0.0, 1.0, 9.5], shape).astype(np.float32),
    }
    for _ in range(2):
        x = np.nan_to_num(values(rng, (packed.row_count, c)))
        x[rng.random(x.shape) < missing] = np.nan
        plain = observation(rng, packed)
        if not has_config:
            plain.config = None
        fields, _ = assert_twins(stage, state, as_float32(x), plain, ("z",))
        state = state | fields
