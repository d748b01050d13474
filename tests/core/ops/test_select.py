"""Which backend serves an array, and which one makes new ones."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops


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
