"""Compiled normaliser: the bits of the plain stage, of keys that learn too."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import PackedRows
from ember_core.pipeline.normaliser import Normaliser
from tests.core.pipeline.compiled.twins import (
    CHANNELS,
    SEEDS,
    SIZES,
    TWINS,
    assert_same,
    assert_twins,
    observation,
    values,
)


@TWINS
@given(
    c=CHANNELS, sizes=SIZES, seed=SEEDS, has_prior=st.booleans(), clip=st.sampled_from([10, 1e6])
)
def test_the_bits_are_those_of_the_plain_stage(
    c: int, sizes: list[int], seed: int, has_prior: bool, clip: float
) -> None:
    rng = np.random.default_rng(seed)
    stage, packed = Normaliser(c, clip), PackedRows(sizes)
    if has_prior:
        priors = {"prior_rows": np.full(c, 25.0), "mean_rows": np.full(c, 7.0)}
        priors |= {"least": np.full(c, -3.0), "most": np.full(c, 1e10)}
        stage.assign({name: value.astype(np.float32) for name, value in priors.items()})
    shape = packed.key_count, c
    state = {
        "norm_mean": rng.normal(0.0, 1.0, shape),
        "norm_var": rng.choice([0.0, 0.1, 2.0], shape),
        "norm_low": rng.uniform(-9.0, -1.0, shape),
        "norm_high": rng.uniform(1.0, 9.0, shape),
        "norm_count": rng.choice([0, 1, 60], shape).astype(np.int32),
    }
    never_moved = rng.random(shape) < 0.1
    for name in ("norm_var", "norm_low", "norm_high"):
        state[name][never_moved] = 0.0
    for _ in range(2):
        x, plain = values(rng, (packed.row_count, c)), observation(rng, packed)
        fields, twin = assert_twins(stage, state, x, plain)
        for rows in (slice(None), rng.permutation(packed.row_count)[:5]):
            for name, moments in plain.moments.items():
                assert_same(name, twin.moments[name][rows], moments[rows])
        if not plain.warming.any():
            assert all(fields[name] is state[name] for name in fields), "nothing to write"
        state = state | fields
