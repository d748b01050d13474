"""Episodes of the history itself: those that would have paged, and those worth leaving out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ember_core import ops
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.kernels.decide_groups import decide_groups_packed
from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State, zero_state

from .budgets import Trace
from .incidents import Incident
from .series import ConsecutiveRows, Rows, Series
from .thresholds import EvidenceTrace

SHOWN: Final = 10
"""Episodes that a report names: the worst ones."""
OUTSTANDING_SEVERITY: Final = 1.0
"""Severity of episodes that may be incidents: once in 10 days of a key."""
MOST_DROPPED: Final = 0.03
"""Share of the rows that a training leaves out by itself, at most: the frequent is no exception."""
DAY_US: Final = 86_400e6
ALL: Final = -1
"""Place of the lead where it is all channels together."""


class HistoryEpisode(NamedTuple):
    """Episode of a key's history.

    Attributes:
        key: Place of the key.
        start: First row, among the consecutive rows.
        last: Last row.
        peak: Row with the largest severity.
        severity: The severity there.
        lead: Channel that it began with; `ALL` for all of them together.
    """

    key: int
    start: int
    last: int
    peak: int
    severity: float
    lead: int


def group_episodes(
    motor: GroupMotor, key: int, rows: Any, trace: Trace
) -> Iterator[HistoryEpisode]:
    """Yield the episodes that the motor neuron draws in the history of a key.

    Args:
        motor: The motor neuron, with its threshold.
        key: Place of the key.
        rows: Places of its rows, `(T,)`.
        trace: Severities of its groups.
    """
    severity, hold, elapsed = trace
    columns = Observation(
        PackedRows([1] * len(rows)),
        hold=hold,
        elapsed=elapsed,
        may_fire=np.ones(len(rows), dtype=bool),
    )
    with ops.default_backend("numpy"):
        state = zero_state(motor.state_fields(), 1)
        brings = decide_groups_packed(motor, state, severity, columns).brings
    ends = np.append(np.flatnonzero(brings.resolves), len(rows))
    for start in np.flatnonzero(brings.fires).tolist():
        end = int(ends[np.searchsorted(ends, start)])
        # It is over once nothing goes on; the rows of calm after that are no part of it.
        going_on = np.flatnonzero(hold[start:end].max(axis=1) >= motor.off)
        last = start + int(going_on[-1]) if going_on.size else start
        largest = severity[start : last + 1].max(axis=1)
        peak = start + int(largest.argmax())
        lead = _channel(motor, brings.lead[start])
        yield _episode(key, rows, (start, last, peak), severity[peak].max(), lead)


def outstanding_episodes(
    motor: GroupMotor, key: int, rows: Any, trace: Trace
) -> Iterator[HistoryEpisode]:
    """Yield the stretches of a key's history in which a group is at the on-threshold.

    The motor neuron grows used to the like of a page. Here each of several like faults is one.
    Arguments as `group_episodes` has them.
    """
    severity = trace[0]
    largest = severity.max(axis=1)
    for start, end in _stretches(largest, np.maximum(largest, trace[1].max(axis=1)), motor):
        peak = start + int(largest[start:end].argmax())
        lead = _channel(motor, severity[peak].argmax())
        yield _episode(key, rows, (start, end - 1, peak), largest[peak], lead)


def evidence_episodes(
    motor: MotorNeuron, key: int, rows: Any, trace: EvidenceTrace
) -> Iterator[HistoryEpisode]:
    """Yield the episodes that the motor neuron of joint evidence draws in the history of a key.

    Args:
        motor: The motor neuron, with its thresholds.
        key: Place of the key.
        rows: Places of its rows, `(T,)`.
        trace: Its evidence.
    """
    evidence, severity = np.where(trace.marked, -np.inf, trace.evidence), trace.severity
    for start, end in _stretches(evidence, evidence, motor):
        peak = start + int(np.argmax(severity[start:end]))
        yield _episode(key, rows, (start, end - 1, peak), severity[peak], ALL)


def _channel(motor: GroupMotor, group: Any) -> int:
    """Return the channel of a group; `ALL` for all of them together."""
    return int(group) if group < motor.n_groups - 1 else ALL


def _episode(
    key: int, rows: Any, ordinals: tuple[int, int, int], severity: Any, lead: int
) -> HistoryEpisode:
    """Return an episode of a key by its first, last and largest row among the key's own."""
    start, last, peak = (int(rows[i]) for i in ordinals)
    return HistoryEpisode(key, start, last, peak, float(severity), lead)


def _stretches(
    evidence: Any, holding: Any, motor: MotorNeuron | GroupMotor
) -> Iterator[tuple[int, int]]:
    """Yield first row and end of stretches from the on-threshold to below the off-threshold."""
    calm_rows = np.append(np.flatnonzero(holding < motor.off), len(holding))
    rested = 0
    for start in np.flatnonzero(evidence >= motor.on).tolist():
        if start >= rested:
            end = int(calm_rows[np.searchsorted(calm_rows, start)])
            rested = end + motor.refractory_rows + 1
            yield start, end


def episodes_report(
    pipeline: Pipeline,
    key_state: State,
    series: Sequence[Series],
    rows: ConsecutiveRows,
    paged: Sequence[HistoryEpisode],
    others: Sequence[HistoryEpisode] = (),
) -> dict[str, Any]:
    """Return the number of episodes that page, and the worst ones in words that can be read back.

    Args:
        pipeline: The pipeline, fitted.
        key_state: First states of the keys.
        series: History of the keys.
        rows: The consecutive rows that the episodes were found in.
        paged: Episodes that page.
        others: Further ones; those that are none of `paged` come after them.
    """
    others = [e for e in others if not any(_overlap(e, episode) for episode in paged)]
    worst = [*sorted(paged, key=_order), *sorted(others, key=_order)][:SHOWN]
    peaks = np.array([e.peak for e in worst], dtype=np.int64)
    at_peak = Rows(rows.owner[peaks], rows.time_us[peaks], rows.raw[peaks])
    visible = at_peak.visible(pipeline, key_state)
    shares = ops.to_numpy(pipeline.explain(visible)) if worst else visible
    channels = pipeline.config.channels
    windows = incidents_of(series, rows, worst)
    keys = np.unique(rows.owner)
    return {
        "count": len(paged),
        "keys": len(keys),
        "days": round(sum(_days(series[k], rows.time_us[rows.owner == k]) for k in keys), 2),
        "worst": [
            {
                **window.as_json(),
                "channel": channels[int(share.argmax()) if e.lead == ALL else e.lead],
                "severity": round(e.severity, 2),
                "pages": i < len(paged),
            }
            for i, (e, window, share) in enumerate(zip(worst, windows, shares, strict=True))
        ],
    }


def incidents_of(
    series: Sequence[Series], rows: ConsecutiveRows, episodes: Sequence[HistoryEpisode]
) -> list[Incident]:
    """Return the windows of episodes."""
    return [
        Incident(series[e.key].key, int(rows.time_us[e.start]), int(rows.time_us[e.last]))
        for e in episodes
    ]


def _order(episode: HistoryEpisode) -> tuple[float, int, int, int]:
    """Sort the most severe first, of equal ones the longest."""
    return -episode.severity, episode.start - episode.last, episode.key, episode.start


def _overlap(one: HistoryEpisode, other: HistoryEpisode) -> bool:
    return one.key == other.key and one.start <= other.last and other.start <= one.last


def _days(series: Series, times: Any) -> float:
    """Return the days of a key's rows: as many of its usual intervals."""
    return len(times) * float(np.median(np.diff(series.time_us))) / DAY_US
