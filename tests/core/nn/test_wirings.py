"""Wirings: counts, reachability, equality of seeds, and configurations."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.nn import NCP, AutoNCP, FullyConnected, Random, Wiring

MAKERS = {
    "FullyConnected": lambda: FullyConnected(7, 3, self_connections=False),
    "Random": lambda: Random(11, 2, sparsity_level=0.4, random_seed=5),
    "NCP": lambda: NCP(7, 5, 3, 3, 2, 4, 3, seed=9),
    "AutoNCP": lambda: AutoNCP(19, 3, sparsity_level=0.3, seed=13),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("inputs", [None, 5])
def test_configuration_keeps_the_class_and_the_synapses(name, inputs):
    wiring = MAKERS[name]()
    if inputs:
        wiring.build(inputs)
    again = Wiring.from_config(wiring.get_config())
    assert type(again) is type(wiring)
    assert again.get_config() == wiring.get_config()
    assert np.array_equal(again.build(5).adjacency_matrix, wiring.build(5).adjacency_matrix)
    assert np.array_equal(again.sensory(), wiring.sensory())


def test_configuration_of_another_class_is_refused():
    with pytest.raises(ValueError, match="class='Random'"):
        AutoNCP.from_config(Random(7).get_config())


@given(
    st.integers(8, 40),
    st.integers(1, 5),
    st.floats(0.1, 1.0),
    st.integers(1, 13),
    st.integers(0, 99),
)
def test_auto_ncp_goes_forward_and_leaves_no_neuron_out(units, outputs, sparsity, inputs, seed):
    wiring = AutoNCP(units, outputs, sparsity, seed).build(inputs)
    inter, command, motor = wiring.layers.values()
    assert units == len(inter) + len(command) + len(motor)
    layer = np.empty(units, int)
    for rank, ids in enumerate((inter, command, motor)):
        layer[ids] = rank
    source, target = np.nonzero(wiring.adjacency_matrix)
    step = layer[target] - layer[source]
    assert set(step) <= {0, 1}
    assert (layer[source][step == 0] == 1).all()  # only command neurons drive their own kind
    sensory = wiring.sensory()
    assert sensory[:, inter].any(axis=0).all()
    assert not sensory[:, np.concatenate([command, motor])].any()
    assert wiring.adjacency_matrix[np.ix_(inter, command)].any(axis=0).all()
    assert wiring.adjacency_matrix[np.ix_(command, motor)].any(axis=1).all()
    fans = (np.count_nonzero(sensory, axis=1) >= wiring.sensory_fanout).all()
    assert fans
    assert set(np.unique(wiring.adjacency_matrix)) <= {-1, 0, 1}


def test_fully_connected_has_every_synapse():
    wiring = FullyConnected(7, 3).build(5)
    assert (wiring.synapse_count, wiring.sensory_synapse_count) == (49, 35)
    assert MAKERS["FullyConnected"]().synapse_count == 42


def test_random_leaves_out_its_share():
    wiring = MAKERS["Random"]().build(5)
    assert (wiring.synapse_count, wiring.sensory_synapse_count) == (73, 33)


def test_seeds_differ():
    one, other = (AutoNCP(19, 3, seed=s).build(5).adjacency_matrix for s in (1, 2))
    assert not np.array_equal(one, other)


def test_graph_names_every_neuron_and_synapse():
    wiring = MAKERS["AutoNCP"]().build(5)
    graph = wiring.to_graph()
    ids = {node["id"] for node in graph["nodes"]}
    assert len(ids) == 24
    assert {"sensory_0", "inter_18", "command_3", "motor_2"} <= ids
    assert {node["layer"] for node in graph["nodes"]} == {"sensory", "inter", "command", "motor"}
    assert len(graph["edges"]) == wiring.synapse_count + wiring.sensory_synapse_count
    assert {e["source"] for e in graph["edges"]} | {e["target"] for e in graph["edges"]} <= ids
    assert {edge["polarity"] for edge in graph["edges"]} == {-1, 1}


def test_building_again_changes_nothing_and_otherwise_is_refused():
    wiring = MAKERS["AutoNCP"]().build(5)
    before = wiring.sensory().copy()
    assert np.array_equal(wiring.build(5).sensory(), before)
    with pytest.raises(ValueError, match=r"Expected 5\. Received: input_dim=7"):
        wiring.build(7)


def test_unbuilt_wiring_says_what_to_do():
    with pytest.raises(ValueError, match=r"Expected build\(input_dim\)"):
        MAKERS["AutoNCP"]().sensory()


def test_synapses_can_be_changed_by_hand():
    wiring = MAKERS["Random"]().build(5)
    wiring.add_synapse(3, 7, -1)
    wiring.add_sensory_synapse(4, 2, 1)
    wiring.add_sensory_synapse(0, 9, -1)
    wiring.remove_sensory_synapse(0, 9)
    assert wiring.adjacency_matrix[3, 7] == -1
    assert (wiring.sensory()[4, 2], wiring.sensory()[0, 9]) == (1, 0)
    wiring.remove_synapse(3, 7)
    assert wiring.adjacency_matrix[3, 7] == 0
    for source, target, polarity in ((11, 0, 1), (0, -1, 1), (0, 0, 2), (0, 0, 0)):
        with pytest.raises(ValueError, match="no such synapse"):
            wiring.add_synapse(source, target, polarity)
    with pytest.raises(ValueError, match=r"0 <= source < 5.*source=5"):
        wiring.remove_sensory_synapse(5, 0)
    with pytest.raises(ValueError, match="no inputs yet"):
        MAKERS["Random"]().add_sensory_synapse(0, 0, 1)


@pytest.mark.parametrize("name", MAKERS)
def test_changes_by_hand_outlive_building_and_configuration(name):
    wiring = MAKERS[name]()
    wiring.add_synapse(0, 6, -1)
    wiring.remove_synapse(5, 1)
    wiring.build(5)
    wiring.add_sensory_synapse(4, 0, 1)
    again = Wiring.from_config(wiring.get_config())
    for one in (wiring, again):
        assert (one.adjacency_matrix[0, 6], one.adjacency_matrix[5, 1]) == (-1, 0)
        assert one.sensory()[4, 0] == 1
    assert again.get_config() == wiring.get_config()
    assert np.array_equal(again.adjacency_matrix, wiring.adjacency_matrix)


@pytest.mark.parametrize("name", MAKERS)
def test_drawing_shows_every_neuron_and_synapse_in_its_column(name):
    wiring = MAKERS[name]().build(5)
    root = ET.fromstring(wiring.to_svg("A <wiring>"))
    tag = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{tag}title").text == "A <wiring>"
    columns = {}
    for group in root.iter(f"{tag}g"):
        circle = group.find(f"{tag}circle")
        if circle is not None:
            layer = group.find(f"{tag}title").text.rpartition("_")[0]
            columns.setdefault(layer, []).append((float(circle.get("cx")), circle.get("cy")))
    places = {layer: {x for x, _ in places} for layer, places in columns.items()}
    assert {len(xs) for xs in places.values()} == {1}  # a layer stands in one column
    order = [layer for layer in ("sensory", "inter", "command", "motor") if layer in places]
    assert set(order) == set(places)
    assert order == sorted(order, key=lambda layer: max(places[layer]))
    assert sum(len(set(found)) for found in columns.values()) == wiring.units + 5
    inks = {}
    for path in root.iter(f"{tag}path"):
        kind = path.find(f"{tag}title").text.rpartition(", ")[2]
        inks.setdefault((kind, path.get("stroke")), []).append(path)
    assert len({ink for _, ink in inks}) == len({kind for kind, _ in inks}) == len(inks) == 2
    drawn = sum(len(paths) for paths in inks.values())
    assert drawn == wiring.synapse_count + wiring.sensory_synapse_count


@pytest.mark.parametrize("units", [19, 64])
def test_drawing_is_the_same_each_time_and_neurons_do_not_touch(units):
    drawings = {AutoNCP(units, 3).build(5).to_svg() for _ in range(2)}
    assert len(drawings) == 1
    circles = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', drawings.pop())
    assert len(circles) == units + 5
    for i, (x, y, radius) in enumerate(circles):
        for other_x, other_y, _ in circles[:i]:
            apart = np.hypot(float(x) - float(other_x), float(y) - float(other_y))
            assert apart > 2.0 * float(radius)


def test_drawing_before_build_shows_the_neurons_alone():
    assert FullyConnected(7, 3).to_svg().count("<circle") == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda: AutoNCP(7, 5),
        lambda: AutoNCP(7, 2, sparsity_level=0.05),
        lambda: NCP(7, 5, 3, 8, 2, 4, 3),
        lambda: NCP(7, 5, 3, 3, 6, 4, 3),
        lambda: NCP(7, 5, 3, 3, 2, 4, 0),
        lambda: Random(7, sparsity_level=1.0),
        lambda: FullyConnected(3, 5),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make):
    with pytest.raises(ValueError, match=r"Expected .* Received: "):
        make()


def test_neuron_type_names_the_layer():
    wiring = MAKERS["NCP"]()
    assert [wiring.neuron_type(i) for i in (0, 2, 3, 7, 8, 14)] == [
        "motor",
        "motor",
        "command",
        "command",
        "inter",
        "inter",
    ]
    with pytest.raises(IndexError, match="neuron=15"):
        wiring.neuron_type(15)
