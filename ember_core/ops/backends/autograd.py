"""NumPy's operations while the `autograd` package follows them.

`autograd.numpy` has NumPy's names for arrays that remember how they were made. So the operations
are those of `numpy.py`, loaded once more with that module instead of NumPy; only what
autograd has no derivative for is written anew here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from ember_core.ops.dispatch import Array, Axis
from ember_core.ops.exact import ExactWeight

from . import numpy as host

_spec = spec_from_file_location("ember_core.ops.backends.numpy_traced", host.__file__)
assert _spec is not None
assert _spec.loader is not None
_traced: Any = module_from_spec(_spec)
_spec.loader.exec_module(_traced)
# The copy's functions look `np` up at each call, so this reaches all of them; ufuncs that it
# bound when it was loaded hand boxes to autograd by `__array_ufunc__`.
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


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return x[(slice(None),) * (axis % x.ndim) + (to_numpy(indices),)]


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    return host.exact_matmul(to_numpy(x), w if isinstance(w, ExactWeight) else to_numpy(w))


def exact_tanh(x: Array) -> Array:
    return host.exact_tanh(to_numpy(x))


def exact_exp(x: Array) -> Array:
    return host.exact_exp(to_numpy(x))


def exact_log(x: Array) -> Array:
    return host.exact_log(to_numpy(x))


def exact_sin(x: Array) -> Array:
    return host.exact_sin(to_numpy(x))


def exact_cos(x: Array) -> Array:
    return host.exact_cos(to_numpy(x))


def wide_exp(x: Array) -> Array:
    return host.wide_exp(to_numpy(x))


def wide_log(x: Array) -> Array:
    return host.wide_log(to_numpy(x))


def wide_sum(x: Array) -> Array:
    return host.wide_sum(to_numpy(x))


def value_and_grads(
    function: Callable[[list[Array]], tuple[Array, Any]], leaves: list[Array]
) -> tuple[Array, Any, list[Array]]:
    extras: Any = ()

    def scalar(values: Any) -> Array:
        nonlocal extras
        value, extras = function([values[i] for i in range(len(leaves))])
        # autograd warns of a constant; the derivative of one is 0
        return value if isinstance(value, ArrayBox) else value + 0.0 * anp.sum(values[0])

    backward, value = make_vjp(scalar, [np.asarray(leaf) for leaf in leaves])
    grads = backward(np.ones_like(value))
    grads = [
        np.broadcast_to(np.asarray(g, leaf.dtype), leaf.shape)
        for g, leaf in zip(grads, leaves, strict=True)
    ]
    return value, _plain(extras), grads


def _plain(tree: Any) -> Any:
    """Unwrap the boxes of a tree."""
    if isinstance(tree, dict):
        return {name: _plain(item) for name, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_plain(item) for item in tree])
    return to_numpy(tree) if isinstance(tree, ArrayBox) else tree


def __getattr__(name: str) -> Any:
    """Every other operation, as `numpy.py` has it."""
    value = globals()[name] = getattr(_traced, name)
    return value
