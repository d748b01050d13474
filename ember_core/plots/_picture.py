"""Figures that no state of matplotlib knows of, and their axes in one style."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._palette import Palette

COLUMNS = 900
"""Columns over the width of a picture, of which each keeps its smallest and largest value."""


class Picture(Figure):
    """Figure that a notebook shows although `pyplot` does not know it."""

    def _repr_png_(self) -> bytes:
        """Return the picture as PNG, for notebooks."""
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def make_panels(
    heights: Sequence[float], colours: Palette, *, width: float = 10.0, share_x: bool = True
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels one below the other.

    Args:
        heights: Height of each panel in inches.
        colours: Theme.
        width: Width in inches.
        share_x: Give all panels one x axis.
    """
    figure = Picture(
        figsize=(width, sum(heights) + 0.6), layout="constrained", facecolor=colours.paper
    )
    grid = figure.subplots(
        len(heights),
        1,
        sharex=share_x,
        squeeze=False,
        gridspec_kw={"height_ratios": list(heights)},
    )
    panels = list(grid[:, 0])
    for panel in panels:
        style(panel, colours)
    return figure, panels


def own_panel(
    ax: Axes | None, colours: Palette, height: float, width: float = 10.0
) -> tuple[Figure, Axes]:
    """Return the axes to draw on with their figure: those given, or new ones.

    Args:
        ax: Axes of the caller, or None.
        colours: Theme.
        height: Height of new axes, in inches.
        width: Width of new axes, in inches.
    """
    if ax is None:
        figure, (panel,) = make_panels([height], colours, width=width)
        return figure, panel
    style(ax, colours)
    figure = ax.get_figure()  # type: ignore[assignment]
    return figure, ax


def style(ax: Axes, colours: Palette) -> None:
    """Give axes the colours of a theme; settings of matplotlib stay as they are."""
    ax.set_facecolor(colours.paper)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(colours.soft)
    ax.tick_params(colors=colours.soft, labelsize=8)
    ax.grid(True, color=colours.grid, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.title.set_color(colours.ink)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(colours.soft)
        label.set_fontsize(9)


def headline(ax: Axes, text: str, colours: Palette) -> None:
    """Write a title at the left, where eyes begin."""
    # Names are data: a dollar would begin a formula.
    ax.set_title(plain(text), loc="left", color=colours.ink, fontsize=10, fontweight="bold")


def legend(ax: Axes, colours: Palette, columns: int = 4) -> None:
    """Explain the artists that have a label, above the axes at the right."""
    handles, _ = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=columns,
            frameon=False,
            fontsize=8,
            labelcolor=colours.soft,
            borderaxespad=0.2,
        )


def plain(text: str) -> str:
    """Return text that matplotlib draws as it stands, formulas included."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return printable.replace("$", r"\$")


def as_dates(time_us: NDArray[Any]) -> NDArray[np.datetime64]:
    """Return times in microseconds as matplotlib's axes understand them, in UTC."""
    return np.asarray(time_us).astype(np.int64).astype("datetime64[us]")


def time_axis(ax: Axes) -> None:
    """Let the x axis say dates and times shortly, in UTC."""
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_xlabel("time, UTC")
