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

    Attributes:
        channels: Names of the channels.
        time_us: Event times in microseconds, `(n,)`, rising.
        severity: Severity, `(n,)`.
        evidence: Evidence of the motor neuron, `(n,)`.
        threshold: Evidence from which it fires, `(n,)`.
        firing: True in episodes, `(n,)`.
        trigger: 1 fires, -1 resolves, 0 neither, `(n,)`.
        score: Free energy, `(n,)`.
        value: Values in the channels' own units, `(n, C)`; NaN where missing.
        usual: Usual values, `(n, C)`; NaN where unknown.
        lower: Lower bound of the usual band, `(n, C)`; NaN where unknown.
        upper: Upper bound.
        contribution: Share of each channel in the severity, `(n, C)`.
    """

    @property
    def channels(self) -> Sequence[str]: ...
    @property
    def time_us(self) -> Any: ...
    @property
    def score(self) -> Any: ...
    @property
    def severity(self) -> Any: ...
    @property
    def evidence(self) -> Any: ...
    @property
    def threshold(self) -> Any: ...
    @property
    def firing(self) -> Any: ...
    @property
    def trigger(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    @property
    def usual(self) -> Any: ...
    @property
    def lower(self) -> Any: ...
    @property
    def upper(self) -> Any: ...
    @property
    def contribution(self) -> Any: ...


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
