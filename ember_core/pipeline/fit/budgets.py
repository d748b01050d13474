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
from ember_core.pipeline.page_rates import PageRates as PageRates
from ember_core.pipeline.stage import zero_state

Trace = tuple[Any, Any, Any]
"""Severities `(T, G)`, holding severities `(T, G)` and elapsed usual intervals `(T,)` of a key."""

LEVEL_STEP = 0.05
_LOWEST_LEVEL = 0.0  # once per key and day


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
