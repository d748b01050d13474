"""NumPy's operations while the `autograd` package follows them.

`autograd.numpy` has NumPy's names for arrays that remember how they were made. So the operations
are those of `_numpy.py`, loaded once more with that module in the place of NumPy; only what
autograd has no derivative for is written anew here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from . import _numpy
from ._exact import ExactWeight
from ._reduction import Axis, quantile_by_sorting
from ._select import Array

_spec = spec_from_file_location("ember_core.ops._numpy_traced", _numpy.__file__)
assert _spec is not None
assert _spec.loader is not None
_traced: Any = module_from_spec(_spec)
_spec.loader.exec_module(_traced)
_traced.np = anp


def asarray(x: Any, dtype: str | None = None) -> Array:
    x = x if isinstance(x, (ArrayBox, np.ndarray)) else anp.array(x)
    return x if dtype is None or x.dtype == dtype else x.astype(dtype)


def astype(x: Array, dtype: str) -> Array:
    return asarray(x, dtype)


def dtype(x: Array) -> str:
    return str(x.dtype.name)


def to_numpy(x: Array) -> Any:
    while isinstance(x, ArrayBox):  # a box in a box, where a gradient is differentiated again
        x = getval(x)
    return np.asarray(x)


def stop_gradient(x: Array) -> Array:
    return to_numpy(x)


def copy(x: Array) -> Array:
    return x + 0


def ascontiguous(x: Array) -> Array:
    return x


def sigmoid(x: Array) -> Array:
    lowest = -42.0 if dtype(x) == "float32" else -340.0  # the gradient squares the exp
    return 1.0 / (1.0 + anp.exp(-anp.maximum(x, lowest)))


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return anp.sum(x, axis=axis, keepdims=keepdims)


def where(condition: Array, x: Any, y: Any) -> Array:
    condition = to_numpy(condition)
    shape = np.broadcast_shapes(condition.shape, np.shape(to_numpy(x)), np.shape(to_numpy(y)))
    # autograd's derivative does not sum over axes along which a branch was repeated
    x, y = (anp.broadcast_to(v, shape) if isinstance(v, ArrayBox) else v for v in (x, y))
    return anp.where(condition, x, y)


def cumsum(x: Array, axis: int) -> Array:
    return anp.cumsum(x, axis=axis)


def sort(x: Array, axis: int = -1) -> Array:
    return take_along_axis(x, argsort(x, axis), axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return _numpy.argsort(to_numpy(x), axis)


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    return quantile_by_sorting(sys.modules[__name__], x, q, axis)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return x[(slice(None),) * (axis % x.ndim) + (to_numpy(indices),)]


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    places[axis] = to_numpy(indices)
    return x[tuple(places)]


def flip(x: Array, axis: int) -> Array:
    return x[(slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)]


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    return _numpy.exact_matmul(to_numpy(x), w if isinstance(w, ExactWeight) else to_numpy(w))


def exact_tanh(x: Array) -> Array:
    return _numpy.exact_tanh(to_numpy(x))


def exact_exp(x: Array) -> Array:
    return _numpy.exact_exp(to_numpy(x))


def wide_sum(x: Array) -> Array:
    return _numpy.wide_sum(to_numpy(x))


def value_and_grads(
    function: Callable[[list[Array]], tuple[Array, Any]], leaves: list[Array]
) -> tuple[Array, Any, list[Array]]:
    rest: Any = ()

    def scalar(values: Any) -> Array:
        nonlocal rest
        value, rest = function([values[i] for i in range(len(leaves))])
        # autograd warns of a constant; the derivative of one is 0
        return value if isinstance(value, ArrayBox) else value + 0.0 * anp.sum(values[0])

    backward, value = make_vjp(scalar, [np.asarray(leaf) for leaf in leaves])
    grads = backward(np.ones_like(value))
    grads = [
        np.broadcast_to(np.asarray(g, leaf.dtype), leaf.shape)
        for g, leaf in zip(grads, leaves, strict=True)
    ]
    return value, _plain(rest), grads


def _plain(tree: Any) -> Any:
    """A tree without boxes."""
    if isinstance(tree, dict):
        return {name: _plain(item) for name, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_plain(item) for item in tree])
    return to_numpy(tree) if isinstance(tree, ArrayBox) else tree


def __getattr__(name: str) -> Any:
    """Every other operation, as `_numpy.py` has it."""
    value = globals()[name] = getattr(_traced, name)
    return value
