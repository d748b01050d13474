"""Severity of the joint scores of one row, with the bits of `JointEvidence.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence import JointEvidence
from ember_core.pipeline.evidence.joint_evidence import FAR, LN2, SCORES, SMALLEST_EXTREME

from .arrays import contiguous
from .compiler import compiled
from .curves import severity_of
from .elementary import exp32
from .tail import larger, log_score, smaller

FIELDS = ("joint_anchor", "joint_mid", "joint_size", "joint_extreme")
"""Fields of the stage, in the order in which compiled functions take them; the first one moves."""

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)
_FAR, _SMALLEST_EXTREME = _F(FAR), _F(SMALLEST_EXTREME)


def joint_numbers(joint: JointEvidence) -> tuple[float, ...]:
    """Return the floor of each score, and the exponent of the anchor's decay in an interval."""
    return *joint.floors, -LN2 / joint.half_life


def joint_curves(joint: JointEvidence) -> tuple[Any, Any, Any]:
    """Return the tables of the scores, `(2, 65)`, and for each its level and least severity."""
    least, levels = joint.curves.beginnings(tuple(range(SCORES)), 0)
    return contiguous(joint.curves.tables), levels, least


@compiled
def joint_severity(
    state: Any, key: Any, score: Any, size: Any, elapsed: Any, rule: Any, curves: Any
) -> Any:
    """Return the severity of a row's joint scores, and write the anchors of its key after it.

    Args:
        state: Arrays of `FIELDS`, `(K, 2)` each; `joint_anchor` is written to.
        key: Key of the row.
        score: Its free energy, float32.
        size: Sum of the sizes of its features, float32.
        elapsed: Usual intervals since the key's row before, float32.
        rule: Numbers of the stage, see `joint_numbers`.
        curves: Tables, levels and least severities of the scores, see `joint_curves`.
    """
    anchors, mids, sizes, extremes = state
    tables, levels, leasts = curves
    gain = _ONE - exp32(_F(rule[SCORES]) * elapsed)
    largest = _ZERO
    for i in range(SCORES):
        log = log_score(score if i == 0 else size, rule[i])
        usual, anchor = sizes[key, i], anchors[key, i]
        is_known = usual > _ZERO
        distance = (log - mids[key, i]) / (usual if is_known else _ONE) - anchor
        step = gain * smaller(larger(distance, -_FAR), _FAR)
        anchors[key, i] = anchor + (step if is_known else _ZERO)
        excess = larger(distance, _ZERO) / larger(extremes[key, i], _SMALLEST_EXTREME)
        statistic = excess if is_known else _ZERO
        severity = severity_of(tables, i, larger(statistic, _ZERO), levels[i], leasts[i])
        largest = severity if i == 0 else larger(largest, severity)
    return largest
