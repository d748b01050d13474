"""Tails and alarm thresholds of a fleet, by the scores of its training rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ember_core.pipeline.motor import Calibration, calibrate, leaky
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import Role, State, names_with
from ember_core.pipeline.tail import fit_tail

from .incidents import Flags, kept_parts, require_some
from .series import Rows, tiles

DAY = 86_400.0  # seconds
POOLED_EXCESSES = 20.0  # weight of the fleet's mean excess beside a key's own excesses
BEAT = (200, 300.0)
"""Rows and seconds that a period is shorter than which is a beat, such as that of a garbage
collector: no pace at which the usual moves."""


@dataclass(frozen=True)
class Pace:
    """Pace at which the usual moves, in rows.

    Attributes:
        periods_seconds: Periods of the data.
        interval_seconds: Usual time between rows.
    """

    periods_seconds: tuple[float, ...]
    interval_seconds: float

    @property
    def half_life_rows(self) -> int:
        """Half-life of the tail, of drift and of the joint evidence: seven periods."""
        return self._span(7.0, 10_080, 7 * DAY)

    @property
    def freeze_rows(self) -> int:
        """Longest alarm that keeps the tail still: half a period."""
        return self._span(0.5, 720, DAY)

    @property
    def day_rows(self) -> float:
        """Rows of a day."""
        return DAY / max(self.interval_seconds, 1e-6)

    def _span(self, cycles: float, usual: int, most_seconds: float) -> int:
        """Return the rows of a span: some cycles of a period, or as many as usual.

        Cycles hold where times are mere record numbers, and rows where there is no period. Of
        several periods the longest one up to a day counts: a week is no pace to follow at. One that
        is short in rows and in time counts for nothing.
        """
        interval = max(self.interval_seconds, 1e-6)
        shortest = min(BEAT[0] * interval, BEAT[1])
        periods = [period for period in self.periods_seconds if period >= shortest]
        daily = [period for period in periods if period <= DAY] or [min(periods, default=0.0)]
        rows = cycles * max(daily) / interval if periods else usual
        return max(1, int(min(rows, most_seconds / interval)))


def fit_tails(state: State, owner: Any, logs: Any) -> None:
    """Fit every key's tail; its mean excess leans on the fleet's where it has few rows.

    Args:
        state: First states of the keys, written to.
        owner: Key of each row, `(R,)`.
        logs: Log score of each row, `(R,)`.
    """
    keys = len(state["known"])
    for k in range(keys):
        key_logs = logs[owner == k]
        for name, value in fit_tail(key_logs if key_logs.size else logs).items():
            state[name][k] = value
    # A key's few excesses come in a handful of episodes: large ones of its own would mask
    # themselves, so the fleet's mean counts as some excesses beside them.
    excesses = 0.02 * np.bincount(owner, minlength=keys)
    common = float(np.mean(state["tail_excess"]))
    pooled = excesses * state["tail_excess"] + POOLED_EXCESSES * common
    state["tail_excess"][...] = pooled / (excesses + POOLED_EXCESSES)


def severity_traces(pipeline: Pipeline, key_state: State, rows: Rows) -> dict[int, Any]:
    """Return the severities of consecutive rows, `(T,)` by key, by the tails of the keys.

    Args:
        pipeline: The pipeline, its tail fitted.
        key_state: First states of the keys.
        rows: Consecutive rows of some keys.
    """
    logs = _log_scores(pipeline, rows, key_state)
    learned = names_with(Role.LEARNED, pipeline.tail.state_fields())
    traces = {}
    for k in np.unique(rows.owner).tolist():
        tail = {name: key_state[name][k : k + 1] for name in learned}
        traces[k] = pipeline.tail.severity(tail, logs[rows.owner == k])
    return traces


@dataclass(frozen=True)
class EvidenceTrace:
    """Evidence of a key's consecutive rows.

    Attributes:
        severity: Severities, `(T,)`.
        evidence: Their leaky integral, `(T,)`.
        marked: Rows that do not count, `(T,)`.
    """

    severity: Any
    evidence: Any
    marked: Flags

    @classmethod
    def of(cls, severity: Any, time_constant_rows: float, marked: Flags) -> EvidenceTrace:
        """Integrate severities as the motor neuron does."""
        return cls(severity, leaky(severity, time_constant_rows), marked)


def calibrate_evidence(traces: Iterable[EvidenceTrace], interval: float) -> Calibration:
    """Fit height and rate of evidence on consecutive rows, as the stream has them.

    Args:
        traces: Evidence of some keys.
        interval: Usual interval between rows, in seconds.
    """
    parts = [part for trace in traces for part in kept_parts(trace.evidence, trace.marked)]
    require_some(parts)
    return calibrate(parts, interval)


def _log_scores(pipeline: Pipeline, rows: Rows, state: State) -> Any:
    """Return the log scores of rows under a state's feature scales."""
    visible = rows.visible(pipeline, state)
    return np.concatenate(
        [pipeline.tail.log_score(pipeline.score(part)) for part in tiles(visible)]
    )
