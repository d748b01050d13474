"""Activations of neurons over time as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ember_core import ops
from ember_core.nn import Wiring

from ._contributions import heat_map
from ._palette import palette
from ._picture import headline, own_panel, time_axis
from .decimation import strongest_rows

_CELLS = 600


def activations(
    neurons: Any,
    time_us: Any,
    *,
    wiring: Wiring | None = None,
    ax: Axes | None = None,
    title: str = "",
    dark: bool = False,
) -> Figure:
    """Draw the activation of each neuron over time.

    Args:
        neurons: Activations `(T, U)`, of any backend: `ScoredSeries.activation`, or the output of a
            sequence layer for one sequence.
        time_us: Time of each row in microseconds, `(T,)`, rising.
        wiring: Wiring of the neurons, whose layers are then told apart: inter, command, motor.
        ax: Axes to draw on; without them a figure is made.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        The figure. Of more than 600 rows, neighbours share a cell; it shows the row that differs
        most from the mean.

    Raises:
        ValueError: If the shapes do not fit.
    """
    cells = np.asarray(ops.to_numpy(neurons), dtype=np.float64)
    time = np.asarray(time_us).astype(np.int64).astype(np.float64)
    if cells.ndim != 2 or len(cells) != len(time) or not cells.size:
        raise ValueError(
            "Activations are a table with a row for each time. Expected neurons (T, U) and "
            f"time_us (T,). Received: shapes {cells.shape} and {time.shape}."
        )
    units = cells.shape[1]
    if wiring is not None and wiring.units != units:
        raise ValueError(
            "The wiring is of other neurons. Expected one activation a neuron. Received: "
            f"{units} activations, {wiring.units} neurons."
        )
    colours = palette(dark)
    index = strongest_rows(time, np.abs(cells - cells.mean(axis=0)).sum(axis=1), _CELLS)
    layers = {"neurons": np.arange(units)} if wiring is None else wiring.layers
    order = np.concatenate(list(layers.values()))
    figure, panel = own_panel(ax, colours, min(max(0.09 * units, 1.4), 6.0) + 0.6)
    heat_map(panel, time[index], cells[index][:, order], colours, "activation")
    begin, middles = 0, []
    for ids in layers.values():
        middles.append(begin + 0.5 * (len(ids) - 1))
        begin += len(ids)
        if begin < units:
            panel.axhline(begin - 0.5, color=colours.ink, linewidth=1.2)
    names = [f"{name} ({len(ids)})" for name, ids in layers.items()]
    panel.set_yticks(middles, names, color=colours.ink)
    headline(panel, title, colours)
    time_axis(panel)
    return figure
