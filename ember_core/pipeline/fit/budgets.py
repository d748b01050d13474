"""On-threshold for a budget of pages, by running the motor neuron over the history's severities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import zero_state

Numbers = NDArray[np.floating[Any]]
Trace = tuple[Any, Any, Any]
"""Severities `(T, G)`, holding severities `(T, G)` and elapsed usual intervals `(T,)` of a key."""

LEVEL_STEP = 0.05
COUNTED_PAGES = 5  # fewer pages of all the history are no rate: extrapolated beyond
SLOPES = (0.3, 2.0)  # severity in which pages become 10 times rarer, least and most
USUAL_SLOPE = 1.0
_LOWEST_LEVEL = 0.0  # once per key and day


@dataclass(frozen=True)
class PageRates:
    """Pages of the history by on-threshold, from severity 0 on: once per key and day.

    Attributes:
        levels: On-thresholds, rising, `(L,)`.
        pages_per_key_day: Pages per key and day at each, never rising, `(L,)`.
        days: Days of all keys together.
        reachable: Largest severity that evidence can have.
    """

    levels: Numbers
    pages_per_key_day: Numbers
    days: float
    reachable: float = inf

    def level(self, budget_per_key_day: float) -> float:
        """Return the lowest on-threshold with at most as many pages per key and day.

        The last 5 pages of the history are no rate. Beyond them the level follows from the slope
        between as many pages and four times as many.
        """
        affordable = np.flatnonzero(self.pages_per_key_day <= budget_per_key_day)
        if affordable.size and budget_per_key_day >= COUNTED_PAGES / self.days:
            return float(self.levels[affordable[0]])
        last, slope = self._tail()
        pages = max(float(self.pages_per_key_day[last]), 1.0 / self.days)
        return float(self.levels[last] + slope * np.log10(pages / budget_per_key_day))

    def is_reachable(self, budget_per_key_day: float) -> bool:
        """Test that evidence can reach the on-threshold of a budget, so that pages are possible."""
        return self.level(budget_per_key_day) <= self.reachable

    def _tail(self) -> tuple[int, float]:
        """Return the last level with enough pages for a rate, and the slope that leads to it."""
        rates = self.pages_per_key_day
        counted = np.flatnonzero(rates >= COUNTED_PAGES / self.days)
        last = int(counted[-1]) if counted.size else 0
        frequent = np.flatnonzero(rates >= min(4.0 * rates[last], rates[0]))
        ratio = float(rates[frequent[-1]] / rates[last]) if rates[last] > 0 else 1.0
        if ratio <= 1.2:
            return last, USUAL_SLOPE
        slope = float(self.levels[last] - self.levels[frequent[-1]]) / float(np.log10(ratio))
        return last, min(max(slope, SLOPES[0]), SLOPES[1])

    def to_json(self) -> dict[str, Any]:
        """Return the values that `from_json` makes an equal object of."""
        return {
            "levels": [round(float(level), 4) for level in self.levels],
            "pages_per_key_day": [float(rate) for rate in self.pages_per_key_day],
            "days": self.days,
            "reachable": None if self.reachable == inf else self.reachable,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PageRates:
        """Return the object that `to_json` gave the values of."""
        return cls(
            np.array(values["levels"], dtype=np.float64),
            np.array(values["pages_per_key_day"], dtype=np.float64),
            float(values["days"]),
            inf if values["reachable"] is None else float(values["reachable"]),
        )


def pages_by_level(
    make_motor: Callable[[float], GroupMotor],
    traces: Sequence[Trace],
    days: float,
    reachable: float = inf,
) -> PageRates:
    """Count the pages of the history at a grid of on-thresholds.

    Every rule of the motor neuron compares a severity with its on-threshold. So one motor neuron
    with threshold 0 runs over the severities less each level, all levels and keys in lockstep.

    Args:
        make_motor: Function of an on-threshold that makes a motor neuron.
        traces: Severities, holding severities and elapsed intervals of each key's rows in order.
        days: Days of all keys together.
        reachable: Largest severity that evidence can have.
    """
    with ops.default_backend("numpy"):
        motor = make_motor(0.0)
    keys = [_Key(motor, *trace) for trace in traces if len(trace[0])]
    largest = max((key.largest for key in keys), default=_LOWEST_LEVEL)
    steps = max(1, int(np.ceil((largest - _LOWEST_LEVEL) / LEVEL_STEP)) + 1)
    levels = _LOWEST_LEVEL + LEVEL_STEP * np.arange(steps + 1)
    runs = [key.run(float(level)) for level in levels for key in keys]
    pages = _count_pages(motor, runs).reshape(len(levels), len(keys)).sum(axis=1)
    # A lower level may merge two episodes of a higher one.
    pages = np.maximum.accumulate(pages[::-1])[::-1]
    return PageRates(levels, pages / days, float(days), float(reachable))


@dataclass(frozen=True)
class _Run:
    """Rows of a key at a level, without the rows that change nothing.

    Attributes:
        severity: Severities of all the key's rows, `(T, G)`.
        hold: Holding severities of all the key's rows, `(T, G)`.
        level: On-threshold.
        rows: Rows that are run, `(N,)`.
        elapsed: Usual intervals since the row before them that is run, `(N,)`, float32.
    """

    severity: Any
    hold: Any
    level: float
    rows: NDArray[np.int64]
    elapsed: Any


class _Key:
    """Trace of a key, and the rows of it that matter at a level.

    Args:
        motor: The motor neuron.
        severity: Severities, `(T, G)`.
        hold: Holding severities, `(T, G)`.
        elapsed: Usual intervals since the row before, `(T,)`.
    """

    def __init__(self, motor: GroupMotor, severity: Any, hold: Any, elapsed: Any) -> None:
        self._severity, self._hold = severity, hold
        self._elapsed = np.asarray(elapsed, dtype=np.float32)
        self.largest = float(np.max(severity))
        highest = np.maximum(np.max(severity, axis=1), np.max(hold, axis=1))
        self._raised_below = highest + motor.off_below
        self._times = np.cumsum(self._elapsed, dtype=np.float64)
        # Rows after a raised one until all is at rest: the episode has ended, the rest after it
        # is over, and accepted channels have returned.
        counted = np.cumsum(np.minimum(self._elapsed, motor.longest_step), dtype=np.float64)
        returned = np.searchsorted(counted, counted + motor.return_intervals + 1.0)
        settled = np.arange(len(counted)) + motor.calm_rows + motor.refractory_rows + 1
        self._at_rest = np.minimum(np.maximum(returned, settled) + 1, len(counted))

    def run(self, level: float) -> _Run:
        """Choose the rows with a raised group, and those after them until all is at rest."""
        active = np.flatnonzero(self._raised_below >= level)
        if not active.size:
            return _Run(self._severity, self._hold, level, active, self._elapsed[:0])
        ends = self._at_rest[active]
        begins = np.r_[True, active[1:] > ends[:-1]]
        stops = ends[np.r_[np.flatnonzero(begins)[1:] - 1, -1]]
        # The row before an active one carries the time of those left out: habituation decays.
        starts = np.maximum(active[begins] - 1, 0)
        counts = stops - starts
        rows = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        follows = np.r_[True, np.diff(rows) == 1]
        elapsed = np.diff(self._times[rows], prepend=0.0).astype(np.float32)
        elapsed = np.where(follows, self._elapsed[rows], elapsed)
        return _Run(self._severity, self._hold, level, rows, elapsed)


_COLUMN_STEPS, _COLUMN_VALUES = 512, 4_000_000  # that are laid out at a time, at most


def _count_pages(motor: GroupMotor, runs: list[_Run]) -> NDArray[np.int64]:
    """Return the pages of every run, `(N,)`, the longer runs first so that steps are packed."""
    lengths = np.array([len(run.rows) for run in runs])
    order = np.argsort(-lengths, kind="stable")
    pages = np.zeros(len(runs), dtype=np.int64)
    state = zero_state(motor.state_fields(), len(runs))
    start = 0
    while running := [runs[i] for i in order[: int(np.count_nonzero(lengths > start))]]:
        severities, hold, elapsed, sizes = _columns(running, start)
        start += len(sizes)
        for step, n in enumerate(sizes):
            columns = Observation(
                PackedRows([n]),
                hold=hold[step, :n],
                elapsed=elapsed[step, :n],
                may_fire=np.ones(n, dtype=bool),
            )
            state = {name: value[:n] for name, value in state.items()}
            state, brings = motor.forward(state, severities[step, :n], columns)
            pages[order[:n]] += brings.fires | brings.updates
    return pages


def _columns(runs: list[_Run], start: int) -> tuple[Any, Any, Any, list[int]]:
    """Return severities and hold less the level `(S, N, G)`, elapsed `(S, N)`, and sizes `(S,)`."""
    groups = runs[0].severity.shape[1]
    chunk_steps = max(1, min(_COLUMN_STEPS, _COLUMN_VALUES // (len(runs) * groups)))
    steps = min(chunk_steps, len(runs[0].rows) - start)
    severities, hold = (np.empty((steps, len(runs), groups), np.float32) for _ in range(2))
    elapsed = np.empty((steps, len(runs)), np.float32)
    lengths = np.empty(len(runs), dtype=np.int64)
    for i, run in enumerate(runs):
        rows = run.rows[start : start + steps]
        lengths[i] = n = len(rows)
        severities[:n, i] = run.severity[rows] - np.float32(run.level)
        hold[:n, i] = run.hold[rows] - np.float32(run.level)
        elapsed[:n, i] = run.elapsed[start : start + steps]
    return severities, hold, elapsed, [int(np.count_nonzero(lengths > s)) for s in range(steps)]
