"""Figures of a training by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ember_core.training import History

from ._palette import palette
from ._picture import headline, legend, make_panels, plain

_VALIDATION = "validation_"
_LARGE_RANGE = 30.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def training(history: History, *, title: str = "", dark: bool = False) -> Figure:
    """Draw the figures of a training over its epochs; a figure and its validation share a panel.

    Args:
        history: Result of `fit`, `fit_rbm` or `fit_detector`.
        title: Headline.
        dark: Draw light on dark.

    Returns:
        A figure with an axes for each kind of figure. An axis is logarithmic where all values are
        above 0 and the largest is more than 30 times the smallest.

    Raises:
        ValueError: If no epoch was done.
    """
    groups: dict[str, list[str]] = {}
    for name, values in history.figures.items():
        if values:
            groups.setdefault(name.removeprefix(_VALIDATION), []).append(name)
    if not groups:
        raise ValueError(
            "The training has no figures. Expected the history of one epoch or more. Received: "
            f"{history.epochs} epochs."
        )
    colours = palette(dark)
    figure, panels = make_panels([1.9] * len(groups), colours, width=7.0)
    for panel, (group, names) in zip(panels, groups.items(), strict=True):
        finite = np.concatenate([history[name] for name in names]).astype(np.float64)
        finite = finite[np.isfinite(finite)]
        for number, name in enumerate(names):
            validated = name != group
            colour = colours.curves[1 if validated else 0]
            look = {"dashes": (5, 2)} if validated else {}
            panel.plot(
                np.arange(1, len(history[name]) + 1),
                history[name],
                color=colour,
                marker=".",
                markersize=3,
                linewidth=1.3,
                label=plain("validation" if validated else "training"),
                zorder=3 - number,
                **look,  # type: ignore[arg-type]
            )
        if finite.size and finite.min() > 0 and finite.max() > _LARGE_RANGE * finite.min():
            panel.set_yscale("log")
        panel.set_ylabel(plain(group.replace("_", " ")))
        if len(names) > 1:
            legend(panel, colours)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    headline(panels[0], title, colours)
    return figure
