"""Fit of the joint evidence and of the thresholds of the groups' motor neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.evidence import JointEvidence
from ember_core.pipeline.evidence.joint_evidence import fit_joint
from ember_core.pipeline.group_motor import NEVER
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .channels.padded import padded, run, settled_rows
from .currency import fit_tables
from .incidents import Marks, days_of, kept_parts, kept_rows, until_calm
from .series import ConsecutiveRows, Rows, tiles

EXTREME = 0.99
LOW = 1e-3  # quantile of a score from which its floor follows


def joint_scores(pipeline: Pipeline, rows: Rows, state: State) -> NDArray[np.float32]:
    """Return the joint scores of rows, `(R, 2)`: free energy, and sum of the features' sizes."""
    out = []
    for part in tiles(rows.visible(pipeline, state)):
        score = pipeline.score(part).astype(np.float32)
        out.append(np.stack([score, pipeline.feature_size(part)], axis=1))
    return np.concatenate(out)


@dataclass(frozen=True)
class GroupTraces:
    """Severities of consecutive rows of some keys, from which thresholds follow.

    Attributes:
        keys: Severity and hold of each group, `(T, G)` each, and elapsed time `(T,)`, by key. No
            group of a marked row can page.
        days: Days of all of them together, without marked rows.
        rows: Their places among the consecutive rows, `(T,)`, by key.
    """

    keys: list[tuple[Any, Any, Any]]
    days: float
    rows: list[Any]


JOINT_MARGIN = 0.5
"""Decades of severity that the channels together are behind a single one.

On fleets whose channels are judged, half of the false pages were of all channels together, and few
faults were found by them alone.
"""


@ops.default_backend("numpy")
def fit_joint_evidence(
    pipeline: Pipeline,
    key_state: State,
    thinned: Rows,
    rows: ConsecutiveRows,
    half_life: float,
    day_rows: float,
    marks: Marks,
    is_new: Any,
) -> tuple[JointEvidence, GroupTraces]:
    """Fit the joint evidence, and return the severities of all groups on consecutive rows.

    Args:
        pipeline: The pipeline, its RBM fitted.
        key_state: First states of the keys, written to.
        thinned: Some rows of every key.
        rows: Every row of some keys.
        half_life: Half-life of the anchor, in usual intervals.
        day_rows: Rows of a day.
        marks: Rows that do not count.
        is_new: Keys with few rows, `(K,)`: they lean on the others, and do not count.
    """
    scores = joint_scores(pipeline, thinned, key_state)
    low, mid = np.quantile(scores[~is_new[thinned.owner]], [LOW, 0.5], axis=0)
    floors = low - 0.25 * (mid - low)
    stage = JointEvidence((float(floors[0]), float(floors[1])), half_life)
    logs = stage.log_scores(scores)
    thinned_marks = marks.of(thinned)
    for k in range(len(key_state["known"])):
        is_own = thinned.owner == k
        key_logs = kept_rows(logs[is_own], thinned_marks[is_own])
        for name, value in fit_joint(key_logs if len(key_logs) else logs).items():
            key_state[name][k] = value
        distance = (key_logs - key_state["joint_mid"][k]) / key_state["joint_size"][k]
        extreme = np.quantile(np.maximum(distance, 0.0), EXTREME, axis=0) if len(key_logs) else 1.0
        key_state["joint_extreme"][k] = np.maximum(extreme, 1e-3)
    own_logs = stage.log_scores(joint_scores(pipeline, rows, key_state))
    followed = _followed(stage, key_state, rows, own_logs)
    marked = marks.of(rows)
    settled: list[tuple[Any, Any]] = []
    parts: list[Any] = []
    for k, statistic in followed.items():
        if is_new[k]:
            continue
        own_rows = np.flatnonzero(rows.owner == k)
        begin = len(statistic) // 20
        usual = kept_rows(statistic[begin:], marked[own_rows[begin:]])
        extreme = np.maximum(np.quantile(usual, EXTREME, axis=0), 1e-3)
        key_state["joint_extreme"][k] = extreme
        statistic /= extreme.astype(np.float32)
        begin = settled_rows(len(statistic), day_rows)
        settled.append((own_rows[begin:], statistic[begin:]))
        own_marks = until_calm(marked[own_rows], (statistic > 1.0).any(axis=1))
        parts += kept_parts(statistic[begin:], own_marks[begin:])
    _lean_on_fleet(key_state, is_new)
    days = days_of(parts, day_rows)
    stage.curves.assign({"tables": fit_tables(parts, days) - np.float32(JOINT_MARGIN)})
    keys = []
    for own_rows, statistic in settled:
        joint_severity = np.concatenate([stage.curves(part) for part in tiles(statistic)])
        joint = joint_severity.max(axis=1)[:, None]
        severity, hold = (np.hstack([x[own_rows], joint]) for x in (rows.severity, rows.hold))
        own_marks = until_calm(marked[own_rows], severity.max(axis=1) >= 0.0)
        severity[own_marks] = hold[own_marks] = NEVER
        keys.append((severity, hold, rows.elapsed[own_rows]))
    return stage, GroupTraces(keys, days, [own_rows for own_rows, _ in settled])


def _lean_on_fleet(key_state: State, is_new: Any) -> None:
    """Set the sizes of new keys: those of the fleet, and a deviation of its keys more."""
    for name in ("joint_size", "joint_extreme"):
        logs = np.log(key_state[name][~is_new].astype(np.float64))
        least = np.exp(logs.mean(axis=0) + logs.std(axis=0))
        key_state[name][is_new] = np.maximum(key_state[name][is_new], least)


def _followed(
    stage: JointEvidence, key_state: State, rows: ConsecutiveRows, logs: Any
) -> dict[int, Any]:
    """Return the statistics of consecutive rows of each key, `(T, 2)`, with an extreme of 1."""
    owners = np.unique(rows.owner)
    columns = [logs[rows.owner == k] for k in owners]
    fields = [f.name for f in stage.state_fields()]
    state = {name: key_state[name][owners].astype(np.float32) for name in fields}
    state["joint_extreme"] = np.ones_like(state["joint_extreme"])
    elapsed = [rows.elapsed[rows.owner == k] for k in owners]

    def advance(state: State, log_scores: Any, elapsed: Any) -> State:
        return stage.follow(PackedRows([len(log_scores)]), state, log_scores, elapsed)

    followed = run(advance, state, [padded(columns, 0.0), padded(elapsed, 0.0)])
    return {
        int(k): followed["statistic"][: len(columns[i]), i].copy() for i, k in enumerate(owners)
    }
