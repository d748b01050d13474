"""Which backend serves an array, and which one makes new ones."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.distribution import NAME


def test_numpy_makes_arrays_by_default(monkeypatch):
    monkeypatch.delenv("EMBER_BACKEND", raising=False)
    assert ops.backend_name() == "numpy"
    assert isinstance(ops.zeros((2, 3)), np.ndarray)


def test_environment_names_the_default(monkeypatch):
    monkeypatch.setenv("EMBER_BACKEND", "abacus")
    with pytest.raises(ValueError, match=r"Expected one of: .*numpy.*Received: backend='abacus'"):
        ops.zeros((2,))


def test_block_beats_the_environment_and_ends(monkeypatch):
    monkeypatch.setenv("EMBER_BACKEND", "abacus")
    with ops.default_backend("numpy"):
        assert ops.ones((3,)).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="abacus"):
        ops.ones((3,))


def test_unknown_backend_is_refused_before_the_block():
    with pytest.raises(ValueError, match="no such array backend"), ops.default_backend("abacus"):
        pass


def test_foreign_type_is_refused_with_its_name():
    with pytest.raises(TypeError, match=r"Received: builtins\.str"):
        ops.exp("five")


def test_scalars_lists_and_subclasses_are_served():
    class Tagged(np.ndarray):
        pass

    assert ops.maximum(0.0, np.array([-1.0, 2.0])).tolist() == [0.0, 2.0]
    assert ops.asarray([1, 2]).tolist() == [1, 2]
    assert float(ops.exp(np.float32(0.0))) == 1.0
    assert ops.backend_name(np.zeros(3).view(Tagged)) == "numpy"


def test_created_arrays_are_float32_unless_told_otherwise():
    assert [
        ops.dtype(x) for x in (ops.zeros((2,)), ops.ones(3), ops.full((2,), 5), ops.eye(3))
    ] == ["float32"] * 4
    assert ops.dtype(ops.zeros(2, "float64")) == "float64"


def test_arrays_stay_on_their_backend_whatever_the_default_is(backend):
    made = ops.ones((2, 3))
    with ops.default_backend("numpy"):
        for result in (ops.exp(made), made + 1.0, ops.zeros((2,), like=made), ops.copy(made)):
            assert ops.backend_name(result) == backend
        assert isinstance(ops.zeros((2,)), np.ndarray)
    assert backend in ops.available_backends()
    assert ops.device(made) == "cpu"


def test_arrays_go_between_backends_and_keep_dtype_and_values(backend):
    for dtype in ("float32", "float64", "int64", "int32", "uint8", "bool"):
        x = np.arange(6).reshape(2, 3).astype(dtype)
        there = ops.to(x, backend=backend)
        assert (ops.backend_name(there), ops.dtype(there)) == (backend, dtype)
        back = ops.to(there, backend="numpy")
        assert back.dtype == x.dtype
        assert np.array_equal(back, x)
    assert ops.to(there, backend=backend) is there


def test_backend_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    monkeypatch.delitem(__import__("sys").modules, "ember_core.ops.backends.torch", raising=False)
    with pytest.raises(ImportError, match=rf'needs torch.*pip install "{NAME}\[torch\]"'):
        ops.to(np.ones(3), backend="torch")


def test_unknown_device_is_refused_with_the_known_ones(backend, monkeypatch):
    refused = pytest.raises(ValueError, match=r"Expected one of: cpu.*Received: device='abacus'")
    with refused:
        ops.zeros((2,), device="abacus")
    with refused:
        ops.to(ops.zeros((2,)), device="abacus")
    with refused, ops.default_device("abacus"):
        pass
    monkeypatch.setenv("EMBER_BACKEND", backend)
    monkeypatch.setenv("EMBER_DEVICE", "abacus")
    with refused:
        ops.generator(3)
    with ops.default_device("cpu"):
        assert ops.device(ops.zeros((2,))) == "cpu"


def test_device_of_the_environment_is_that_of_its_backend_only(backend, monkeypatch):
    monkeypatch.setenv("EMBER_BACKEND", "abacus")
    monkeypatch.setenv("EMBER_DEVICE", "a wire")
    assert ops.device(ops.zeros((2,))) == "cpu"


@pytest.mark.parametrize("backend", ["torch", "mlx"], indirect=True)
@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: ops.maximum(a, b),
        lambda a, b: ops.where(a > 0, a, b),
        lambda a, b: ops.clip(a, b, 1.0),
        lambda a, b: ops.concatenate([a, b]),
        lambda a, b: ops.matmul(a, b),
        lambda a, b: ops.linalg.solve(a, b),
        lambda a, b: ops.exact_matmul(a, b),
        lambda a, b: ops.exact_matmul(a, ops.exact_weight(b)),
    ],
)
def test_arrays_of_two_backends_are_refused(backend, mix):
    mine, other = ops.ones((3, 3)), np.ones((3, 3), "float32")
    pattern = rf"two backends.*Received: ({backend} and numpy|numpy and {backend})"
    for pair in ((mine, other), (other, mine)):
        with pytest.raises(TypeError, match=pattern):
            mix(*pair)


def test_numbers_go_with_any_backend(backend):
    x = ops.asarray([1.0, 3.0], "float32")
    for number in (2, 2.0, np.float32(2.0), np.float64(2.0)):
        result = ops.maximum(x, number)
        assert ops.to_numpy(result).tolist() == [2.0, 3.0]
        assert ops.backend_name(result) == backend
        if not isinstance(number, np.float64):  # NumPy itself widens for its own float64
            assert ops.dtype(result) == "float32"


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_arrays_of_two_devices_are_refused(backend):
    here = ops.ones((3,))
    elsewhere = here.to("meta")  # PyTorch's device without memory, which is there everywhere
    with pytest.raises(ValueError, match=r"two devices.*Received: cpu, meta"):
        ops.maximum(here, elsewhere)


@pytest.mark.parametrize("backend", ["torch", "mlx"], indirect=True)
def test_dtype_that_a_backend_lacks_is_refused(backend):
    with pytest.raises(TypeError, match="Received: dtype='float33'"):
        ops.zeros((2,), "float33")
