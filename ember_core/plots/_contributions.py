"""Shares of the channels in the severity: of one row as bars, or over time as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._palette import Palette, palette
from ._picture import as_dates, headline, own_panel, plain, time_axis
from ._rows import KeyRows, episodes, require_rows
from .decimation import strongest_rows

MOST_CHANNELS = 24
_CELLS = 240
"""Columns of the heat map; of the rows in one the most severe is shown."""


def contributions(
    rows: KeyRows,
    at: int | None = None,
    *,
    most: int = MOST_CHANNELS,
    ax: Axes | None = None,
    title: str = "",
    dark: bool = False,
) -> Figure:
    """Draw the share of each channel in the severity, of one row or over time.

    Args:
        rows: Scored rows of one key, such as `score_series` returns.
        at: Index of the row. Default: all rows, as a heat map of share times severity.
        most: Most channels drawn: those with the largest shares.
        ax: Axes to draw on; without them a figure is made.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no such row, or times do not rise.
    """
    require_rows(rows)
    colours = palette(dark)
    n = len(np.asarray(rows.time_us))
    if at is None:
        return _over_time(rows, most, ax, title, colours)
    if not -n <= at < n:
        raise ValueError(f"There is no such row. Expected {-n} <= at < {n}. Received: at={at}.")
    return _of_row(rows, at % n, most, ax, title, colours)


def _of_row(
    rows: KeyRows, at: int, most: int, ax: Axes | None, title: str, colours: Palette
) -> Figure:
    share = np.asarray(rows.contribution, dtype=np.float64)[at]
    if np.isnan(share).any():
        raise ValueError(
            "The row has no shares. Expected one that is explained: of an episode, or improbable. "
            f"Received: at={at}, of severity {float(np.asarray(rows.severity)[at]):.2g}."
        )
    order = np.argsort(-share, kind="stable")[:most]
    figure, panel = own_panel(ax, colours, 0.32 * len(order) + 0.5, 7.0)
    positions = np.arange(len(order))
    panel.barh(positions, 100.0 * share[order], color=colours.episode, height=0.62)
    panel.set_yticks(positions, [plain(rows.channels[i]) for i in order], color=colours.ink)
    panel.invert_yaxis()
    panel.grid(False, axis="y")
    panel.set_xlabel("share of the severity, %")
    for position, channel in zip(positions.tolist(), order.tolist(), strict=True):
        text = f" {100.0 * share[channel]:.0f} %{_values(rows, at, channel)}"
        panel.annotate(
            text,
            (100.0 * share[channel], position),
            va="center",
            color=colours.soft,
            fontsize=8,
            annotation_clip=False,
        )
    # Room for the text beside the longest bar.
    panel.set_xlim(0.0, max(float(share.max()), 0.01) * 160.0)
    panel.set_xticks([tick for tick in panel.get_xticks() if 0.0 <= tick <= 100.0])
    moment = np.datetime_as_string(as_dates(np.asarray(rows.time_us)[at : at + 1])[0], unit="s")
    headline(panel, title or moment.replace("T", " ") + " UTC", colours)
    return figure


def _values(rows: KeyRows, at: int, channel: int) -> str:
    value, usual = (float(np.asarray(c)[at, channel]) for c in (rows.value, rows.usual))
    observed = "missing" if np.isnan(value) else f"{value:.4g}"
    return f", {observed}" + ("" if np.isnan(usual) else f", usually {usual:.4g}")


def _over_time(rows: KeyRows, most: int, ax: Axes | None, title: str, colours: Palette) -> Figure:
    time = np.asarray(rows.time_us, dtype=np.float64)
    # Below 0 a row is more usual than most: there is nothing to share.
    severity = np.maximum(np.asarray(rows.severity, dtype=np.float64), 0.0)
    index = strongest_rows(time, severity, _CELLS)
    # Usual rows of the scores topic have no shares under a model of joint evidence.
    shares = np.nan_to_num(np.asarray(rows.contribution, dtype=np.float64)[index])
    cells = severity[index, None] * shares
    order = np.sort(np.argsort(-cells.sum(axis=0), kind="stable")[:most])
    figure, panel = own_panel(ax, colours, 0.26 * len(order) + 0.7)
    heat_map(panel, time[index], cells[:, order], colours, "severity by channel")
    panel.set_yticks(
        np.arange(len(order)), [plain(rows.channels[i]) for i in order], color=colours.ink
    )
    dates = as_dates(time)
    for first, last in episodes(rows):
        ends: list[Any] = [dates[first], dates[last]]
        panel.plot(ends, [-0.62, -0.62], color=colours.episode, linewidth=3, clip_on=False)
    headline(panel, title, colours)
    time_axis(panel)
    return figure


def heat_map(ax: Axes, time: Any, cells: Any, colours: Palette, label: str) -> None:
    """Draw a cell for each row and column, columns from top to bottom.

    Args:
        ax: Axes.
        time: Time of each row in microseconds, `(n,)`, float64.
        cells: Values, `(n, K)`.
        colours: Theme.
        label: Text beside the scale.
    """
    signed = bool(np.nanmin(cells, initial=0.0) < 0)
    bound = float(np.nanmax(np.abs(cells), initial=0.0)) or 1.0
    # A row lasts until the next one; the last as long as usual.
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1e6
    edges = as_dates(np.append(time, time[-1] + step))
    mesh = ax.pcolormesh(
        edges,
        np.arange(cells.shape[1] + 1) - 0.5,
        cells.T,
        cmap=colours.signed if signed else colours.heat,
        vmin=-bound if signed else 0.0,
        vmax=bound,
        shading="flat",
        rasterized=True,
    )
    ax.grid(False)
    ax.invert_yaxis()
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.01, fraction=0.03)
    bar.set_label(label, color=colours.soft, fontsize=8)
    bar.ax.tick_params(colors=colours.soft, labelsize=8)
    bar.outline.set_visible(False)
