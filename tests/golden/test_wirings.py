"""Wirings against those of the ncps package for the same seeds."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.nn import NCP, AutoNCP, FullyConnected, Random


@pytest.fixture(scope="module")
def golden(golden_data):
    return np.load(golden_data / "ncps_wirings.npz")


def assert_equal(wiring, golden, name):
    assert np.array_equal(wiring.adjacency_matrix, golden[f"{name}/adjacency"])
    assert np.array_equal(wiring.sensory(), golden[f"{name}/sensory_adjacency"])


@pytest.mark.parametrize("name", [f"autoncp_{letter}" for letter in "abcdefgh"])
def test_auto_ncp(golden, name):
    units, outputs, sparsity, seed, inputs = golden[f"{name}/params"].tolist()
    wiring = AutoNCP(int(units), int(outputs), sparsity, int(seed)).build(int(inputs))
    assert_equal(wiring, golden, name)
    sizes = (
        wiring.inter_neurons,
        wiring.command_neurons,
        wiring.motor_neurons,
        wiring.sensory_fanout,
        wiring.inter_fanout,
        wiring.recurrent_command_synapses,
        wiring.motor_fanin,
    )
    assert sizes == tuple(golden[f"{name}/derived"].tolist())
    for layer, ids in wiring.layers.items():
        assert np.array_equal(ids, golden[f"{name}/layer_{layer}"])


def test_ncp(golden):
    *arguments, inputs = golden["ncp_x/args"].tolist()
    assert_equal(NCP(*arguments).build(inputs), golden, "ncp_x")


def test_fully_connected(golden):
    units, outputs, seed, own, inputs = golden["full_x/args"].tolist()
    wiring = FullyConnected(units, outputs, seed, bool(own)).build(inputs)
    assert_equal(wiring, golden, "full_x")


def test_random(golden):
    units, outputs, sparsity, seed, inputs = golden["random_x/args"].tolist()
    wiring = Random(int(units), int(outputs), sparsity, int(seed)).build(int(inputs))
    assert_equal(wiring, golden, "random_x")
