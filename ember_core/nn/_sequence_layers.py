"""The usual cells as layers over batches of sequences."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from ._cell import Cell
from ._cfc import CfCCell, Mode, WiredCfCCell
from ._lstm import LSTMCell, MixedMemoryCell
from ._ltc import LTCCell
from ._plain_wirings import FullyConnected
from ._sequence import SequenceLayer
from ._stride_aware import StrideAwareCfCCell, StrideAwareWiredCfCCell
from ._strides import StrideMemoryCell
from ._wiring import Wiring


class CfC(SequenceLayer):
    """Closed-form continuous-time layer; `SequenceLayer` says how it is called.

    Args:
        input_size: Columns of the input, F.
        units: Neurons, or the wiring that joins them.
        mode: `"default"`, `"pure"` or `"no_gate"`.
        proj_size: Columns of a linear map of the output; none without it.
        return_sequences: Whether every step's output is returned, or the last one's.
        mixed_memory: Whether an LSTM updates the state before each step.
        backbone_units: Width of the backbone; a wiring has none.
        backbone_layers: Layers of the backbone; a wiring has none.
        backbone_activation: Activation of the backbone; a wiring has none.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> layer = nn.CfC(5, nn.AutoNCP(11, 3), mixed_memory=True)
        >>> output, state = layer(ops.ones((2, 7, 5)), elapsed=ops.full((2, 7), 0.5))
        >>> output.shape, state.shape
        ((2, 7, 3), (2, 22))
    """

    input_size: int
    units: int | Wiring
    mode: Mode
    mixed_memory: bool
    backbone_units: int
    backbone_layers: int
    backbone_activation: str

    def __init__(
        self,
        input_size: int,
        units: int | Wiring,
        mode: Mode = "default",
        proj_size: int | None = None,
        return_sequences: bool = True,
        mixed_memory: bool = False,
        backbone_units: int = 128,
        backbone_layers: int = 1,
        backbone_activation: str = "lecun_tanh",
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.units = units
        self.mode = mode
        self.mixed_memory = mixed_memory
        self.backbone_units = backbone_units
        self.backbone_layers = backbone_layers
        self.backbone_activation = backbone_activation
        cell: Cell
        if isinstance(units, Wiring):
            cell = WiredCfCCell(input_size, units, mode, generator=generator)
        else:
            cell = CfCCell(
                input_size,
                units,
                mode,
                backbone_units,
                backbone_layers,
                backbone_activation,
                generator=generator,
            )
        cell = MixedMemoryCell(cell, generator=generator) if mixed_memory else cell
        self._take(cell, proj_size, return_sequences, generator)


class LTC(SequenceLayer):
    """Liquid time-constant layer; `SequenceLayer` says how it is called.

    Args:
        input_size: Columns of the input, F.
        units: Neurons, all joined, or the wiring that joins them.
        proj_size: Columns of a linear map of the output; none without it.
        return_sequences: Whether every step's output is returned, or the last one's.
        mixed_memory: Whether an LSTM updates the state before each step.
        ode_unfolds: Solver steps in a step.
        epsilon: Added to the denominator of the solver.
        implicit_constraints: Whether positive parameters are a softplus of the stored values.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.
    """

    input_size: int
    units: int | Wiring
    mixed_memory: bool
    ode_unfolds: int
    epsilon: float
    implicit_constraints: bool

    def __init__(
        self,
        input_size: int,
        units: int | Wiring,
        proj_size: int | None = None,
        return_sequences: bool = True,
        mixed_memory: bool = False,
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        implicit_constraints: bool = True,
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.units = units
        self.mixed_memory = mixed_memory
        self.ode_unfolds = ode_unfolds
        self.epsilon = epsilon
        self.implicit_constraints = implicit_constraints
        wiring = units if isinstance(units, Wiring) else FullyConnected(units)
        cell: Cell = LTCCell(
            input_size, wiring, ode_unfolds, epsilon, implicit_constraints, generator=generator
        )
        cell = MixedMemoryCell(cell, generator=generator) if mixed_memory else cell
        self._take(cell, proj_size, return_sequences, generator)


class LSTM(SequenceLayer):
    """Long short-term memory layer; `SequenceLayer` says how it is called, time does not count.

    Args:
        input_size: Columns of the input, F.
        hidden_size: Units H.
        proj_size: Columns of a linear map of the output; none without it.
        return_sequences: Whether every step's output is returned, or the last one's.
        forget_bias: Added to the forget gate.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.
    """

    input_size: int
    hidden_size: int
    forget_bias: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        proj_size: int | None = None,
        return_sequences: bool = True,
        forget_bias: float = 1.0,
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.forget_bias = forget_bias
        cell = LSTMCell(input_size, hidden_size, forget_bias, generator=generator)
        self._take(cell, proj_size, return_sequences, generator)


class StrideAwareCfC(SequenceLayer):
    """Stride-aware layer; `SequenceLayer` says how it is called.

    Args:
        input_size: Columns of the input, F.
        units: Neurons, or the wiring that joins them.
        stride_length: Rows from one step to the next: sets the neurons' first time scale.
        time_scale_factor: First time scale of every neuron, 0.01 to 10.
        proj_size: Columns of a linear map of the output; none without it.
        return_sequences: Whether every step's output is returned, or the last one's.
        mixed_memory: Whether the output is the mean of the cell over every step and of the same
            cell over every `stride_length`-th step, held in between.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.
    """

    input_size: int
    units: int | Wiring
    stride_length: int
    time_scale_factor: float
    mixed_memory: bool

    def __init__(
        self,
        input_size: int,
        units: int | Wiring,
        stride_length: int = 1,
        time_scale_factor: float = 1.0,
        proj_size: int | None = None,
        return_sequences: bool = True,
        mixed_memory: bool = False,
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.units = units
        self.stride_length = stride_length
        self.time_scale_factor = time_scale_factor
        self.mixed_memory = mixed_memory
        cell: Cell
        if isinstance(units, Wiring):
            cell = StrideAwareWiredCfCCell(
                input_size, units, stride_length, time_scale_factor, generator=generator
            )
        else:
            cell = StrideAwareCfCCell(
                input_size, units, stride_length, time_scale_factor, generator=generator
            )
        cell = StrideMemoryCell(cell, stride_length) if mixed_memory else cell
        self._take(cell, proj_size, return_sequences, generator)
