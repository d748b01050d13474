"""Placement of faults in keys and time, and the records of a key that arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Fault, Floats

from .kinds import HIDDEN, KINDS, Kind
from .normal import Normal
from .signals import Rng
from .site import HOUR, Site

APART_HOURS: Final = 8.0  # between two faults of a key, unless one is hidden in the other
HIDDEN_AFTER: Final = 0.4  # share of the first fault that has passed when the second begins
VISIBLE: Final = 0.5  # usual departures that a fault moves its channel by at least, in the mean
_TRIES: Final = 40


@dataclass(eq=False)
class Plot:
    """Keys that get faults.

    Attributes:
        clock: The grid.
        names: Names of the channels.
        keys: Names of the keys.
        normals: Their ordinary telemetry, changed in place.
        begin: First row of the scored part.
        duration_factor: Factor of how long faults last and lie apart.
    """

    clock: Clock
    names: tuple[str, ...]
    keys: Sequence[str]
    normals: Sequence[Normal]
    begin: int
    duration_factor: float = 1.0

    def __post_init__(self) -> None:
        self.faults: list[list[Fault]] = [[] for _ in self.keys]

    def put(self, rng: Rng, count: int, hidden: int) -> None:
        """Put in so many faults, so many of them hidden, evenly over the keys and the kinds."""
        deck: list[str] = []
        pairs = [True] * hidden + [False] * (count - 2 * hidden)
        order = rng.permutation(np.arange(len(pairs)) % len(self.keys))
        for key_index, is_pair in zip(order.tolist(), pairs, strict=True):
            if not deck:
                deck = [str(name) for name in rng.permutation(self._kinds())]
            for _ in range(_TRIES):
                kind = self._drawn(rng, deck, is_pair)
                first = self._put_one(rng, key_index, kind)
                if first is None:
                    key_index = (key_index + 1) % len(self.keys)
                    continue
                if is_pair and not self._put_inside(rng, key_index, first):
                    self._put_one(rng, key_index, "spike")
                break

    def _kinds(self) -> list[str]:
        """Kinds that the channels allow."""
        out = [n for n, kind in KINDS.items() if set(kind.needs) <= set(self.names)]
        if not {"eth0_rx_bytes", "energy_wh", "rx_mbit"} & set(self.names):
            out.remove("counter_stops")
        if len(self.names) == 1:  # its silence is that of the key
            out.remove("channel_silent")
        return out

    def _drawn(self, rng: Rng, deck: list[str], is_pair: bool) -> str:
        for i, name in enumerate(deck):
            if KINDS[name].long or not is_pair:
                return deck.pop(i)
        return str(rng.choice([name for name in self._kinds() if KINDS[name].long]))

    def _put_one(self, rng: Rng, key_index: int, name: str) -> Fault | None:
        """Put a fault at a free time of a key; None where there is none for it."""
        for _ in range(_TRIES):
            rows = self._rows(rng, key_index, KINDS[name])
            if rows is not None and self._is_free(key_index, *rows):
                fault = self._changed(rng, key_index, name, rows)
                if fault is not None:
                    return fault
        return None

    def _put_inside(self, rng: Rng, key_index: int, outer: Fault) -> bool:
        """Put a second fault of other channels into a long first one."""
        span = outer.last - outer.first
        for _ in range(_TRIES):
            name = str(rng.choice([n for n in self._kinds() if n in HIDDEN]))
            length = self._length(rng, KINDS[name])
            first = outer.first + int(span * rng.uniform(HIDDEN_AFTER, 0.8))
            if first + length >= outer.last:
                continue
            fault = self._changed(rng, key_index, name, (first, first + length - 1), outer)
            if fault is not None:
                return True
        return False

    def _length(self, rng: Rng, kind: Kind) -> int:
        return self.clock.rows(self.duration_factor * float(rng.uniform(*kind.seconds)))

    def _rows(self, rng: Rng, key_index: int, kind: Kind) -> tuple[int, int] | None:
        normal, n = self.normals[key_index], len(self.clock.times_us)
        if kind.at_job:
            runs = [run for run in normal.job_rows if run[0] > self.begin]
            return runs[int(rng.integers(len(runs)))] if runs else None
        length = self._length(rng, kind)
        if kind is KINDS["night_job_at_wrong_time"]:
            if not normal.job_rows:
                return None
            length = normal.job_rows[0][1] - normal.job_rows[0][0] + 1
        room = self.clock.rows(self.duration_factor * APART_HOURS * HOUR)
        latest = n - room // 2 - length
        if latest <= self.begin + room:
            return None
        first = int(rng.integers(self.begin + room, latest))
        return first, first + length - 1

    def _is_free(self, key_index: int, first: int, last: int) -> bool:
        room = self.clock.rows(self.duration_factor * APART_HOURS * HOUR)
        key_faults = self.faults[key_index]
        arrives = ~self.normals[key_index].missing_rows[first : last + 1]
        return bool(arrives.mean() > 0.8) and all(
            last + room < fault.first or fault.last + room < first for fault in key_faults
        )

    def _changed(
        self, rng: Rng, key_index: int, name: str, rows: tuple[int, int], outer: Fault | None = None
    ) -> Fault | None:
        """Change the values; None, and nothing changed, where hardly anything would be seen."""
        normal = self.normals[key_index]
        site = Site(normal, self.clock, self.names, *rows)
        span = slice(rows[0], rows[1] + 1)
        saved = normal.values[span].copy()
        channels = KINDS[name].change(site, rng)
        if outer is not None and set(channels) & set(outer.channels):
            normal.values[span] = saved
            return None
        main = self.names.index(channels[0])
        change = np.abs(normal.values[span, main] - saved[:, main])
        if change.mean() < VISIBLE * site.spread(channels[0]):  # NaN is never small
            normal.values[span] = saved
            return None
        fault = Fault(name, self.keys[key_index], *rows, channels, hidden=outer is not None)
        self.faults[key_index].append(fault)
        return fault


def arrived(
    normal: Normal, faults: Sequence[Fault], names: tuple[str, ...], counters: Sequence[str]
) -> tuple[NDArray[np.int64], Floats, tuple[Fault, ...]]:
    """Records of a key that arrive: rows of the grid, values, and faults in rows of the key.

    Args:
        normal: The key, its faults put in.
        faults: Faults in rows of the grid.
        names: Names of the channels.
        counters: Those that are sums since the last restart.
    """
    values = normal.values.copy()
    for name in counters:
        column = names.index(name)
        total = np.cumsum(np.nan_to_num(values[:, column]))
        for row in sorted(normal.restarts):
            total[row:] -= total[row]
        missing = np.isnan(values[:, column])
        values[:, column] = np.where(missing, np.nan, np.maximum(total, 0.0))
    is_kept = ~normal.missing_rows
    number = np.cumsum(is_kept)
    moved_faults = tuple(
        replace(
            fault,
            first=int(number[fault.first] - is_kept[fault.first]),
            last=int(number[fault.last]) - 1,
        )
        for fault in sorted(faults, key=lambda one: (one.first, one.last))
    )
    rows = np.flatnonzero(is_kept)
    return rows, values[rows], moved_faults
