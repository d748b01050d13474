"""Rows of keys in many shapes, and the comparison of a stage with its compiled form."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from ember_core.pipeline import Observation, PackedRows, PipelineConfig
from ember_core.pipeline.compiled.table import STAGES
from ember_core.pipeline.stage import Stage, State
from tests.conftest import examples

TWINS = settings(max_examples=examples(60), deadline=None)
CHANNELS = st.sampled_from([1, 3, 5, 19])
SIZES = st.one_of(
    st.integers(1, 7).map(lambda n: [n]),
    st.lists(st.integers(1, 7), min_size=2, max_size=23).map(lambda n: sorted(n, reverse=True)),
)
"""Keys in each step: one row a key, or several."""
SEEDS = st.integers(0, 2**31)
START_US = 1_767_571_200_000_000
MINUTE_US = 60_000_000
HUGE = (1e30, -1e30, 1e60)


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Ordinary values, some of them missing, equal to others, or far out."""
    x = rng.normal(0.0, 2.0, shape)
    place = rng.random(shape)
    x = np.where(place < 0.1, np.round(x), x)
    x = np.where(place > 0.98, rng.choice([*HUGE, 0.0, 1e9, -1e9], shape), x)
    return np.where((place > 0.90) & (place < 0.94), np.nan, x)


def as_float32(x: Any) -> Any:
    """Values of float32; those beyond it are infinite."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def observation(rng: np.random.Generator, packed: PackedRows) -> Observation:
    """Columns that `Arrival` makes: ordinary steps, long gaps, rows at once, keys that learn."""
    n = packed.row_count
    config = PipelineConfig(("a", "b"))
    time_us = START_US + MINUTE_US * rng.integers(0, 20_000, n).cumsum()
    made = Observation(packed, config, time_us)
    elapsed = rng.choice([1.0, 1.0, 0.0, 0.37, 2.5, 400.0, 1e4], n)
    made.elapsed = np.where(rng.random(n) < 0.5, 1.0, elapsed).astype(np.float32)
    made.warming = (rng.random(packed.key_count) < rng.choice([0.0, 0.5]))[packed.key]
    return made


def assert_twins(
    stage: Stage, state: State, x: Any, plain: Observation, columns: tuple[str, ...] = ()
) -> tuple[State, Observation]:
    """Hold the compiled form of a stage to the stage; return the fields, and its observation."""
    twin, before = copy.copy(plain), copy.deepcopy((state, x))
    with np.errstate(all="ignore"):
        expected_fields, expected = stage.forward(state, x, plain)
        fields, output = STAGES[type(stage)](stage, state, x, twin)
    assert_same("output", output, expected)
    assert_same_fields(fields, expected_fields)
    for name in columns:
        assert_same(name, getattr(twin, name), getattr(plain, name))
    assert_same_fields(state, before[0])
    assert_same("input", x, before[1])
    return expected_fields, twin


def assert_same_fields(fields: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert fields.keys() == expected.keys()
    for name, value in fields.items():
        assert_same(name, value, expected[name])


def assert_same(name: str, got: Any, expected: Any) -> None:
    """The same bytes, but for the payload of NaN."""
    if expected is None:
        assert got is None, name
        return
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape), name
    if got.dtype.kind == "f":
        got, expected = (np.where(np.isnan(a), a.dtype.type(np.nan), a) for a in (got, expected))
    if got.tobytes() != expected.tobytes():
        np.testing.assert_array_equal(got, expected, err_msg=name)
        raise AssertionError(f"{name}: the sign of a zero differs.")
