"""Compiled channel evidence: fields, columns and explanations of the plain stage."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import Observation, PackedRows
from ember_core.pipeline.arrival import AGES
from ember_core.pipeline.evidence import ChannelEvidence
from ember_core.pipeline.evidence.signals import SIGNALS
from tests.core.pipeline.compiled.twins import (
    CHANNELS,
    SEEDS,
    SIZES,
    TWINS,
    assert_same,
    assert_same_fields,
    assert_twins,
    observation,
    values,
)
from tests.core.pipeline.evidence.fleet import DAY_ROWS, DAYS, model, rows, times

COLUMNS = ("channel_severity", "channel_hold")


def _stage(rng: np.random.Generator, c: int) -> ChannelEvidence:
    """A stage with parameters of every kind: transforms, profiles, anchors, flat curves."""
    day_bins, week_bins = (1, 1) if rng.random() < 0.3 else (13, 91)
    stage = ChannelEvidence(
        c, rank=3, bin_seconds=6647, day_bins=day_bins, week_bins=week_bins, scale_half_life=97.0
    )
    steps = rng.exponential(0.1, stage.curves.tables.shape)
    for table, row in enumerate(steps):
        row[: 1 + 11 * (table % 5)] = 0.0
    tables = np.cumsum(steps, axis=1) + rng.uniform(-2.0, 0.0, (len(steps), 1))
    parameters: dict[str, Any] = {
        "transforms.kind": rng.integers(0, 3, c) * (rng.random() < 0.7),
        "transforms.width": rng.uniform(0.1, 3.0, c),
        "profiles": rng.normal(0.0, 0.5, (week_bins, c, 3)),
        "day_size": rng.uniform(0.5, 2.0, (day_bins, c)),
        "widening": rng.uniform(1.0, 2.0, (len(AGES) + 1, SIGNALS + 1, c)),
        "level_rows": rng.choice([0.0, 25.0], c),
        "level_least": np.full(c, -3.0),
        "level_most": np.full(c, 3.0),
        "anchor_half_life": rng.choice([0.0, 3.0, 40.0], c),
        "shared": rng.normal(0.0, 0.3, (c, c)) * (1.0 - np.eye(c)),
        "curves.tables": tables,
    }
    stage.assign({name: value.astype(np.float32) for name, value in parameters.items()})
    return stage


def _state(rng: np.random.Generator, stage: ChannelEvidence, keys: int) -> dict[str, Any]:
    """Fields of keys: known ones, keys without usual values, and some with no rows yet."""
    state = {}
    for field in stage.state_fields():
        value = rng.uniform(0.2, 2.0, (keys, *field.shape))
        if field.name in ("usual_loadings", "channel_anchor", "last_departure", "last_value"):
            value = rng.normal(0.0, 1.0, value.shape)
        if field.name.endswith("_averages"):
            value = rng.normal(0.0, 1.0, value.shape)
            value[:, -1] = abs(value[:, -1])  # a spread is not negative
        if field.name == "usual_run":
            value = rng.choice([0.0, 3.0], value.shape)
        if field.name in ("channel_rows", "channel_far", "equal_run"):
            value = rng.choice([0.0, 1.0, 7.0, 60.0], value.shape)
        state[field.name] = value.astype(field.dtype)
    unknown = rng.random((keys, stage.n_channels)) < 0.1
    for name in ("usual_unit", "usual_excess"):
        state[name][unknown] = 0.0
    new = rng.random(keys) < 0.2
    for field in stage.state_fields():
        if not field.name.startswith("usual"):
            state[field.name][new] = 0.0
    return state


def _bounds(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, Any]:
    """Bounds of rules: a side counts, or it does not."""
    far = np.float32(3e38)
    sides = {"low": -far, "high": far, "held_low": -far, "held_high": far}
    return {
        side: np.where(rng.random(shape) < 0.3, np.float32(0.0), bound)
        for side, bound in sides.items()
    }


def _explained(plain: Observation, twin: Observation, x: Any, rows: Any) -> None:
    """The columns that are made when they are asked for."""
    for name in ("ratios", "severity"):
        got, expected = (getattr(o.channel_statistics, name)(rows) for o in (twin, plain))
        assert_same(name, got, expected)
    assert_same("is_known", twin.usual.is_known(rows), plain.usual.is_known(rows))
    for sizes in (0.0, -3.0):
        assert_same("usual", twin.usual.values(rows, sizes), plain.usual.values(rows, sizes))
    got, expected = (o.usual.departures(rows, x[rows]) for o in (twin, plain))
    assert_same("departures", got, expected)


@TWINS
@given(c=CHANNELS, sizes=SIZES, seed=SEEDS, is_young=st.booleans(), has_rules=st.booleans())
def test_the_bits_are_those_of_the_plain_stage(
    c: int, sizes: list[int], seed: int, is_young: bool, has_rules: bool
) -> None:
    rng = np.random.default_rng(seed)
    stage, packed = _stage(rng, c), PackedRows(sizes)
    state = _state(rng, stage, packed.key_count)
    for _ in range(2):
        x = values(rng, (packed.row_count, c))
        plain = observation(rng, packed)
        if is_young:
            plain.age = rng.integers(0, len(AGES) + 1, packed.row_count).astype(np.int32)
        if has_rules:
            plain.counted = _bounds(rng, x.shape)
        fields, twin = assert_twins(stage, state, x, plain, COLUMNS)
        with np.errstate(all="ignore"):
            _explained(plain, twin, x, rng.permutation(packed.row_count)[:5])
            _explained(plain, twin, x, slice(None))
        state = state | fields


@pytest.mark.parametrize("is_known", [True, False])
def test_a_trained_pipeline_decides_the_same(is_known: bool) -> None:
    """Rows with faults, of a key with its scales and of one that learns them, batch by batch."""
    first, count = DAYS * DAY_ROWS, 900
    x, time_us = rows(1, first, count), times(first, count)
    x[150:, 3] += 30.0
    x[400:480, 0] = x[400, 0]
    x[520:560] = np.nan
    found = model()
    state = {name: value[1:2] for name, value in found.key_state.items()}
    twin = copy.deepcopy(found.pipeline)
    twin.use_compiled()
    runs = []
    for pipeline in (found.pipeline, twin):
        current, parts = state if is_known else dict(found.new_state), []
        for part in (slice(0, 1), slice(1, 300), slice(300, 301), slice(301, count)):
            out = pipeline.forward(x[part], time_us[part], current)
            current = out.pop("state")
            parts.append(out)
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        runs.append(columns | current)
    assert (runs[0]["trigger"] > 0).any()
    assert_same_fields(runs[1], runs[0])
