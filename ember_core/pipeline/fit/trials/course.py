"""Rows that two models are tried on: the same times of the same keys for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.fleet import FleetModel

from .verdict import Contestant

MOST_ROWS: Final = 300_000
"""Rows that models are tried on, about: whole keys, drawn from all."""


@dataclass(frozen=True)
class Course:
    """Rows of a side of a trial.

    Attributes:
        model: The model.
        series: Rows of the keys, the longest first.
        begins: First row of each key that is judged.
    """

    model: FleetModel
    series: Sequence[Series]
    begins: Sequence[int]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.model.channels


def aligned(
    candidate: Contestant, in_service: Contestant | None, since_us: int, seed: int
) -> list[Course]:
    """Return the courses of all sides: keys that the candidate knows, with rows to judge.

    A row that one side lacks is left out of both. Empty where no key is left.

    Args:
        candidate: The candidate.
        in_service: The model in service, if there is one.
        since_us: First time that is judged.
        seed: Seed of the sample of keys.
    """
    sides = [candidate] if in_service is None else [candidate, in_service]
    by_key = [{s.key: s for s in side.series} for side in sides]
    known_keys = set(candidate.model.keys)
    keys = sorted(key for key in by_key[0] if key in known_keys and all(key in s for s in by_key))
    rows: list[list[Series]] = []
    total = 0
    for i in np.random.default_rng(seed).permutation(len(keys)).tolist():
        key_rows = _common_rows([side[keys[i]] for side in by_key])
        if not len(key_rows[0].time_us) or key_rows[0].time_us[-1] < since_us:
            continue
        if rows and total + len(key_rows[0].time_us) > MOST_ROWS:
            break
        rows.append(key_rows)
        total += len(key_rows[0].time_us)
    rows.sort(key=lambda key_rows: (-len(key_rows[0].time_us), key_rows[0].key))
    return [
        Course(
            side.model,
            [key_rows[i] for key_rows in rows],
            [int(np.searchsorted(key_rows[i].time_us, since_us)) for key_rows in rows],
        )
        for i, side in enumerate(sides)
        if rows
    ]


def _common_rows(sides: Sequence[Series]) -> list[Series]:
    times = sides[0].time_us
    for side in sides[1:]:
        times = np.intersect1d(times, side.time_us, assume_unique=True)
    return [_at(s, times) for s in sides]


def _at(series: Series, times: np.ndarray) -> Series:
    if len(times) == len(series.time_us):
        return series
    rows = np.searchsorted(series.time_us, times)
    return Series(series.key, times.view("datetime64[us]"), series.values[rows], series.channels)
