"""Scored rows of a key as the pictures take them, and the episodes in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from ._palette import Palette
from ._picture import as_dates


class KeyRows(Protocol):
    """Scored rows of one key: `n` rows in order of time, `C` channels.

    `ember_core.pipeline.ScoredSeries` has these columns, and so has a message of the scores topic
    with rows of one key.
    """

    @property
    def channels(self) -> Sequence[str]:
        """Names of the channels, `C`."""

    @property
    def time_us(self) -> Any:
        """Event times in microseconds, `(n,)`, rising."""

    @property
    def score(self) -> Any:
        """Free energy, `(n,)`."""

    @property
    def severity(self) -> Any:
        """Severity by which episodes are measured, `(n,)`."""

    @property
    def evidence(self) -> Any:
        """Evidence of the motor neuron, `(n,)`."""

    @property
    def threshold(self) -> Any:
        """Evidence from which it fires, `(n,)`."""

    @property
    def firing(self) -> Any:
        """True in episodes, `(n,)`."""

    @property
    def trigger(self) -> Any:
        """Triggers, `(n,)`: 1 fires, -1 resolves, 0 neither."""

    @property
    def value(self) -> Any:
        """Values in the channels' own units, `(n, C)`; NaN where missing."""

    @property
    def usual(self) -> Any:
        """Usual values, `(n, C)`; NaN where unknown."""

    @property
    def lower(self) -> Any:
        """Lower bound of the usual band, `(n, C)`; NaN where unknown."""

    @property
    def upper(self) -> Any:
        """Upper bound of the usual band, `(n, C)`; NaN where unknown."""

    @property
    def contribution(self) -> Any:
        """Share of each channel in the severity, `(n, C)`; NaN where not explained."""


def require_rows(rows: KeyRows) -> None:
    """Refuse rows that cannot be drawn over time.

    Args:
        rows: Scored rows of one key.

    Raises:
        ValueError: If there are none, or their times do not rise.
    """
    time_us = np.asarray(rows.time_us)
    if not time_us.size:
        raise ValueError(
            "There is nothing to draw. Expected scored rows. Received: none. A key never seen is "
            "scored after its warm-up."
        )
    if (np.diff(time_us) <= 0).any():
        raise ValueError(
            "A picture is of one key. Expected times that rise. Received: times that fall or "
            "repeat. Draw the rows of one key, in order of time."
        )


def episodes(rows: KeyRows) -> list[tuple[int, int]]:
    """Return first and last row of each episode, inclusive.

    Args:
        rows: Scored rows of one key.
    """
    firing = np.asarray(rows.firing, dtype=bool)
    begins = np.asarray(rows.trigger) > 0
    # A row that fires may follow the one that resolves: two episodes, no row between.
    starts = np.flatnonzero(firing & (begins | ~np.append(False, firing[:-1])))
    ends = np.flatnonzero(firing & (np.append(begins[1:], False) | ~np.append(firing[1:], False)))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def shade_episodes(ax: Axes, rows: KeyRows, colours: Palette, label: str = "") -> None:
    """Shade the episodes behind the curves.

    Args:
        ax: Axes with time as x.
        rows: Scored rows of one key.
        colours: Theme.
        label: Text of the legend, or empty.
    """
    times = as_dates(rows.time_us)
    for number, (first, last) in enumerate(episodes(rows)):
        ax.axvspan(
            times[first],
            times[last],
            color=colours.episode,
            alpha=0.16,
            linewidth=0.6,
            label=label if number == 0 else None,
            gid="episode",
            zorder=0.5,
        )
