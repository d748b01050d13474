"""Gradients by a module's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._module import Module


def value_and_grad(
    module: Module, function: Callable[..., Any]
) -> Callable[..., tuple[Any, dict[str, Array]]]:
    """A function that gives what `function` gives, and its gradient by the module's parameters.

    Args:
        module: Module by whose trainable parameters the function is differentiated.
        function: Computes a scalar with the module, from any arguments; or a tuple of a scalar and
            anything else, which is handed through.

    Returns:
        Function of the same arguments. It returns the value, and gradients by name as
        `named_parameters` has them, which an optimiser takes; each parameter's `grad` is set too.

    Raises:
        ValueError: Of that function: if no parameter is trainable, or `function` gives no scalar.
        ImportError: Of that function: for NumPy's arrays, if `autograd` is not installed.

    Examples:
        >>> from ember_core import nn, ops
        >>> layer = nn.Linear(5, 3)
        >>> def loss(x, y):
        ...     return ops.losses.mean_squared_error(layer(x), y)
        >>> value, grads = nn.value_and_grad(layer, loss)(ops.ones((2, 5)), ops.zeros((2, 3)))
        >>> sorted(grads), grads["weight"].shape
        (['bias_vector', 'weight'], (5, 3))
    """

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, dict[str, Array]]:
        parameters = {n: p for n, p in module.named_parameters() if p.trainable}
        originals = {name: parameter.data for name, parameter in parameters.items()}

        def of_arrays(arrays: dict[str, Array]) -> Any:
            for name, parameter in parameters.items():
                parameter.data = arrays[name]
            return function(*args, **kwargs)

        try:
            value, grads = ops.value_and_grad(of_arrays)(originals)
        finally:
            for name, parameter in parameters.items():
                parameter.data = originals[name]
        for name, parameter in parameters.items():
            parameter.grad = grads[name]
        return value, grads

    return differentiated
