"""Compiled arrival: the bits of the plain stage, from a key's first row on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import Observation, PackedRows, PipelineConfig
from ember_core.pipeline.arrival import AGES, Arrival
from tests.core.pipeline.compiled.twins import (
    MINUTE_US,
    SEEDS,
    SIZES,
    START_US,
    TWINS,
    assert_twins,
)

COLUMNS = (
    *("rows", "first", "warming", "elapsed", "interval", "scored", "learning", "may_fire"),
    *("age", "confidence"),
)
EDGES = (0, 1, 4, 31, 32, 127, 128, 499, 500, 1999, 2000, 4095, 4096)


@TWINS
@given(sizes=SIZES, seed=SEEDS, is_rehearsed=st.booleans(), known=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_bits_are_those_of_the_plain_stage(
    sizes: list[int], seed: int, is_rehearsed: bool, known: float
) -> None:
    rng = np.random.default_rng(seed)
    stage, packed = Arrival(3), PackedRows(sizes)
    if is_rehearsed:
        confidence = rng.uniform(0.0, 1.0, (len(AGES) + 1, 3)).astype(np.float32)
        stage.assign({"confidence": confidence})
    keys = packed.key_count
    state = {
        "rows": rng.choice(EDGES, keys),
        "known": (rng.random(keys) < known).astype(np.uint8),
        "last_time": START_US - MINUTE_US * rng.integers(0, 9, keys),
        "interval": rng.choice([0.0, 1e-9, 60.0, 300.0], keys),
    }
    config = PipelineConfig(("a", "b"))
    for batch in range(2):
        steps = rng.choice([1, MINUTE_US, 900 * MINUTE_US], len(packed.sizes)).cumsum()
        time_us = START_US + batch * steps[-1] + steps[packed.step] + packed.key
        plain = Observation(packed, config, time_us)
        x = rng.normal(size=(packed.row_count, 2))
        fields, _ = assert_twins(stage, state, x, plain, COLUMNS)
        state = state | fields
