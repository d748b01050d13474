"""A CfC-like cell with a time gate of its own for each neuron, beside a gate of content."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import JoinedCell, check_step, check_units
from ._cfc import Mode
from ._layers import Linear, Sequential, backbone
from ._module import Parameter


class TimeGateCfCCell(JoinedCell):
    """A stride-aware cell that moves from its state to a candidate as time passes.

    With a candidate `k` from a backbone over input and state, `t = exp(-elapsed stride_length
    time_scale_factor exp(time_kernel))` and a content gate `g = sigmoid(linear(x, h))`:

        default   h' = g h + (1 - g) (1 - t) k
        pure      h' = g t h + (1 - g t) k
        no_gate   h' = t h + (1 - t) k

    Args:
        input_size: Columns of the input, F.
        hidden_size: Neurons H.
        mode: `"default"`, `"pure"` or `"no_gate"`.
        stride_length: Rows from one step to the next.
        time_scale_factor: Factor of the elapsed time.
        backbone_units: Width of the backbone.
        backbone_layers: Its layers after the first.
        backbone_activation: Its activation, by name.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Attributes:
        backbone: From `[x, h]`, `(F + H)` columns, to the candidate, H columns.
        gate: From `[x, h]` to the content gate, its bias at first 1; `None` without a gate.
        time_kernel: `(H,)`, logarithm of each neuron's rate, at first 0.
    """

    mode: Mode
    stride_length: int
    time_scale_factor: float
    backbone_units: int
    backbone_layers: int
    backbone_activation: str
    backbone: Sequential
    gate: Linear | None
    time_kernel: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        mode: Mode = "default",
        stride_length: int = 1,
        time_scale_factor: float = 1.0,
        backbone_units: int = 128,
        backbone_layers: int = 1,
        backbone_activation: str = "lecun_tanh",
        *,
        generator: Any = None,
    ) -> None:
        check_units(input_size=input_size, hidden_size=hidden_size, stride_length=stride_length)
        if mode not in ("default", "pure", "no_gate"):
            raise ValueError(
                "There is no such mode. Expected 'default', 'pure' or 'no_gate'. "
                f"Received: mode={mode!r}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.mode = mode
        self.stride_length = stride_length
        self.time_scale_factor = time_scale_factor
        self.backbone_units = backbone_units
        self.backbone_layers = backbone_layers
        self.backbone_activation = backbone_activation
        layers, width = backbone(
            input_size + hidden_size,
            backbone_units,
            1 + backbone_layers,
            backbone_activation,
            generator=generator,
        )
        self.backbone = Sequential([*layers, Linear(width, hidden_size, generator=generator)])
        self.gate = None
        if mode != "no_gate":
            self.gate = Linear(input_size + hidden_size, hidden_size, generator=generator)
            self.gate.assign({"bias_vector": ops.ones((hidden_size,))})
        self.time_kernel = Parameter(ops.zeros((hidden_size,)))

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step: output and state, both `(B, H)` and the same.

        Args:
            x: Input, `(B, F)`.
            state: Neurons before the step, `(B, H)`.
            elapsed: Time since the step before, `(B, 1)`, 0 or more.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_step(self, x, state, elapsed)
        inputs = ops.concatenate([x, state], axis=1)
        candidate = self.backbone(inputs)
        time = elapsed * (self.stride_length * self.time_scale_factor)
        open_share = ops.exp(-time * ops.exp(self.time_kernel.data))
        if self.gate is None:
            state = candidate + open_share * (state - candidate)
        else:
            gate = ops.sigmoid(self.gate(inputs))
            if self.mode == "pure":
                state = candidate + gate * open_share * (state - candidate)
            else:
                state = gate * state + (1.0 - gate) * (1.0 - open_share) * candidate
        return state, state
