"""A wiring as columns of neurons and the synapses between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ember_core.nn import Wiring

from ._palette import Palette, palette
from ._picture import legend, own_panel, plain

_CURVE_POINTS = 24
_KINDS = {1: "excitatory", -1: "inhibitory"}


def wiring(
    wiring: Wiring,
    *,
    activation: Any = None,
    inputs: Any = None,
    names: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    dark: bool = False,
) -> Figure:
    """Draw a wiring: sensory, inter, command and motor neurons from left to right.

    Synapses that excite are solid and green, those that inhibit dashed and vermillion.

    Args:
        wiring: The wiring; its inputs are drawn once it is built.
        activation: Activation of each neuron, `(U,)`, to colour the neurons by.
        inputs: Value of each input, `(D,)`, likewise; with `activation` only.
        names: Names to write beside neurons, by their ids: `{"sensory_0": "cpu"}`.
        ax: Axes to draw on; without them a figure is made.
        title: Headline; the class's name where not given.
        dark: Draw light on dark.

    Returns:
        The figure.

    Raises:
        ValueError: If activations or inputs are not those of as many neurons.
    """
    graph, positions = wiring.to_graph(), wiring.positions()
    colours = palette(dark)
    tallest = max(np.unique([x for x, _ in positions.values()], return_counts=True)[1])
    figure, panel = own_panel(ax, colours, float(np.clip(0.26 * tallest, 2.6, 8.0)), 9.0)
    shades = _shades(wiring, activation, inputs, colours)
    opacity = min(0.9, max(0.3, 9.0 / max(len(graph["edges"]), 1) ** 0.5))
    for polarity, colour in ((1, colours.excite), (-1, colours.inhibit)):
        curves = [
            _curve(positions[edge["source"]], positions[edge["target"]])
            for edge in graph["edges"]
            if edge["polarity"] == polarity
        ]
        lines = LineCollection(
            curves,
            colors=colour,
            linewidths=0.9,
            linestyles="solid" if polarity > 0 else (0, (4, 2)),
            alpha=opacity,
            label=f"{_KINDS[polarity]} ({len(curves)})",
            zorder=1,
        )
        panel.add_collection(lines)
    size = float(np.clip(2_400.0 / tallest, 24.0, 190.0))
    for layer in dict.fromkeys(node["layer"] for node in graph["nodes"]):
        ids = [node["id"] for node in graph["nodes"] if node["layer"] == layer]
        x, y = np.array([positions[name] for name in ids]).T
        fill = [shades.get(name, colours.layers[layer]) for name in ids]
        panel.scatter(
            x,
            y,
            s=size,
            c=fill,
            edgecolors=colours.layers[layer],
            linewidths=1.4,
            zorder=2,
            gid=layer,
        )
        panel.annotate(
            f"{layer} ({len(ids)})",
            (float(x[0]), 1.03),
            xycoords=("data", "axes fraction"),
            ha="center",
            color=colours.layers[layer],
            fontsize=9,
        )
    for name, text in (names or {}).items():
        x, y = positions[name]
        side = -1 if name.startswith("sensory") else 1
        panel.annotate(
            plain(text),
            (x, y),
            xytext=(side * 10, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            color=colours.ink,
            fontsize=8,
        )
    panel.margins(0.08, 0.06)
    panel.autoscale_view()
    panel.invert_yaxis()
    panel.set_axis_off()
    text = type(wiring).__name__ if title is None else title
    panel.set_title(plain(text), loc="left", color=colours.ink, fontweight="bold", pad=24)
    legend(panel, colours)
    panel.get_legend().set_bbox_to_anchor((1.0, -0.06))  # type: ignore[union-attr]
    return figure


def _shades(wiring: Wiring, activation: Any, inputs: Any, colours: Palette) -> dict[str, Any]:
    """Return the colour of each neuron by its activation; empty without any."""
    if activation is None:
        return {}
    out: dict[str, Any] = {}
    groups = [(activation, wiring.units, "activation", "neurons")]
    if inputs is not None:
        groups.append((inputs, wiring.input_dim or 0, "inputs", "inputs"))
    scale = colormaps[colours.signed]
    for values, count, argument, plural in groups:
        numbers = np.asarray(values, dtype=np.float64).ravel()
        if len(numbers) != count:
            raise ValueError(
                f"The wiring has other {plural}. Expected {count} numbers. Received: "
                f"{len(numbers)} of {argument}."
            )
        bound = float(np.nanmax(np.abs(numbers), initial=0.0)) or 1.0
        for i, number in enumerate(numbers.tolist()):
            name = f"sensory_{i}" if argument == "inputs" else f"{wiring.neuron_type(i)}_{i}"
            out[name] = scale(0.5 + 0.5 * number / bound)
    return out


def _curve(start: tuple[float, float], end: tuple[float, float]) -> Any:
    """Return points `(P, 2)` of a curve between two neurons, a loop for one and the same."""
    share = np.linspace(0.0, 1.0, _CURVE_POINTS)[:, None]
    a, d = np.array(start), np.array(end)
    if start == end:
        angle = 2.0 * np.pi * share[:, 0]
        return a + 0.09 * np.stack([1.0 - np.cos(angle), -np.sin(angle) * 4.0], axis=1)
    bend = np.array([0.45 * (d[0] - a[0]), 0.0])
    if a[0] == d[0]:  # within a column: down on the right, up on the left
        side = 1.0 if d[1] > a[1] else -1.0
        bend = np.array([side * (0.12 + 0.012 * abs(d[1] - a[1])), 0.0])
        b, c = a + bend, d + bend
    else:
        b, c = a + bend, d - bend
    return (
        (1 - share) ** 3 * a
        + 3 * (1 - share) ** 2 * share * b
        + 3 * (1 - share) * share**2 * c
        + share**3 * d
    )
