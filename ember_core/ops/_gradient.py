"""Gradients, by each backend's own automatic differentiation.

PyTorch and MLX bring theirs; for NumPy it is the `autograd` package, an extra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .dispatch import BY_TYPE, Array


def stop_gradient(x: Array) -> Array:
    """`x` as a constant: no gradient goes through it."""
    return BY_TYPE[type(x)].stop_gradient(x)


def value_and_grad(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that gives what `function` gives, and the gradient of it.

    Args:
        function: Takes a tree of arrays first (an array, or dicts, lists and tuples of them) and
            returns a scalar, computed by `ops` and the arrays' operators; or a tuple of a scalar
            and anything else, which is handed through.

    Returns:
        Function of the same arguments. It returns the value of `function`, without a graph, and
        a tree like the first argument with the derivative of the scalar by each array, of that
        array's shape and dtype; 0 for an array the scalar does not depend on.

    Raises:
        ValueError: Of that function: if the tree holds no array, or not of floating point, or
            `function` gives no scalar.
        ImportError: Of that function: for NumPy's arrays, if `autograd` is not installed.

    Examples:
        >>> from ember_core import ops
        >>> def loss(weights, x):
        ...     return ops.sum(ops.square(x * weights["w"]))
        >>> value, grads = ops.value_and_grad(loss)({"w": ops.asarray([2.0, 5.0])}, 3.0)
        >>> float(value), grads["w"].tolist()
        (261.0, [36.0, 90.0])
    """

    def differentiated(tree: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        leaves = list(tree_leaves(tree))
        module = _backend(leaves)

        def of_leaves(values: list[Array]) -> tuple[Array, Any]:
            result = function(tree_like(tree, iter(values)), *args, **kwargs)
            value, extras = (result[0], result[1:]) if isinstance(result, tuple) else (result, ())
            if tuple(getattr(value, "shape", ())) != ():
                raise ValueError(
                    "A gradient is that of one number. Expected a scalar. Received: "
                    f"shape={tuple(value.shape)}. Reduce it with ops.mean or ops.sum."
                )
            return value, extras

        value, extras, grads = module.value_and_grads(of_leaves, leaves)
        return ((value, *extras) if extras else value), tree_like(tree, iter(grads))

    return differentiated


def tree_leaves(tree: Any) -> Iterator[Array]:
    """The arrays of a tree of dicts, lists and tuples, in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from tree_leaves(item)
    elif tree is not None:
        yield tree


def tree_like(tree: Any, leaves: Iterator[Any]) -> Any:
    """A tree like `tree` with other leaves, taken in order."""
    if isinstance(tree, dict):
        return {name: tree_like(item, leaves) for name, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([tree_like(item, leaves) for item in tree])
    return None if tree is None else next(leaves)


def _backend(leaves: list[Array]) -> Any:
    if not leaves:
        raise ValueError("There is nothing to differentiate by. Expected arrays. Received: none.")
    module = BY_TYPE[type(leaves[0])]
    for leaf in leaves:
        leaf_backend = BY_TYPE[type(leaf)]
        if leaf_backend is not module or not leaf_backend.dtype(leaf).startswith("float"):
            raise ValueError(
                "A gradient is by floating-point arrays of one backend. Expected those of "
                f"{module.BACKEND}. "
                f"Received: {leaf_backend.dtype(leaf)} of {leaf_backend.BACKEND}. "
                "Convert with ops.to(x, backend=..., dtype=...)."
            )
    return module
