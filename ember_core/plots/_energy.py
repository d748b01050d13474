"""Histogram of the free energy of rows, with the tail that makes severities of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ember_core import ops
from ember_core.pipeline import FleetModel, first_state
from ember_core.pipeline.tail import HALF, MIN_EXCESS, TOP

from ._palette import palette
from ._picture import headline, legend, own_panel

_BINS = 80
_LN10 = float(np.log(10.0))
_SEVERITIES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)


def energy(
    score: Any,
    *,
    model: FleetModel | None = None,
    key: str | bytes | None = None,
    ax: Axes | None = None,
    title: str = "",
    dark: bool = False,
) -> Figure:
    """Draw how often free energies come, and which severity the tail of the key gives them.

    The x axis is the log of the score above the tail's floor with a model, and the score without
    one. The line is the number of rows that the tail expects in each bin.

    Args:
        score: Free energy of rows, `(n,)`, of any backend; NaN is left out.
        model: Model whose tail is drawn.
        key: Key of the training whose tail it is. Default: the model's only key, or a key never
            seen.
        ax: Axes to draw on; without them a figure is made.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no score, or the model does not know the key.
    """
    values = np.asarray(ops.to_numpy(score), dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        raise ValueError("There is nothing to draw. Expected scores. Received: none.")
    colours = palette(dark)
    figure, panel = own_panel(ax, colours, 2.8, 7.0)
    if model is not None:
        values = np.asarray(model.pipeline.tail.log_score(values.astype(np.float32)), np.float64)
    counts, edges = np.histogram(values, bins=_BINS)
    panel.stairs(counts, edges, fill=True, color=colours.value, alpha=0.75, label="rows")
    panel.set_yscale("symlog", linthresh=1.0)
    panel.set_ylabel("rows")
    panel.set_xlabel("free energy" if model is None else "log of the free energy above its floor")
    if model is not None:
        tail = _tail_of(model, key)
        expected = values.size * -np.diff(_survival(edges, tail))
        middle = 0.5 * (edges[1:] + edges[:-1])
        visible = (expected > 0.05) & (middle > tail["tail_mid"])
        panel.plot(
            middle[visible], expected[visible], color=colours.ink, linewidth=1.3, label="expected"
        )
        _mark_severities(panel, edges, tail, colours.episode)
    headline(panel, title, colours)
    legend(panel, colours)
    return figure


def _tail_of(model: FleetModel, key: str | bytes | None) -> dict[str, float]:
    _, state = first_state(model, key)
    return {name: float(state[name][0]) for name in ("tail_mid", "tail_high", "tail_excess")}


def _severities(log_score: Any, tail: dict[str, float]) -> Any:
    """Return the severity of log scores, as `Tail.severity` does, without its bounds."""
    excess = max(tail["tail_excess"], MIN_EXCESS)
    width = max(tail["tail_high"] - tail["tail_mid"], MIN_EXCESS)
    departure = log_score - tail["tail_high"]
    ordinary = HALF + (TOP - HALF) * (log_score - tail["tail_mid"]) / width
    return np.where(departure > 0, TOP + departure / excess, ordinary) / _LN10


def _survival(log_score: Any, tail: dict[str, float]) -> Any:
    """Return the share of rows that the tail expects above log scores."""
    return 10.0 ** -np.maximum(_severities(log_score, tail), 0.0)


def _mark_severities(ax: Axes, edges: Any, tail: dict[str, float], colour: str) -> None:
    """Draw a line at each whole severity inside the histogram."""
    label: str | None = "severity"
    fine = np.linspace(edges[0], edges[-1], 4_001)
    severity = _severities(fine, tail)
    for level in _SEVERITIES:
        first = int((severity >= level).argmax())
        if first > 0:
            x = float(fine[first])
            ax.axvline(
                x,
                color=colour,
                linewidth=0.8,
                dashes=(4, 3),
                label=label,
                gid=f"severity {level:g}",
            )
            label = None  # the legend names the first only
            ax.annotate(
                f"{level:g}",
                (x, 0.98),
                xytext=(3, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                color=colour,
                fontsize=8,
            )
