"""Severity and evidence of a key over time, with the threshold and the triggers."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._palette import palette
from ._picture import COLUMNS, as_dates, headline, legend, own_panel, time_axis
from ._rows import KeyRows, require_rows, shade_episodes
from .decimation import decimate


def score(rows: KeyRows, *, ax: Axes | None = None, title: str = "", dark: bool = False) -> Figure:
    """Draw severity, evidence and threshold of a key, and where it fires and resolves.

    Severity is `-log10` of a probability: 3 is one row in 1,000.

    Args:
        rows: Scored rows of one key, such as `score_series` returns.
        ax: Axes to draw on; without them a figure is made.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no row, or times do not rise.
    """
    require_rows(rows)
    colours = palette(dark)
    figure, panel = own_panel(ax, colours, 2.6)
    time = np.asarray(rows.time_us, dtype=np.float64)
    shade_episodes(panel, rows, colours, "episode")
    curves = (
        ("severity", rows.severity, {"color": colours.quiet, "linewidth": 0.8}),
        ("evidence", rows.evidence, {"color": colours.ink, "linewidth": 1.2}),
        (
            "threshold",
            rows.threshold,
            {"color": colours.episode, "linewidth": 1.0, "dashes": (5, 3)},
        ),
    )
    for label, column, look in curves:
        x, y = decimate(time, np.asarray(column, dtype=np.float64), COLUMNS)
        panel.plot(as_dates(x), y, label=label, **look)  # type: ignore[arg-type]
    trigger, evidence = np.asarray(rows.trigger), np.asarray(rows.evidence)
    for sign, marker, label in ((1, "^", "fires"), (-1, "v", "resolves")):
        points = np.flatnonzero(trigger == sign)
        if points.size:
            panel.plot(
                as_dates(time[points]),
                evidence[points],
                marker,
                color=colours.episode,
                markeredgecolor=colours.paper,
                markersize=7,
                label=label,
            )
    panel.set_ylabel("severity")
    panel.set_ylim(bottom=min(0.0, float(np.nanmin(evidence))))
    panel.margins(x=0)
    headline(panel, title, colours)
    legend(panel, colours, 6)
    time_axis(panel)
    return figure
