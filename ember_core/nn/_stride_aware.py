"""Stride-aware cells: gated memory that decays by a time scale of its own for each stride."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import JoinedCell, WiredCell, check_step, check_units
from ._layers import glorot
from ._module import Module, Parameter
from ._wiring import Wiring, layer_masks

TIME_SCALES = (0.01, 10.0)
STRIDE_SCALES = (0.1, 100.0)


class StrideAwareHead(Module):
    """The step of the stride-aware cells.

    With `i, f, o, c` linear in input and hidden state `h`, and a decay per neuron

        d  = exp(-elapsed / (time_scale stride_scale))
        m' = sigmoid(f) m + sigmoid(i) tanh(c)
        h' = sigmoid(o) tanh(d h + (1 - d) m')

    A larger stride has a slower decay. Both scales are trained, held within 0.01 to 10 and 0.1 to
    100 when used.

    Args:
        input_size: Columns of the input, F.
        hidden_size: Neurons H.
        stride_length: Rows from one step to the next; the first `stride_scale`.
        time_scale_factor: The first `time_scale`.
        mask: `(F + H, H)` of 0 and 1, the synapses that are there; all without one.
        generator: Generator of the initial weights.

    Attributes:
        weight: `(F + H, 4 H)`, the columns of `i`, `f`, `o` and `c`.
        bias: `(4 H,)`.
        time_scale: `(H,)`.
        stride_scale: `(H,)`.
    """

    hidden_size: int
    mask: Array | None
    weight: Parameter
    bias: Parameter
    time_scale: Parameter
    stride_scale: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        stride_length: int,
        time_scale_factor: float,
        *,
        mask: Array | None = None,
        generator: Any = None,
    ) -> None:
        check_units(input_size=input_size, hidden_size=hidden_size, stride_length=stride_length)
        if not TIME_SCALES[0] <= time_scale_factor <= TIME_SCALES[1]:
            raise ValueError(
                f"The time scale is out of range. Expected {TIME_SCALES[0]} <= time_scale_factor "
                f"<= {TIME_SCALES[1]}. Received: time_scale_factor={time_scale_factor}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.hidden_size = hidden_size
        gates = [glorot(generator, input_size + hidden_size, hidden_size) for _ in range(4)]
        if mask is not None:  # a neuron of few synapses hears as much by stronger ones
            synapses = ops.maximum(ops.sum(mask, axis=0, keepdims=True), 1.0)
            strength = ops.sqrt((input_size + hidden_size) / synapses)
            gates = [gate * strength for gate in gates]
        self.weight = Parameter(ops.concatenate(gates, axis=1))
        self.bias = Parameter(ops.zeros((4 * hidden_size,)))
        self.time_scale = Parameter(ops.full((hidden_size,), float(time_scale_factor)))
        self.stride_scale = Parameter(ops.full((hidden_size,), float(stride_length)))
        self.mask = None
        if mask is not None:
            self.register_buffer("mask", ops.concatenate([mask] * 4, axis=1))

    def forward(self, x: Array, state: Array, elapsed: Array) -> Array:
        """State `[h, m]` after the step, `(B, 2 H)`, from `x` `(B, F)` and `elapsed` `(B, 1)`."""
        n = self.hidden_size
        hidden, memory = state[:, :n], state[:, n:]
        weight = self.weight.data if self.mask is None else self.weight.data * self.mask
        y = ops.matmul(ops.concatenate([x, hidden], axis=1), weight) + self.bias.data
        gates = ops.sigmoid(y[:, : 3 * n])
        memory = gates[:, n : 2 * n] * memory + gates[:, :n] * ops.tanh(y[:, 3 * n :])
        scale = ops.clip(self.time_scale.data, *TIME_SCALES)
        scale = scale * ops.clip(self.stride_scale.data, *STRIDE_SCALES)
        decay = ops.exp(-elapsed / scale)
        hidden = gates[:, 2 * n :] * ops.tanh(decay * hidden + (1.0 - decay) * memory)
        return ops.concatenate([hidden, memory], axis=1)


class StrideAwareCfCCell(JoinedCell):
    """A stride-aware cell whose neurons are all joined; `StrideAwareHead` has the formulas.

    Args:
        input_size: Columns of the input, F.
        hidden_size: Neurons H.
        stride_length: Rows from one step to the next, of which the cell is told only here:
            `StridedCell` and `MultiStrideCell` leave the rows between out.
        time_scale_factor: First time scale of every neuron, 0.01 to 10.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> cell = nn.StrideAwareCfCCell(5, 11, stride_length=3)
        >>> x = ops.ones((2, 5))
        >>> output, state = cell(x, cell.initial_state(x), ops.ones((2, 1)))
        >>> output.shape, state.shape
        ((2, 11), (2, 22))
    """

    states_per_neuron = 2  # [h, m]
    stride_length: int
    time_scale_factor: float
    head: StrideAwareHead

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        stride_length: int = 1,
        time_scale_factor: float = 1.0,
        *,
        generator: Any = None,
    ) -> None:
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.stride_length = stride_length
        self.time_scale_factor = time_scale_factor
        self.head = StrideAwareHead(
            input_size, hidden_size, stride_length, time_scale_factor, generator=generator
        )

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step: the hidden state `h` `(B, H)`, and the state `[h, m]` `(B, 2 H)`.

        Args:
            x: Input, `(B, F)`.
            state: `[h, m]` before the step, `(B, 2 H)`.
            elapsed: Time since the step before, `(B, 1)`, in units of the time scale.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_step(self, x, state, elapsed)
        state = self.head(x, state, elapsed)
        return state[:, : self.hidden_size], state


class StrideAwareWiredCfCCell(WiredCell):
    """A stride-aware cell whose layers of neurons are joined as a wiring says.

    Args:
        input_size: Columns of the input, F.
        wiring: The wiring; it is built for the input where it was not.
        stride_length: Rows from one step to the next.
        time_scale_factor: First time scale of every neuron, 0.01 to 10.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.
    """

    states_per_neuron = 2  # [h, m]
    stride_length: int
    time_scale_factor: float
    layers: list[StrideAwareHead]

    def __init__(
        self,
        input_size: int,
        wiring: Wiring,
        stride_length: int = 1,
        time_scale_factor: float = 1.0,
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.wiring = wiring.build(input_size)
        self.stride_length = stride_length
        self.time_scale_factor = time_scale_factor
        self.layers = [
            StrideAwareHead(
                len(mask) - mask.shape[1],
                mask.shape[1],
                stride_length,
                time_scale_factor,
                mask=ops.from_numpy(mask),
                generator=generator,
            )
            for mask in layer_masks(wiring)
        ]

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step, layer after layer: the motor neurons `(B, output_dim)`, and the state.

        Args:
            x: Input, `(B, F)`.
            state: `[h, m]` of each layer before the step, `(B, 2 U)`, in the wiring's order.
            elapsed: Time since the step before, `(B, 1)`, in units of the time scale.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_step(self, x, state, elapsed)
        states, start = [], 0
        for layer in self.layers:
            end = start + 2 * layer.hidden_size
            layer_state = layer(x, state[:, start:end], elapsed)
            x = layer_state[:, : layer.hidden_size]
            states.append(layer_state)
            start = end
        return x, ops.concatenate(states, axis=1)
