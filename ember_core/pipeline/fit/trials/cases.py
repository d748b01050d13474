"""Cases of a trial: faults of every kind and size, put into rows after some moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ember_core.pipeline.fit.series import Series

from .kinds import KINDS, SIZES, Floats, Habits, Place, sign_of

KEYS: Final = 8
"""Keys that faults are put into."""
PLACES: Final = 48
"""Moments of all of them together."""
FAULT_SECONDS, FAULT_ROWS = 7_200.0, (24, 120)
"""Time for which a fault lasts, and the rows of it, least and most."""


@dataclass(frozen=True)
class Moment:
    """Moment of a key at which faults begin.

    Attributes:
        series: Rows of the key.
        row: First row of the faults.
    """

    series: Series
    row: int


class Case(NamedTuple):
    """A fault in a course of rows that goes on from a moment of a key.

    Attributes:
        kind: Name of the kind; empty for the course as it was.
        size: Size in usual ranges; 0 where the kind has none.
        place: Number of the key and moment.
        channel: Name of the channel.
        values: Rows of all channels with the fault, `(H, C)`.
    """

    kind: str
    size: float
    place: int
    channel: str
    values: Floats


def fault_rows(interval: float) -> int:
    """Return the rows that a fault lasts, by the usual interval in seconds."""
    return int(np.clip(round(FAULT_SECONDS / max(interval, 1e-6)), *FAULT_ROWS))


def cases_of(
    moments: Sequence[Moment],
    habits: Mapping[bytes, Sequence[Habits]],
    channels: Sequence[str],
    rows: int,
    rng: np.random.Generator,
    usable: Sequence[str] | None = None,
) -> list[Case]:
    """Make the cases of all moments: every kind in every size, and the course as it was.

    Args:
        moments: Moments, each with as many rows after it as a fault lasts.
        habits: Habits of every channel, by key.
        channels: Names of the channels.
        rows: Rows that a fault lasts.
        rng: Random generator of channels, directions and noise.
        usable: Names of channels that faults are put into; None for all.
    """
    out = []
    for number, (series, row) in enumerate((m.series, m.row) for m in moments):
        key_habits = habits[series.key]
        course = series.values[row : row + rows]
        out.append(Case("", 0.0, number, "", course))
        # One draw of channels for all kinds of a moment, so that few channels are looked at twice.
        order = [int(c) for c in rng.permutation(len(channels))]
        order = [c for c in order if usable is None or channels[c] in usable]
        other_row = int(rng.integers(0, max(len(series.values) - rows, 1)))
        noise, sign = rng.standard_normal(rows), float(rng.choice([-1.0, 1.0]))
        for name, kind in KINDS.items():
            channel = next((c for c in order if kind.suits(key_habits[c])), None)
            if channel is None or (kind.needs_others and len(channels) < 2):
                continue
            length = min(kind.rows or rows, rows)
            column = course[:length, channel]
            earlier_values = series.values[:row, channel]
            present_values = earlier_values[np.isfinite(earlier_values)]
            other_values = series.values[other_row : other_row + length, channel]
            for size in SIZES if kind.is_sized else (0.0,):
                amount = size * key_habits[channel].size
                fault_place = Place(
                    column,
                    float(present_values[-1]) if len(present_values) else float("nan"),
                    other_values,
                    key_habits[channel],
                    sign_of(sign, key_habits[channel], column, amount),
                    noise[:length],
                )
                values = course.copy()
                faulty = kind.change(fault_place, amount)
                # A missing value stays missing.
                values[:length, channel] = np.where(np.isfinite(column), faulty, np.nan)
                out.append(Case(name, size, number, channels[channel], values))
    return out
