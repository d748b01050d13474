"""Modules: what they hold, hand out, save and take back."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops


class Leaf(nn.Module):
    width: int
    weight: nn.Parameter
    mask: ops.Array

    def __init__(self, width):
        self.width = width
        self.weight = nn.Parameter(ops.full((width,), 2.0))
        self.register_buffer("mask", ops.ones((width,)))

    def forward(self, x):
        return x * self.weight.data * self.mask


class Tree(nn.Module):
    width: int
    first: Leaf
    rest: list[nn.Module]
    named: dict[str, nn.Module]

    def __init__(self, width):
        self.width = width
        self.first = Leaf(width)
        self.rest = [Leaf(3), Leaf(5)]
        self.named = {"deep": Leaf(7)}


def test_names_go_through_fields_lists_and_dicts():
    tree = Tree(2)
    paths = ["first", "rest.0", "rest.1", "named.deep"]
    assert [n for n, _ in tree.named_parameters()] == [f"{p}.weight" for p in paths]
    assert [n for n, _ in tree.named_buffers()] == [f"{p}.mask" for p in paths]
    assert [n for n, _ in tree.named_modules()] == ["", *paths]
    assert len(tree.parameters()) == 4


def test_state_goes_over_to_an_equal_module_as_copies():
    one, other = Tree(2), Tree(2)
    one.first.weight.data = ops.asarray([5.0, 7.0], "float64")
    one.first.mask = ops.zeros((2,))
    other.load_state_dict(one.state_dict())
    assert other.first.weight.data.tolist() == [5.0, 7.0]
    assert ops.dtype(other.first.weight.data) == "float32"
    assert other.first.mask.tolist() == [0.0, 0.0]
    one.first.mask[0] = 9.0
    assert other.first.mask.tolist() == [0.0, 0.0]


def test_state_that_does_not_fit_is_refused_whole_and_reported_whole():
    tree = Tree(2)
    state = tree.state_dict()
    del state["rest.0.mask"]
    state["first.weight"] = np.zeros(3)
    state["rest.1.weight"] = np.zeros(5)
    state["stray"] = np.zeros(1)
    with pytest.raises(ValueError, match="does not fit Tree") as refused:
        tree.load_state_dict(state)
    for part in (
        "Missing: rest.0.mask.",
        "Unexpected: stray.",
        "Wrong shape: first.weight (3,) instead of (2,).",
    ):
        assert part in str(refused.value)
    assert tree.rest[1].weight.data.tolist() == [2.0] * 5


def test_assign_replaces_some_and_checks_them():
    tree = Tree(2)
    tree.assign({"named.deep.weight": ops.zeros((7,)), "first.mask": ops.zeros((2,))})
    assert tree.named["deep"].weight.data.tolist() == [0.0] * 7
    assert tree.first.mask.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"Unexpected: nobody\."):
        tree.assign({"nobody": ops.zeros((2,))})


def test_a_buffer_is_saved_but_not_trained():
    leaf = Leaf(3)
    assert set(leaf.state_dict()) == {"weight", "mask"}
    assert dict(leaf.named_parameters()).keys() == {"weight"}


def test_train_and_eval_reach_every_module():
    tree = Tree(2)
    assert tree.training
    assert tree.eval() is tree
    assert {m.training for _, m in tree.named_modules()} == {False}
    tree.train()
    assert {m.training for _, m in tree.named_modules()} == {True}


def test_astype_converts_floats_only():
    leaf = Leaf(3)
    leaf.register_buffer("mask", np.array([1, 0, 1]))
    leaf.astype("float64")
    assert ops.dtype(leaf.weight.data) == "float64"
    assert ops.dtype(leaf.mask) == "int64"


def test_call_is_forward_and_a_module_without_one_says_so():
    assert Leaf(3)(ops.ones((2, 3))).tolist() == [[2.0] * 3] * 2
    with pytest.raises(NotImplementedError, match="Tree has no forward"):
        Tree(2)(1)


def test_file_brings_back_class_configuration_and_weights(tmp_path):
    net = nn.Sequential([nn.Linear(5, 7), nn.Activation("lecun_tanh"), nn.Linear(7, 3, False)])
    net.layers[0].weight.data = ops.random.normal(ops.generator(1), (5, 7))
    net.save(tmp_path / "net.safetensors")
    again = nn.Sequential.load(tmp_path / "net.safetensors")
    assert again.get_config() == net.get_config()
    x = ops.random.normal(ops.generator(2), (2, 5))
    assert np.array_equal(again(x), net(x))


def test_a_module_moves_between_backends_and_keeps_its_kinds(backend):
    with ops.default_backend("numpy"):
        tree = Tree(2)
    tree.first.register_buffer("order", np.array([3, 1, 2]))
    before = {name: ops.to_numpy(x) for name, x in tree.state_dict().items()}
    assert tree.to(backend=backend) is tree
    state = tree.state_dict()
    assert {ops.backend_name(x) for x in state.values()} == {backend}
    assert {name: ops.dtype(x) for name, x in state.items()} == {
        name: x.dtype.name for name, x in before.items()
    }
    for name, value in state.items():
        assert np.array_equal(ops.to_numpy(value), before[name])
    tree.to(dtype="float64", device="cpu")
    assert tree.first.weight.dtype == "float64"
    assert ops.dtype(tree.first.order) == "int64"
    assert (tree.first.weight.device, tree.first.weight.shape) == ("cpu", (2,))
    assert ops.to_numpy(tree.first(ops.full((3, 2), 5.0, "float64"))).tolist() == [[10.0] * 2] * 3


def test_a_move_that_fails_moves_nothing(backend):
    tree = Tree(2)
    before = tree.state_dict()
    with pytest.raises(ValueError, match="device='abacus'"):
        tree.to(device="abacus")
    with pytest.raises(ValueError, match="backend='abacus'"):
        tree.to(backend="abacus")
    assert all(value is before[name] for name, value in tree.state_dict().items())


def test_a_state_of_any_backend_is_taken_over_and_saved(backend, tmp_path):
    net = nn.Linear(5, 3, generator=ops.generator(1))
    with ops.default_backend("numpy"):
        other = nn.Linear(5, 3)
    other.load_state_dict(net.state_dict())
    assert ops.backend_name(other.weight.data) == "numpy"
    assert np.array_equal(other.weight.data, ops.to_numpy(net.weight.data))
    net.load_state_dict(other.state_dict())
    assert ops.backend_name(net.weight.data) == backend
    net.save(tmp_path / "net")
    for name in {"numpy", backend}:
        again = nn.Linear.load(tmp_path / "net", backend=name)
        assert ops.backend_name(again.weight.data) == name
        assert np.array_equal(ops.to_numpy(again.weight.data), other.weight.data)


def test_a_dtype_that_would_lose_something_is_refused(backend):
    leaf = Leaf(3)
    leaf.register_buffer("mask", ops.arange(3))
    state = leaf.state_dict()
    leaf.load_state_dict(state | {"weight": ops.arange(3)})
    assert ops.to_numpy(leaf.weight.data).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match=r"Wrong dtype: mask float32 instead of int64\."):
        leaf.load_state_dict(state | {"mask": ops.ones((3,))})


def test_what_a_module_keeps_of_its_arrays_is_dropped_with_them():
    class Keeping(Leaf):
        changes = 0

        def arrays_changed(self):
            self.changes += 1

    keeping = Keeping(3)
    tree = Tree(3)
    tree.first = keeping
    tree.load_state_dict(tree.state_dict())
    tree.to(dtype="float64")
    assert keeping.changes == 2


def test_file_of_another_class_is_refused(tmp_path):
    nn.Linear(5, 3).save(tmp_path / "a")
    with pytest.raises(ValueError, match=r"Expected Sequential\. Received: class='Linear'"):
        nn.Sequential.load(tmp_path / "a")


def test_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"junk")
    for name in ("a", "missing"):
        with pytest.raises(ValueError, match="Expected a safetensors file"):
            nn.Linear.load(tmp_path / name)


def test_configuration_of_an_unknown_class_is_refused():
    config = {"layers": [{"class": "Nobody", "config": {}}]}
    with pytest.raises(ValueError, match="class='Nobody'"):
        nn.Sequential.from_config(config)


def test_argument_without_a_field_is_named():
    class Forgetful(nn.Module):
        def __init__(self, width):
            pass

    with pytest.raises(TypeError, match="Missing: 'width'"):
        Forgetful(3).get_config()
