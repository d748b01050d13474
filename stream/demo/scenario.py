"""Scenario of the demo: a fleet's history, its live rows with faults, and the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.errors import UserError

from .baseline import LargestZ
from .evaluation import GRACE_ROWS, Alarm, Evaluation, evaluate
from .faults import Fault, Injector, Kind, draw_fault, plan_faults
from .fleet import Fleet

DIGITS = 4  # decimals of the values sent; the model is trained on the same rounded values


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the whole fleet: times (n,), values (n, K, C), mask of the records sent (n, K)."""

    time_us: NDArray[np.int64]
    values: NDArray[np.float64]
    sent: NDArray[np.bool_]


class Scenario:
    """Fleet, faults and baseline of one seed.

    Args:
        seed: Seed of fleet and faults.
        keys: Number of machines.
        history_rows: Rows of each machine before the live part.
        live_rows: Rows of each machine in the live part.
        faults_per_kind: Number of faults of every kind.
        interval_seconds: Event time between two rows.
        goes_on: The stream goes on after the live rows, without more faults of the seed.
    """

    def __init__(
        self,
        seed: int,
        *,
        keys: int = 240,
        history_rows: int = 1500,
        live_rows: int = 700,
        faults_per_kind: int = 3,
        interval_seconds: float = 10.0,
        goes_on: bool = False,
    ) -> None:
        self.goes_on = goes_on
        self.fleet = Fleet(seed, keys, interval_seconds)
        self.first_row, self.live_rows = history_rows, live_rows
        self.faults: list[Fault] = plan_faults(
            seed, self.fleet.names, history_rows, live_rows, faults_per_kind
        )
        times, values = self.fleet.history(history_rows)
        self.history_us, self.history = times, np.round(values, DIGITS)
        mean, deviation = self.history.mean(axis=0), self.history.std(axis=0)
        self._injector = Injector(self.fleet, self.faults, deviation)
        self._baseline = LargestZ(self.fleet.names, mean, deviation)

    @property
    def played(self) -> int:
        """Number of live rows so far."""
        return self.fleet.row - self.first_row

    @property
    def over(self) -> bool:
        """True after the last live row; never where the stream goes on."""
        return self.played >= self.live_rows and not self.goes_on

    @property
    def injecting(self) -> bool:
        """True after the first faulty row."""
        return self.fleet.row > self.faults[0].onset

    def play(self, rows: int) -> Rows:
        """Return the next live rows; fewer at the end."""
        first = self.fleet.row
        most = rows if self.goes_on else self.live_rows - self.played
        times, healthy = self.fleet.history(min(rows, most))
        values, sent = self._injector.apply(first, healthy)
        values = np.round(values, DIGITS)
        if self.played <= self.live_rows:  # it keeps what it is fed
            self._baseline.feed(first, values, sent)
        return Rows(times, values, sent)

    def inject(self, kind: Kind, name: str = "") -> Fault:
        """Inject a fault from the next row on.

        Args:
            kind: Kind of the fault.
            name: Machine; empty: one without a fault.

        Raises:
            UserError: If there is no such machine, or none without a fault.
        """
        faulty = {fault.name for fault in self.faults if fault.end + GRACE_ROWS > self.fleet.row}
        healthy = [machine for machine in self.fleet.names if machine not in faulty]
        if name and name not in healthy:
            state = "has a fault already" if name in faulty else "is no machine of the demo"
            raise UserError(f"Machine {name!r} {state}. Choose another one.", exit_code=2)
        if not healthy:
            raise UserError("All machines have a fault. Wait for the end of one.", exit_code=2)
        rng = np.random.default_rng([self.fleet.seed, 3, self.fleet.row, len(self.faults)])
        machine_name = name or str(rng.choice(healthy))
        key = self.fleet.names.index(machine_name)
        fault = draw_fault(rng, kind, key, machine_name, self.fleet.row)
        self.faults.append(fault)
        self._injector.add(fault)
        return fault

    def completed_faults(self, row: int) -> list[Fault]:
        """Return the faults whose window ends before `row`; the others cannot be evaluated yet."""
        return [f for f in self.faults if f.end - 1 + GRACE_ROWS < row]

    def evaluate(self, alarms: list[Alarm]) -> Evaluation:
        """Evaluate the worker's alarms; those within an unfinished fault's window are not false."""
        return evaluate(self.faults, alarms, self.fleet.interval_us, self.fleet.names)

    def evaluate_baseline(self, false_triggers: int) -> tuple[Evaluation, float]:
        """Evaluate the baseline on the same rows, with as many false triggers."""
        return self._baseline.evaluate(self.faults, self.fleet.interval_us, false_triggers)
