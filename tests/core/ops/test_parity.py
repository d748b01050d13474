"""Every backend implements every public operation, with the same signature."""

from __future__ import annotations

import inspect

import pytest

from ember_core import ops
from ember_core.ops import _select

# Public, but decided before a backend is chosen.
NEUTRAL = {"backend_name", "default_backend", "shape"}
OPERATIONS = sorted(
    name for name, value in vars(ops).items() if inspect.isfunction(value) and name not in NEUTRAL
)


def parameters(function):
    """Names, kinds and defaults of the arguments."""
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize("backend", sorted(_select.BACKENDS))
@pytest.mark.parametrize("name", OPERATIONS)
def test_backend_has_the_operation_with_the_public_signature(backend, name):
    module = _select.load_backend(backend)
    assert hasattr(module, name), f"{backend} lacks {name}"
    assert parameters(getattr(ops, name)) == parameters(getattr(module, name))


@pytest.mark.parametrize("backend", sorted(_select.BACKENDS))
def test_backend_has_no_operation_that_is_not_public(backend):
    module = _select.load_backend(backend)
    own = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert set() == own - set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_documented(name):
    assert inspect.getdoc(getattr(ops, name))
