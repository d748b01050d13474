"""A wiring as a picture: columns of neurons, and the synapses between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from html import escape
from typing import Any

COLUMNS = ("sensory", "inter", "command", "motor")
_FILL = {"sensory": "#7a8793", "inter": "#5b8def", "command": "#8a63d2", "motor": "#e08e2b"}
_INK = {1: "#009e73", -1: "#d55e00"}  # green and vermillion that colour-blind eyes tell apart
_KIND = {1: "excitatory", -1: "inhibitory"}
_MARGIN, _HEAD, _FOOT = 64.0, 58.0, 46.0
_COLUMN, _MAX_COLUMN, _ROW = 210.0, 320.0, 30.0
_MAX_HEIGHT = 760.0
_LOOP = 15.0


def draw(graph: Mapping[str, list[dict[str, Any]]], caption: str) -> str:
    """Draw the graph of a wiring as SVG text; see `Wiring.to_svg`."""
    nodes, columns = _layers(graph)
    tallest = max(len(nodes[layer]) for layer in columns)
    spacing = min(_COLUMN + 4.0 * max(tallest - 10, 0), _MAX_COLUMN)
    centres, radius, height = _places(nodes, columns, graph["edges"], spacing)
    width = 2 * _MARGIN + spacing * (len(columns) - 1) + 2 * _LOOP
    layer_of = {node["id"]: node["layer"] for node in graph["nodes"]}
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" role="img" '
            'font-family="Helvetica, Arial, sans-serif">'
        ),
        f"<title>{escape(caption)}</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        (
            f'<text x="{_MARGIN - 20:g}" y="22" font-size="14" font-weight="bold" fill="#20262c">'
            f"{escape(caption)}</text>"
        ),
    ]
    for number, layer in enumerate(columns):
        parts.append(
            f'<text x="{_MARGIN + number * spacing:g}" y="44" font-size="12" '
            f'text-anchor="middle" fill="{_FILL[layer]}">{layer} ({len(nodes[layer])})</text>'
        )
    # Few synapses can be drawn strongly; many have to be thin to let the pattern show.
    opacity = min(0.85, max(0.3, 9.0 / max(len(graph["edges"]), 1) ** 0.5))
    parts.append(f'<g fill="none" stroke-width="1.1" stroke-opacity="{opacity:.2f}">')
    for edge in sorted(graph["edges"], key=lambda e: e["polarity"]):
        source, target = edge["source"], edge["target"]
        ink, kind = _INK[edge["polarity"]], _KIND[edge["polarity"]]
        same_layer = layer_of[source] == layer_of[target]
        path = _path(centres[source], centres[target], radius, same=same_layer)
        parts.append(
            f'<path d="{path}" stroke="{ink}"><title>{source} to {target}, {kind}</title></path>'
        )
    parts.append("</g>")
    size = max(5.5, min(10.0, radius))
    for layer in columns:
        for name in nodes[layer]:
            x, y = centres[name]
            number_text = name.rpartition("_")[2]
            parts.append(
                f'<g><title>{name}</title><circle cx="{x:g}" cy="{y:g}" r="{radius:g}" '
                f'fill="{_FILL[layer]}" stroke="#ffffff" stroke-width="1.5"/>'
                f'<text x="{x:g}" y="{y + 0.35 * size:g}" font-size="{size:g}" '
                f'text-anchor="middle" fill="#ffffff">{number_text}</text></g>'
            )
    parts += _legend(graph["edges"], height - 18.0)
    parts.append("</svg>\n")
    return "\n".join(parts)


def positions(graph: Mapping[str, list[dict[str, Any]]]) -> dict[str, tuple[float, float]]:
    """Place of each neuron: number of its column, and rows from the top; see `Wiring.positions`."""
    nodes, columns = _layers(graph)
    centres, _, _ = _places(nodes, columns, graph["edges"], 1.0)
    pitch = min(_ROW, _MAX_HEIGHT / max(len(nodes[layer]) for layer in columns))
    return {
        name: (round(x - _MARGIN, 6), round((y - _HEAD) / pitch, 4))
        for name, (x, y) in centres.items()
    }


def _layers(
    graph: Mapping[str, list[dict[str, Any]]],
) -> tuple[dict[str, list[str]], list[str]]:
    """Ids of the neurons by layer, and the layers that have any."""
    nodes = {layer: [n["id"] for n in graph["nodes"] if n["layer"] == layer] for layer in COLUMNS}
    return nodes, [layer for layer in COLUMNS if nodes[layer]]


def _places(
    nodes: dict[str, list[str]], columns: list[str], edges: list[dict[str, Any]], spacing: float
) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Centre of each neuron, the radius of all, and the height of the picture."""
    tallest = max(len(nodes[layer]) for layer in columns)
    pitch = min(_ROW, _MAX_HEIGHT / tallest)
    radius = round(min(11.0, 0.42 * pitch), 2)
    body = pitch * tallest
    rank = _order(nodes, columns, edges)
    centres = {}
    for number, layer in enumerate(columns):
        # Short columns are spread over two thirds of the height, so that synapses fan out.
        count = len(rank[layer])
        step = max(pitch, min(2.6 * pitch, 0.8 * body / count))
        first = _HEAD + 0.5 * (body - step * (count - 1))
        for row, name in enumerate(rank[layer]):
            centres[name] = (_MARGIN + number * spacing, round(first + row * step, 2))
    return centres, radius, round(_HEAD + body + _FOOT, 2)


def _order(
    nodes: dict[str, list[str]], columns: list[str], edges: list[dict[str, Any]]
) -> dict[str, list[str]]:
    """Neurons of each column from top to bottom, by the mean place of those that drive them.

    The barycentre heuristic of Sugiyama et al. (1981), four sweeps; ties keep the order of ids.
    """
    neighbours: dict[str, list[str]] = {name: [] for names in nodes.values() for name in names}
    for edge in edges:
        neighbours[edge["source"]].append(edge["target"])
        neighbours[edge["target"]].append(edge["source"])
    order = {layer: list(names) for layer, names in nodes.items()}
    # Sweeps go forward and back in turn, each fixing the column before.
    for sweep in range(4):
        forward = sweep % 2 == 0
        walk = columns if forward else columns[::-1]
        for previous, layer in itertools.pairwise(walk):
            height = {
                name: (i + 0.5) / len(order[previous]) for i, name in enumerate(order[previous])
            }
            mean = {}
            for i, name in enumerate(order[layer]):
                heights = [
                    height[neighbour] for neighbour in neighbours[name] if neighbour in height
                ]
                mean[name] = (
                    sum(heights) / len(heights) if heights else (i + 0.5) / len(order[layer])
                )
            order[layer].sort(key=mean.__getitem__)
    return order


def _path(
    start: tuple[float, float], end: tuple[float, float], radius: float, *, same: bool
) -> str:
    """A curve from the right of one neuron to the left of the other, or around a column."""
    (x0, y0), (x1, y1) = start, end
    if start == end:
        return (
            f"M{x0 + radius * 0.6:g} {y0 - radius * 0.8:g} c{_LOOP:g} {-_LOOP * 0.8:g} "
            f"{_LOOP:g} {_LOOP * 0.8 + 1.6 * radius:g} 0 {1.6 * radius:g}"
        )
    if same:
        reach = min(26.0 + 0.28 * abs(y1 - y0), 0.42 * _COLUMN)
        side = 1.0 if y1 > y0 else -1.0  # down on the right, up on the left
        x = x0 + side * radius
        return (
            f"M{x:g} {y0:g} C{x + side * reach:g} {y0:g} {x + side * reach:g} {y1:g} {x:g} {y1:g}"
        )
    side = 1.0 if x1 > x0 else -1.0
    a, b = x0 + side * radius, x1 - side * radius
    bend = 0.4 * (b - a)
    return f"M{a:g} {y0:g} C{a + bend:g} {y0:g} {b - bend:g} {y1:g} {b:g} {y1:g}"


def _legend(edges: list[dict[str, Any]], y: float) -> list[str]:
    parts = []
    x = _MARGIN - 20.0
    for polarity in (1, -1):
        count = sum(edge["polarity"] == polarity for edge in edges)
        parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{x + 26:g}" y2="{y:g}" '
            f'stroke="{_INK[polarity]}" stroke-width="2.5"/>'
            f'<text x="{x + 33:g}" y="{y + 4:g}" font-size="11" fill="#20262c">'
            f"{_KIND[polarity]} ({count})</text>"
        )
        x += 140.0
    return parts
