"""The compiled liquid network has the bits of the plain one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import LiquidNetwork, Observation, PackedRows, zero_state
from ember_core.pipeline.compiled.held import hold
from ember_core.pipeline.compiled.liquid import liquid
from tests.conftest import examples
from tests.core.pipeline.compiled.bits import assert_same_bits
from tests.core.pipeline.compiled.histories import BATCHES, assert_same_history, batches

COLUMNS = ("slow", "due", "basis")


def _network(
    channels: int,
    n_clock: int = 0,
    hidden: int = 11,
    horizons: tuple[int, ...] = (1, 3),
    residuals: tuple[int, ...] = (3,),
) -> LiquidNetwork:
    net = LiquidNetwork(channels, n_clock, hidden, horizons, residuals=residuals, seed=2)
    rng = np.random.default_rng(channels)
    readout = (0.3 * rng.standard_normal(net.readout.shape)).astype(np.float32)
    growth = rng.uniform(0.5, 4.0, net.growth.shape).astype(np.float32)
    net.assign({"readout": readout, "growth": growth})
    return net


class _Rows:
    """Random columns of a batch; some rows are extreme."""

    def __init__(self, seed: int, net: LiquidNetwork, *, counted: bool, size: float) -> None:
        self.rng, self.net = np.random.default_rng(seed), net
        self.counted, self.size = counted, size

    def __call__(self, packed: PackedRows, keys: Any, observation: Observation) -> Any:
        rng, n, c = self.rng, packed.row_count, self.net.n_channels
        z = (self.size * rng.standard_normal((n, c))).astype(np.float32)
        z[rng.random((n, c)) < 0.05] = rng.choice([0.0, -0.0, 1e30, -1e30])
        observation.z = z
        observation.clock = rng.uniform(-1, 1, (n, self.net.n_clock)).astype(np.float32)
        waits = rng.choice([0.0, 0.3, 1.0, 1.7, 200.0, 1e4], n)
        observation.elapsed = (waits * rng.uniform(0.9, 1.1, n)).astype(np.float32)
        if self.counted:
            side = np.array([0.0, np.inf], np.float32)
            observation.counted = {
                "low": -rng.choice(side, (n, c)),
                "high": rng.choice(side, (n, c)),
                "held_low": -rng.choice(side, (n, c)),
                "held_high": rng.choice(side, (n, c)),
            }
        return rng.standard_normal((n, 7)).astype(np.float32)


@settings(deadline=None, max_examples=examples(80))
@given(
    owners=BATCHES,
    shape=st.sampled_from(
        [
            (1, 0, 8, (1,), ()),
            (3, 0, 32, (1,), (1,)),
            (5, 4, 11, (1, 3), (3,)),
            (19, 2, 13, (2, 5), (2, 5)),
            (5, 0, 137, (1, 7), (7,)),
            (131, 0, 11, (1,), (1,)),
        ]
    ),
    seen=st.sampled_from([0, 2, 67]),
    counted=st.booleans(),
    size=st.sampled_from([0.0, 0.3, 3.0, 40.0]),
    seed=st.integers(0, 999),
)
def test_the_bits_are_those_of_the_plain_stage(
    owners: list[list[int]], shape: Any, seen: int, counted: bool, size: float, seed: int
) -> None:
    net = _network(*shape)
    rows = _Rows(seed, net, counted=counted, size=size)
    assert_same_history(net, liquid, owners, rows, COLUMNS, seen=seen)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5, -0.0])
def test_a_state_out_of_bounds_is_advanced_alike(value: float) -> None:
    """Also where rows that are not their key's first meet numbers that are none."""
    net = _network(5)
    start = {"liquid": np.full((8, 11), value, np.float32)}
    rows = _Rows(3, net, counted=False, size=1.0)
    owners = [[0, 1, 1, 3], [0, 0, 0], [4]]
    for seen in (0, 7):
        assert_same_history(net, liquid, owners, rows, COLUMNS, start=start, seen=seen)


def test_a_missing_number_stays_in_its_key() -> None:
    net = _network(5)

    def rows(packed: PackedRows, keys: Any, observation: Observation) -> Any:
        x = _Rows(3, net, counted=True, size=1.0)(packed, keys, observation)
        observation.z[keys[packed.key] == 1, 2] = np.nan
        return x

    assert_same_history(net, liquid, [[0, 1, 1, 3], [0, 1, 4]], rows, COLUMNS)


def test_new_weights_are_taken_over() -> None:
    net = _network(3)
    rows = _Rows(5, net, counted=False, size=1.0)
    assert_same_history(net, liquid, [[0, 1]], rows, COLUMNS)
    for name in ("synapses", "bias", "content_gate", "readout", "tau", "growth"):
        net.assign({name: net.state_dict()[name] * np.float32(1.25)})
        assert_same_history(net, liquid, [[0, 1, 1, 1]], rows, COLUMNS)


def test_a_network_in_training_runs_as_it_is() -> None:
    net = _network(3).train()
    rows = _Rows(5, net, counted=True, size=1.0)
    assert_same_history(net, liquid, [[0, 1, 1]], rows, COLUMNS)


@settings(deadline=None, max_examples=examples(60))
@given(
    owners=BATCHES,
    channels=st.sampled_from([1, 3, 5, 19]),
    every=st.booleans(),
    seed=st.integers(0, 999),
)
def test_rows_are_held_alike(
    owners: list[list[int]], channels: int, every: bool, seed: int
) -> None:
    net = _network(channels)
    make = _Rows(seed, net, counted=True, size=3.0)
    for packed, keys, observation in batches(owners):
        make(packed, keys, observation)
        if every:
            for name in ("held_low", "held_high"):
                assert observation.counted is not None
                observation.counted[name][...] = np.inf
        anchor = make.rng.standard_normal((8, channels)).astype(np.float32)
        state = zero_state(net.state_fields(), packed.key_count) | {"anchor": anchor[keys]}
        expected = net.held(state, observation.z, observation)
        assert_same_bits(hold(net, state, observation.z, observation), expected)
        assert_same_bits(state["anchor"], anchor[keys], "anchor before")
