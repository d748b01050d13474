"""Fit of what a model knows of keys that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ember_core.pipeline.arrival import AGES
from ember_core.pipeline.fit.fitted import ScalesFit
from ember_core.pipeline.fit.incidents import Marks
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .first_state import MIN_SHOWN, begin_as_fleet
from .rehearsal import is_long_enough, rehearse


def fit_unseen(
    pipeline: Pipeline,
    series: Sequence[Series],
    scales: ScalesFit,
    new_state: State,
    is_new: Any,
    marks: Marks,
) -> dict[str, Any]:
    """Let a key never seen begin as a usual one, and find how sure its first rows are.

    Args:
        pipeline: The pipeline, its thresholds set; written to.
        series: History of the keys.
        scales: Their first states, and the history without its seasonal part.
        new_state: That of a key never seen, written to.
        is_new: Keys with a short history, `(K,)`: they say nothing of others.
        marks: Rows that do not count.

    Returns:
        For the report: `unseen_keys`, the confidence of such a key by its rows. Nothing where keys
        or rows are too few to show how far one is from another: it then warms up in silence.
    """
    known = np.flatnonzero(~is_new).tolist()
    has_channels = pipeline.channels is not None
    if len(known) < MIN_SHOWN or (has_channels and not (new_state["usual_unit"] > 0).all()):
        return {}
    if not is_long_enough([len(series[k].time_us) for k in known], pipeline.config):
        return {}
    known_state = {name: value[known] for name, value in scales.first.items()}
    residuals = scales.residuals
    begin_as_fleet(
        pipeline, [series[k] for k in known], [residuals[k] for k in known], known_state, new_state
    )
    confidence = rehearse(
        pipeline, [series[k] for k in known], known_state, new_state, [marks.rows[k] for k in known]
    )
    by_age = {
        str(age): [round(float(c), 3) for c in groups]
        for age, groups in zip(AGES, confidence, strict=True)
    }
    return {"unseen_keys": {"confidence": by_age}}
