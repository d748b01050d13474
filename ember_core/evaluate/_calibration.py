"""Calibration of probabilities: as many records below a level as the level says."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._points import ratio
from ._ranges import as_label, as_numbers

LEVELS: Final = (0.1, 0.01, 0.001, 0.0001)


class Exceedance(NamedTuple):
    """Frequency of tail probabilities at or below a level."""

    level: float
    """The level: the share of normal records expected there."""
    expected: float
    """Records expected there, `level * records`."""
    realised: int
    """Records that were."""
    records: int
    """Records looked at."""
    times: float
    """`realised / expected`: 1 for a probability that keeps its word; NaN without records."""


def exceedances(
    probability: ArrayLike,
    label: ArrayLike | None = None,
    levels: tuple[float, ...] = LEVELS,
) -> list[Exceedance]:
    """Expected and realised exceedances of tail probabilities, over records without a fault.

    Args:
        probability: Tail probability per record, in [0, 1], shape `(T,)`.
        label: 0/1 per record, shape `(T,)`; labelled records are left out, since they are meant to
            be improbable. None: all records are taken for normal.
        levels: Levels to look at, in (0, 1].

    Returns:
        One entry per level, in their order.

    Raises:
        ValueError: If shapes differ, or a probability or level lies outside its bounds.

    Examples:
        >>> exceedances([0.5, 0.05, 0.9, 0.001], [0, 0, 0, 1], levels=(0.1,))[0].realised
        1
    """
    p = as_numbers(probability, "A probability").astype(np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0.0) & (p <= 1.0))):
        raise ValueError(
            "A probability lies between 0 and 1. Expected shape (T,) and values in [0, 1]. "
            f"Received: shape={p.shape}, from {p.min(initial=np.inf)} to {p.max(initial=-np.inf)}."
        )
    if not all(0.0 < level <= 1.0 for level in levels):
        raise ValueError(f"A level is a share. Expected 0 < level <= 1. Received: {levels=}.")
    if label is not None:
        truth = as_label(label)
        if truth.size != p.size:
            raise ValueError(
                "Probabilities and labels must be of the same records. "
                f"Expected shape ({p.size},). Received: shape={truth.shape}."
            )
        p = p[~truth]
    out = []
    for level in levels:
        realised, expected = int((p <= level).sum()), level * p.size
        out.append(Exceedance(level, expected, realised, p.size, ratio(realised, expected)))
    return out
