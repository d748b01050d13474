"""Severity of the joint scores of one row, with the bits of `JointEvidence.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence import JointEvidence
from ember_core.pipeline.evidence.joint_evidence import FAR, LN2, SCORES, SMALLEST_EXTREME

from .arrays import contiguous
from .compiler import compiled
from .elementary import larger, smaller

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
def follow_joint(anchor: Any, mid: Any, size: Any, extreme: Any, log: Any, gain: Any) -> Any:
    """Return the anchor of a score after a row, and the statistic of the row.

    Args:
        anchor: Anchor before the row, float32.
        mid: Median of the log score.
        size: Usual deviation of it; 0: not known.
        extreme: 99 % quantile of it.
        log: Log of the score over its floor.
        gain: Share with which the anchor follows the row.
    """
    is_known = size > _ZERO
    distance = (log - mid) / (size if is_known else _ONE) - anchor
    step = gain * smaller(larger(distance, -_FAR), _FAR)
    excess = larger(distance, _ZERO) / larger(extreme, _SMALLEST_EXTREME)
    return anchor + (step if is_known else _ZERO), excess if is_known else _ZERO
