"""Liquid cells by the name of their kind, so that a setting can choose one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from ember_core import ops

from ._cell import Cell
from ._cfc import CfCCell, Mode, WiredCfCCell
from ._gated import LSTMGatedCell
from ._lstm import LSTMCell, MixedMemoryCell
from ._ltc import LTCCell
from ._ncp import AutoNCP
from ._stride_aware import StrideAwareCfCCell, StrideAwareWiredCfCCell
from ._strides import MultiStrideCell

CellKind = Literal[
    "ncp",
    "cfc",
    "ltc",
    "lstm",
    "mixed_memory",
    "lstm_gated",
    "stride_aware",
    "multi_stride",
]


def liquid_cell(
    kind: CellKind,
    input_size: int,
    units: int = 64,
    *,
    motor_units: int | None = None,
    sparsity_level: float = 0.5,
    mode: Mode = "default",
    lstm_units: int = 32,
    strides: tuple[int, ...] = (1, 3, 5),
    seed: int = 0,
) -> Cell:
    """A cell of one of the usual kinds; an argument that a kind has no use for is left aside.

    Args:
        kind: `"ncp"` (CfC over an AutoNCP wiring), `"cfc"` (CfC, all joined), `"ltc"` (over an
            AutoNCP wiring), `"lstm"`, `"mixed_memory"` (NCP whose state an LSTM updates),
            `"lstm_gated"` (NCP gated by an LSTM beside it), `"stride_aware"` (gated memory over an
            AutoNCP wiring, at the first stride) or `"multi_stride"` (a stride-aware cell per
            stride, side by side, which share the units).
        input_size: Columns of the input.
        units: Neurons.
        motor_units: Outputs of a wiring; a fourth of the units where not given.
        sparsity_level: Share of the synapses a wiring leaves out.
        mode: Mode of CfC cells.
        lstm_units: Units of the LSTM beside an `"lstm_gated"` one.
        strides: Strides in rows; see `kind`.
        seed: Seed of wiring and weights.

    Raises:
        ValueError: If there is no such kind, or the sizes do not fit it.

    Examples:
        >>> from ember_core import nn
        >>> cell = nn.liquid_cell("multi_stride", 5, units=33, strides=(1, 3, 5))
        >>> type(cell).__name__, cell.output_size
        ('MultiStrideCell', 33)
    """
    if kind not in get_args(CellKind):
        raise ValueError(
            f"There is no such network type. Expected one of: {', '.join(get_args(CellKind))}. "
            f"Received: {kind!r}."
        )
    g = ops.generator(seed)
    motor = max(1, units // 4) if motor_units is None else motor_units

    def wiring() -> AutoNCP:
        return AutoNCP(units, motor, sparsity_level, seed)

    def ncp(columns: int) -> Cell:
        return WiredCfCCell(columns, wiring(), mode, generator=g)

    def multi_stride() -> Cell:
        share = max(1, units // len(strides))
        cells = [StrideAwareCfCCell(share, share, stride, generator=g) for stride in strides]
        return MultiStrideCell(input_size, cells, strides, generator=g)

    def gated() -> Cell:
        memory = LSTMCell(input_size, lstm_units, generator=g)
        return LSTMGatedCell(input_size, ncp(units), memory, generator=g)

    makers: dict[str, Callable[[], Any]] = {
        "ncp": lambda: ncp(input_size),
        "cfc": lambda: CfCCell(input_size, units, mode, backbone_units=units, generator=g),
        "ltc": lambda: LTCCell(input_size, wiring(), implicit_constraints=True, generator=g),
        "lstm": lambda: LSTMCell(input_size, units, generator=g),
        "mixed_memory": lambda: MixedMemoryCell(ncp(input_size), generator=g),
        "lstm_gated": gated,
        "stride_aware": lambda: StrideAwareWiredCfCCell(
            input_size, wiring(), strides[0], generator=g
        ),
        "multi_stride": multi_stride,
    }
    cell: Cell = makers[kind]()
    return cell
