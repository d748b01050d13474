"""Values of every channel of a key over time, with the usual band and the episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._palette import Palette, palette
from ._picture import COLUMNS, as_dates, headline, legend, make_panels, plain, time_axis
from ._rows import KeyRows, require_rows, shade_episodes
from .decimation import decimate, decimate_band

MOST_CHANNELS = 16


def series(
    rows: KeyRows,
    channels: Sequence[str] | None = None,
    *,
    most: int = MOST_CHANNELS,
    title: str = "",
    dark: bool = False,
) -> Figure:
    """Draw values, usual values, the usual band and the episodes of a key, a panel a channel.

    Args:
        rows: Scored rows of one key, such as `score_series` returns.
        channels: Channels to draw, in this order. Default: all; of more than `most` those that
            contribute most to the episodes.
        most: Most panels where `channels` are not named.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        A figure with an axes for each channel, in the channel's own unit.

    Raises:
        ValueError: If there is no row, times do not rise, or a channel is unknown.
    """
    require_rows(rows)
    columns = _chosen(rows, channels, most)
    colours = palette(dark)
    height = 1.5 if len(columns) <= 6 else 1.1
    figure, panels = make_panels([height] * len(columns), colours)
    for panel, column in zip(panels, columns, strict=True):
        _draw(panel, rows, column, colours)
        panel.set_ylabel(plain(rows.channels[column]), color=colours.ink)
    headline(panels[0], title, colours)
    legend(panels[0], colours)
    time_axis(panels[-1])
    return figure


def _chosen(rows: KeyRows, channels: Sequence[str] | None, most: int) -> list[int]:
    names = list(rows.channels)
    if channels is not None:
        unknown = [name for name in channels if name not in names]
        if unknown or not channels:
            raise ValueError(
                f"There are no such channels. Expected some of: {', '.join(names[:12])}. "
                f"Received: {', '.join(map(repr, unknown)) or 'none'}."
            )
        return [names.index(name) for name in channels]
    if len(names) <= most:
        return list(range(len(names)))
    # Rows count by how improbable they are: shares of usual rows say nothing.
    weight = np.expm1(np.asarray(rows.severity, dtype=np.float64))
    blame = weight @ np.nan_to_num(np.asarray(rows.contribution, dtype=np.float64))
    return sorted(np.argsort(-blame, kind="stable")[:most].tolist())


def _draw(ax: Axes, rows: KeyRows, column: int, colours: Palette) -> None:
    """Draw one channel."""
    time = np.asarray(rows.time_us, dtype=np.float64)
    value, usual, lower, upper = (
        np.asarray(part, dtype=np.float64)[:, column]
        for part in (rows.value, rows.usual, rows.lower, rows.upper)
    )
    if not np.isnan(lower).all():
        x, low, high = decimate_band(time, lower, upper, COLUMNS)
        ax.fill_between(
            as_dates(x),
            low,
            high,
            color=colours.band,
            alpha=0.28,
            linewidth=0,
            label="usual band",
        )
    if not np.isnan(usual).all():
        x, y = decimate(time, usual, COLUMNS)
        ax.plot(as_dates(x), y, color=colours.usual, linewidth=0.9, dashes=(4, 2), label="usual")
    shade_episodes(ax, rows, colours, "episode")
    x, y = decimate(time, value, COLUMNS)
    # A single value between two gaps has no line to be seen by.
    alone = np.isfinite(y) & np.append(True, np.isnan(y[:-1])) & np.append(np.isnan(y[1:]), True)
    ax.plot(as_dates(x), y, color=colours.value, linewidth=1.1, label="value")
    if alone.any():
        ax.plot(as_dates(x[alone]), y[alone], ".", color=colours.value, markersize=3)
    ax.margins(x=0)
