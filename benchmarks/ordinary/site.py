"""The place of a fault: a key, its rows, and the channels that it can show in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .normal import Normal
from .signals import Rng

HOUR: Final = 3600.0
MINUTE: Final = 60.0
DISCRETE: Final = frozenset(
    {"errors", "queue_length", "valve_open", "compressor_on", "door_open", "raid_ok"}
)


@dataclass(frozen=True, eq=False)
class Site:
    """Key and rows that a fault changes.

    Attributes:
        normal: The key; its `values` are changed in place.
        clock: The grid.
        names: Names of the channels.
        first: First row.
        last: Last row.
    """

    normal: Normal
    clock: Clock
    names: tuple[str, ...]
    first: int
    last: int

    @property
    def x(self) -> Floats:
        """Share of the fault that has passed, `(rows,)`."""
        return np.linspace(0.0, 1.0, self.last - self.first + 1, dtype=np.float64)

    @property
    def hours(self) -> Floats:
        """Hours since it began, `(rows,)`."""
        rows = np.arange(self.last - self.first + 1, dtype=np.float64)
        return rows * self.clock.step / HOUR

    def part(self, name: str) -> Floats:
        """View of a channel's values while it lasts, `(rows,)`."""
        return self.normal.values[self.first : self.last + 1, self.names.index(name)]

    def spread(self, name: str) -> float:
        """Usual size of the channel's departures from its mean over an hour."""
        values = self.normal.values[:, self.names.index(name)]
        rows = max(3, self.clock.rows(HOUR))
        cut = values[: len(values) // rows * rows].reshape(-1, rows)
        return float(np.median(cut.std(axis=1))) or float(np.std(values)) or 1.0


def job_channels(site: Site, first: int, last: int) -> tuple[str, ...]:
    size = site.normal.job[first : last + 1].mean(axis=0)
    part = size / np.array([site.spread(name) for name in site.names])
    order = np.argsort(-part, kind="stable")
    return tuple(site.names[i] for i in order.tolist() if part[i] > 0.3) or (
        site.names[int(order[0])],
    )


def lively(site: Site, rng: Rng, without: tuple[str, ...] = ()) -> str:
    """Draw a channel that differs from row to row, so that its silence or noise means something."""
    names = []
    for i, name in enumerate(site.names):
        head = site.normal.values[: site.clock.rows(86_400 * 3), i]
        if name in DISCRETE or name in without:
            continue
        if np.mean(np.diff(head) == 0.0) < 0.3:
            names.append(name)
    return str(names[int(rng.integers(len(names)))])


def steady(site: Site, rng: Rng, without: tuple[str, ...] = ()) -> str:
    """Draw a channel with a level that is rarely near 0, so that a factor means something."""
    names = []
    for i, name in enumerate(site.names):
        low, high = np.nanquantile(site.normal.values[:, i], [0.1, 0.9])
        if name not in DISCRETE and name not in without and low > 0.05 * high > 0.0:
            names.append(name)
    return str(names[int(rng.integers(len(names)))])
