"""Layers without memory: linear maps, activations, and chains of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from ember_core import ops
from ember_core.ops import Array

from ._module import Module, Parameter


class Linear(Module):
    """`x W + b`.

    Args:
        in_features: Columns of the input, F.
        out_features: Columns of the output, H.
        bias: Whether `b` is there.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Attributes:
        weight: `(F, H)`, at first uniform within `sqrt(6 / (F + H))` of 0.
        bias_vector: `(H,)`, at first 0; `None` without bias.

    Examples:
        >>> from ember_core import nn, ops
        >>> nn.Linear(5, 3)(ops.ones((2, 5))).shape
        (2, 3)
    """

    in_features: int
    out_features: int
    bias: bool
    weight: Parameter
    bias_vector: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, generator: Any = None
    ) -> None:
        if min(in_features, out_features) < 1:
            raise ValueError(
                "A linear layer needs columns. Expected in_features >= 1 and out_features >= 1. "
                f"Received: in_features={in_features}, out_features={out_features}."
            )
        self.in_features = in_features
        self.out_features = out_features
        self.bias = bias
        self.weight = Parameter(glorot(generator, in_features, out_features))
        self.bias_vector = Parameter(ops.zeros((out_features,))) if bias else None

    def forward(self, x: Array) -> Array:
        """Map `x` `(..., F)` to `(..., H)`.

        Raises:
            ValueError: If `x` has another number of columns.
        """
        if ops.shape(x)[-1:] != (self.in_features,):
            raise ValueError(
                f"The input does not fit the layer. Expected shape (..., {self.in_features}). "
                f"Received: shape={ops.shape(x)}."
            )
        y = ops.matmul(x, self.weight.data)
        return y if self.bias_vector is None else y + self.bias_vector.data


class Activation(Module):
    """A function of each element as a module, by name.

    Args:
        name: One of `elu`, `gelu`, `hard_sigmoid`, `identity`, `leaky_relu`, `lecun_tanh`, `relu`,
            `sigmoid`, `silu`, `softmax`, `softplus`, `tanh`.
    """

    name: str

    def __init__(self, name: str) -> None:
        activation(name)
        self.name = name

    def forward(self, x: Array) -> Array:
        """Apply the function to `x`; the shape stays."""
        return activation(self.name)(x)


class Dropout(Module):
    """Leaves out a share of its input while it trains, and makes up for it in the rest.

    Args:
        rate: Share left out, in [0, 1).
        generator: Generator of the choice, `ops.generator(seed)`; seed 0 on the input's backend
            without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> sorted(set(nn.Dropout(0.5)(ops.ones((200,))).tolist()))
        [0.0, 2.0]
    """

    rate: float

    def __init__(self, rate: float, *, generator: Any = None) -> None:
        if not 0.0 <= rate < 1.0:
            raise ValueError(
                f"A share cannot be left out. Expected 0 <= rate < 1. Received: rate={rate}."
            )
        self.rate = rate
        self._generator = generator

    def forward(self, x: Array) -> Array:
        """`x / (1 - rate)` where kept, else 0; `x` itself after `eval()`."""
        if not self.training or self.rate == 0.0:
            return x
        if self._generator is None:
            self._generator = ops.generator(0, like=x)
        drawn = ops.random.uniform(self._generator, ops.shape(x), ops.dtype(x))
        return ops.where(drawn >= self.rate, x / (1.0 - self.rate), 0.0 * x)


class LayerNorm(Module):
    """Every row to mean 0 and variance 1, then a scale and a shift (Ba et al., 2016).

    Args:
        features: Columns of the input, F.
        epsilon: Added to the variance.

    Attributes:
        scale: `(F,)`, at first 1.
        shift: `(F,)`, at first 0.
    """

    features: int
    epsilon: float
    scale: Parameter
    shift: Parameter

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        self.features = features
        self.epsilon = epsilon
        self.scale = Parameter(ops.ones((features,)))
        self.shift = Parameter(ops.zeros((features,)))

    def forward(self, x: Array) -> Array:
        """Normalise `x` `(..., F)` over its last axis."""
        centred = x - ops.mean(x, -1, keepdims=True)
        size = ops.sqrt(ops.mean(ops.square(centred), -1, keepdims=True) + self.epsilon)
        return centred / size * self.scale.data + self.shift.data


class Sequential(Module):
    """Modules one after the other, each given what the one before returned.

    Args:
        layers: The modules, at least one.

    Examples:
        >>> from ember_core import nn, ops
        >>> net = nn.Sequential([nn.Linear(5, 7), nn.Activation("tanh"), nn.Linear(7, 3)])
        >>> net(ops.zeros((2, 5))).shape
        (2, 3)
    """

    layers: list[Module]

    def __init__(self, layers: Sequence[Module]) -> None:
        if not layers:
            raise ValueError("A Sequential needs layers. Expected at least one. Received: none.")
        self.layers = list(layers)

    def forward(self, x: Array) -> Array:
        """Return the output of the last module."""
        for layer in self.layers:
            x = layer(x)
        return x


def backbone(
    input_size: int, units: int, depth: int, activation: str, *, generator: Any
) -> tuple[list[Module], int]:
    """Make the layers of a feed-forward backbone.

    Returns:
        `depth` linear layers, an activation behind each, and the columns of their output.
    """
    layers: list[Module] = []
    width = input_size
    for _ in range(depth):
        layers += [Linear(width, units, generator=generator), Activation(activation)]
        width = units
    return layers, width


def lecun_tanh(x: Array) -> Array:
    """`1.7159 tanh(0.666 x)`: unit variance in, about unit variance out (LeCun, 1998).

    His factor is 2/3; 0.666 is that of the `ncps` package, whose weights can be loaded.
    """
    return 1.7159 * ops.tanh(0.666 * x)


def identity(x: Array) -> Array:
    """`x`."""
    return x


def activation(name: str) -> Callable[[Array], Array]:
    """The activation called `name`.

    Raises:
        ValueError: If there is none.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"There is no such activation. Expected one of: {', '.join(sorted(_ACTIVATIONS))}. "
            f"Received: activation={name!r}."
        )
    return cast(Callable[[Array], Array], _ACTIVATIONS[name])


def glorot(generator: Any, fan_in: int, fan_out: int) -> Array:
    """Uniform weights `(fan_in, fan_out)` within `sqrt(6 / (fan_in + fan_out))` of 0."""
    generator = ops.generator(0) if generator is None else generator
    limit = (6.0 / (fan_in + fan_out)) ** 0.5
    return (2.0 * limit) * ops.random.uniform(generator, (fan_in, fan_out)) - limit


_ACTIVATIONS = {
    "elu": ops.elu,
    "gelu": ops.gelu,
    "hard_sigmoid": ops.hard_sigmoid,
    "leaky_relu": ops.leaky_relu,
    "relu": ops.relu,
    "silu": ops.silu,
    "softmax": ops.softmax,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "tanh": ops.tanh,
    "lecun_tanh": lecun_tanh,
    "identity": identity,
}
