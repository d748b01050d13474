"""Endless simulation of the demo's fleet in real time, to try the service and its dashboards."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.tools.replay import Outbound

from .faults import Fault, Injector, Kind, plan_faults
from .fleet import CHANNELS, START_US, Fleet
from .scenario import DIGITS

PERIOD_ROWS = 600  # faults are drawn for this many rows at a time
LEAST_KEYS = 2 * len(Kind)
_LEARN_ROWS = 500  # rows from which a channel's normal deviation is computed


class Simulation:
    """Fleet whose newest row is of the current time.

    Args:
        seed: Seed of the machines, their behaviour, and the faults.
        keys: Number of machines.
        interval_seconds: Time between two rows of a machine.
        now_us: Current time in microseconds since the epoch; rows lie on whole intervals.
    """

    def __init__(self, seed: int, keys: int, interval_seconds: float, now_us: int) -> None:
        self._seed = seed
        self.fleet = Fleet(seed, keys, interval_seconds)
        self._now_row = (now_us - START_US) // self.fleet.interval_us

    def history(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the healthy rows before now: times (rows,) and values (rows, K, C)."""
        self.fleet.row = self._now_row - rows
        time_us, values = self.fleet.history(rows)
        return time_us, np.round(values, DIGITS)

    def write_history(self, path: Path, rows: int) -> int:
        """Write the history as CSV with the columns `ts` (milliseconds), `key` and the channels.

        Returns:
            Number of lines.
        """
        times, values = self.history(rows)
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(("ts", "key", *CHANNELS))
            for time_us, row in zip(times.tolist(), values.tolist(), strict=True):
                for name, channels in zip(self.fleet.names, row, strict=True):
                    out.writerow((time_us // 1000, name, *channels))
        return len(times) * len(self.fleet.names)

    def records(
        self, *, healthy: bool = False, on_fault: Callable[[Fault], None] = lambda _fault: None
    ) -> Iterator[Outbound]:
        """Iterate over records from now on, row by row and without end.

        Args:
            healthy: Send no faults.
            on_fault: Callback with each fault when it starts.
        """
        _, healthy_rows = self.history(_LEARN_ROWS)
        deviation = healthy_rows.std(axis=0)
        encode = msgspec.json.Encoder().encode
        names = [name.encode() for name in self.fleet.names]
        cycle = 0
        while True:
            first = self.fleet.row
            faults = [] if healthy else self._faults(cycle, first)
            injector = Injector(self.fleet, faults, deviation)
            for row in range(first, first + PERIOD_ROWS):
                for fault in faults:
                    if fault.onset == row:
                        on_fault(fault)
                times, plain = self.fleet.history(1)
                values, sent = injector.apply(row, plain)
                time_us = int(times[0])
                for name, channels, is_sent in zip(
                    names, np.round(values[0], DIGITS).tolist(), sent[0].tolist(), strict=True
                ):
                    if is_sent:
                        body = {
                            "ts": time_us // 1000,
                            "values": dict(zip(CHANNELS, channels, strict=True)),
                        }
                        yield Outbound(name, time_us, encode(body))
            cycle += 1

    def _faults(self, cycle: int, first_row: int) -> list[Fault]:
        seed = self._seed * 1_000_003 + cycle
        return plan_faults(seed, self.fleet.names, first_row, PERIOD_ROWS, per_kind=1)
