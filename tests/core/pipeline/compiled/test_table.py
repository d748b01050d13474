"""Pipelines of compiled stages have the bits of plain ones, for every entry of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import PackedRows, Pipeline, PipelineConfig
from ember_core.pipeline.compiled.table import HOLDS, STAGES
from ember_core.pipeline.stage import State
from tests.conftest import examples
from tests.core.pipeline.compiled.bits import assert_same_bits

CONFIGS: dict[str, dict[str, Any]] = {
    "one channel": {"channels": 1, "hidden": 8, "rbm_hidden": 7},
    "defaults": {"channels": 5},
    "clock": {
        "channels": 3,
        "periods_seconds": (3600.0, 86_400.0),
        "horizons": (1, 3),
        "residuals": (1, 3),
        "levels": False,
    },
    "whitened": {"channels": 3, "whiten": 0.1, "clock_visible": False, "rbm_hidden": 67},
    "dilated rows": {"channels": 5, "windows": "dilated", "window_size": 7},
    "hops": {"channels": 1, "windows": "hop", "window_size": 11},
    "channels too": {"channels": 5, "evidence": "channels+joint"},
    "many channels": {"channels": 19, "half_lives": (3.0,), "hidden": 11},
}
SHORT = {"warmup_score": 13, "warmup_alarm": 101, "quiet_rows": 5}
COLUMNS = (
    *("rows", "first", "warming", "elapsed", "interval", "scored", "may_fire", "learning", "age"),
    *("confidence", "channel_severity", "channel_hold", "z", "clock", "due", "basis", "slow"),
    *("raw", "scaled", "visible"),
)
INTERVAL_US = 10_000_000


def _pipelines(name: str) -> tuple[Pipeline, Pipeline]:
    """Return a plain pipeline with random weights, and its compiled twin."""
    options = CONFIGS[name] | SHORT
    channels = tuple(f"c{i}" for i in range(options.pop("channels")))
    plain, twin = (Pipeline(PipelineConfig(channels, seed=3, **options)) for _ in range(2))
    rng = np.random.default_rng(5)
    readout = 0.3 * rng.standard_normal(plain.liquid.readout.shape)
    plain.liquid.assign({"readout": readout.astype(np.float32)})
    twin.load_state_dict(plain.state_dict())
    twin.use_compiled()
    return plain, twin


def _assert_same(got: State, expected: State) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert_same_bits(got[name], value, name)


def _assert_twins(plain: Pipeline, twin: Pipeline, rng: np.random.Generator, steps: int) -> None:
    """Assert the same states, columns and scores over batches of any shape."""
    keys, channels = 7, len(plain.config.channels)
    state = plain.initial_state(keys)
    clock = 1_700_000_000_000_000 + np.arange(keys)
    names = [name for name in state if name in ("known", "norm_high", "norm_var", "feature_var")]
    for name in names:
        state[name][::2] = 1  # every other key is known to the bundle
    for step in range(steps):
        owner = np.arange(keys) if step % 2 else rng.integers(0, keys, rng.integers(1, 90))
        packed, present, _ = PackedRows.of(owner)
        waits = rng.choice([0.3, 1.0, 1.1, 400.0], packed.row_count, p=[0.2, 0.4, 0.35, 0.05])
        time_us = np.empty(packed.row_count, np.int64)
        for row, key in enumerate(present[packed.key].tolist()):
            clock[key] += int(waits[row] * INTERVAL_US) + 1
            time_us[row] = clock[key]
        values = rng.standard_normal((packed.row_count, channels))
        values[rng.random(values.shape) < 0.05] = np.nan
        values[rng.random(values.shape) < 0.02] *= 1e30
        values[rng.random(values.shape) < 0.1] = 0.5
        side = np.array([0.0, np.inf], np.float32)
        sides = ("low", -1), ("high", 1), ("held_low", -1), ("held_high", 1)
        counted = {name: sign * rng.choice(side, values.shape) for name, sign in sides}
        more: dict[str, Any] = {"counted": counted} if step % 3 == 2 else {}
        before = {name: value[present] for name, value in state.items()}
        with np.errstate(all="ignore"):
            expected = plain.observe(before, values, time_us, packed, **more)
            copies = {field: value.copy() for field, value in before.items()}
            got = twin.observe(copies, values, time_us, packed, **more)
            _assert_same(got.state, expected.state)
            for name in COLUMNS:
                column, other = getattr(expected, name), getattr(got, name)
                assert (column is None) == (other is None), name
                if column is not None:
                    assert_same_bits(other, column, name)
            assert_same_bits(twin.score(got.visible), plain.score(expected.visible), "score")
        for name, value in expected.state.items():
            state[name][present] = value


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_that_warm_up_have_the_same_bits(name: str) -> None:
    plain, twin = _pipelines(name)
    _assert_twins(plain, twin, np.random.default_rng(11), steps=31)


@settings(deadline=None, max_examples=examples(20))
@given(name=st.sampled_from(sorted(CONFIGS)), seed=st.integers(0, 9999))
def test_histories_have_the_same_bits(name: str, seed: int) -> None:
    plain, twin = _pipelines(name)
    _assert_twins(plain, twin, np.random.default_rng(seed), steps=5)


def test_every_entry_of_the_table_is_compared() -> None:
    stages = {type(stage) for name in CONFIGS for stage in _pipelines(name)[0].stages.values()}
    assert set(STAGES) <= stages
    assert set(HOLDS) <= stages
