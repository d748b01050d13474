"""Closed-form continuous-time cells: what a liquid network tends to, without solving for it.

After Hasani et al., "Closed-form continuous-time neural networks" (2022). One step is

    default   h' = (1 - t) tanh(f1) + t tanh(f2),   t = sigmoid(a dt + b)
    no_gate   h' = tanh(f1) + t tanh(f2)
    pure      h' = A - A exp(-dt (|w_tau| + |f1|)) f1

with `f1, f2, a, b` linear in the input and the state.
"""

from __future__ import annotations

from typing import Any, Literal

from ember_core import ops
from ember_core.ops import Array

from ._cell import JoinedCell, WiredCell, check_step, check_units
from ._layers import Sequential, backbone, glorot
from ._module import Module, Parameter
from ._wiring import Wiring, layer_masks

Mode = Literal["default", "pure", "no_gate"]


class CfCHead(Module):
    """The step itself, from what the cell made of input and state.

    Args:
        in_features: Columns F of that.
        hidden_size: Neurons H.
        mode: `"default"`, `"pure"` or `"no_gate"`.
        mask: `(F, H)` of 0 and 1, the synapses of `f1` and `f2` that are there; all without one.
        generator: Generator of the initial weights.

    Attributes:
        weight: `(F, 4 H)`, the columns of `f1`, `f2`, `a` and `b`; `(F, H)` where pure.
        bias: `(4 H,)` or `(H,)`.
        w_tau: `(H,)`, pure only.
        amplitude: `(H,)`, the `A` of the formula, pure only.
    """

    in_features: int
    hidden_size: int
    mode: Mode
    mask: Array | None
    weight: Parameter
    bias: Parameter
    w_tau: Parameter | None
    amplitude: Parameter | None

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        mode: Mode = "default",
        *,
        mask: Array | None = None,
        generator: Any = None,
    ) -> None:
        if mode not in ("default", "pure", "no_gate"):
            raise ValueError(
                "There is no such CfC mode. Expected 'default', 'pure' or 'no_gate'. "
                f"Received: mode={mode!r}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.in_features = in_features
        self.hidden_size = hidden_size
        self.mode = mode
        blocks = 1 if mode == "pure" else 4
        weights = [glorot(generator, in_features, hidden_size) for _ in range(blocks)]
        self.weight = Parameter(ops.concatenate(weights, axis=1))
        self.bias = Parameter(ops.zeros((blocks * hidden_size,)))
        self.w_tau = Parameter(ops.zeros((hidden_size,))) if mode == "pure" else None
        self.amplitude = Parameter(ops.ones((hidden_size,))) if mode == "pure" else None
        self.mask = None
        if mask is not None:
            open_gates = [ops.ones_like(mask)] * 2  # a wiring leaves the gate of time alone
            parts = [mask] if mode == "pure" else [mask, mask, *open_gates]
            self.register_buffer("mask", ops.concatenate(parts, axis=1))

    def forward(self, x: Array, elapsed: Array) -> Array:
        """State after the step, `(B, H)`, from `x` `(B, F)` and `elapsed` `(B, 1)`."""
        weight = self.weight.data if self.mask is None else self.weight.data * self.mask
        y = ops.matmul(x, weight) + self.bias.data
        if self.w_tau is not None and self.amplitude is not None:
            decay = ops.exp(-elapsed * (ops.abs(self.w_tau.data) + ops.abs(y)))
            return self.amplitude.data * (1.0 - decay * y)
        n = self.hidden_size
        squashed = ops.tanh(y[:, : 2 * n])
        f1, f2 = squashed[:, :n], squashed[:, n:]
        gate = ops.sigmoid(y[:, 2 * n : 3 * n] * elapsed + y[:, 3 * n :])
        return f1 + gate * f2 if self.mode == "no_gate" else f1 + gate * (f2 - f1)


class CfCCell(JoinedCell):
    """A CfC cell whose neurons are all joined, behind a small feed-forward backbone.

    Args:
        input_size: Columns of the input, F.
        hidden_size: Neurons H.
        mode: `"default"`, `"pure"` or `"no_gate"`.
        backbone_units: Width of the backbone.
        backbone_layers: Its layers; 0 leaves it out.
        backbone_activation: Its activation, by name.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> cell = nn.CfCCell(5, 11)
        >>> output, state = cell(ops.ones((2, 5)), ops.zeros((2, 11)), ops.ones((2, 1)))
        >>> output.shape, state.shape
        ((2, 11), (2, 11))
    """

    mode: Mode
    backbone_units: int
    backbone_layers: int
    backbone_activation: str
    backbone: Sequential | None
    head: CfCHead

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        mode: Mode = "default",
        backbone_units: int = 128,
        backbone_layers: int = 1,
        backbone_activation: str = "lecun_tanh",
        *,
        generator: Any = None,
    ) -> None:
        check_units(input_size=input_size, hidden_size=hidden_size)
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.mode = mode
        self.backbone_units = backbone_units
        self.backbone_layers = backbone_layers
        self.backbone_activation = backbone_activation
        layers, width = backbone(
            input_size + hidden_size,
            backbone_units,
            backbone_layers,
            backbone_activation,
            generator=generator,
        )
        self.backbone = Sequential(layers) if layers else None
        self.head = CfCHead(width, hidden_size, mode, generator=generator)

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step.

        Args:
            x: Input, `(B, F)`.
            state: Neurons before the step, `(B, H)`.
            elapsed: Time since the step before, `(B, 1)`, in units of the cell's own.

        Returns:
            The output and the state after the step, both `(B, H)` and the same.

        Raises:
            ValueError: If a shape does not fit, which would broadcast to something else.
        """
        check_step(self, x, state, elapsed)
        inputs = ops.concatenate([x, state], axis=1)
        inputs = inputs if self.backbone is None else self.backbone(inputs)
        state = self.head(inputs, elapsed)
        return state, state


class WiredCfCCell(WiredCell):
    """A CfC cell whose layers of neurons are joined as a wiring says.

    Args:
        input_size: Columns of the input, F.
        wiring: The wiring; it is built for the input where it was not.
        mode: `"default"`, `"pure"` or `"no_gate"`.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.
    """

    mode: Mode
    layers: list[CfCHead]

    def __init__(
        self, input_size: int, wiring: Wiring, mode: Mode = "default", *, generator: Any = None
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.wiring = wiring.build(input_size)
        self.mode = mode
        self.layers = [
            CfCHead(len(mask), mask.shape[1], mode, mask=ops.from_numpy(mask), generator=generator)
            for mask in layer_masks(wiring)
        ]

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step, layer after layer.

        Args:
            x: Input, `(B, F)`.
            state: Neurons before the step, `(B, U)`, in the order of the wiring's layers.
            elapsed: Time since the step before, `(B, 1)`, in units of the cell's own.

        Returns:
            The motor neurons, `(B, output_dim)`, and the state after the step, `(B, U)`.

        Raises:
            ValueError: If a shape does not fit, which would broadcast to something else.
        """
        check_step(self, x, state, elapsed)
        states: list[Array] = []
        start = 0
        for layer in self.layers:
            layer_state = state[:, start : start + layer.hidden_size]
            x = layer(ops.concatenate([x, layer_state], axis=1), elapsed)
            states.append(x)
            start += layer.hidden_size
        return x, ops.concatenate(states, axis=1)
