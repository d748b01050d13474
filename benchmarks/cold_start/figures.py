"""Figures of the beginnings of keys: order of the scores, false triggers, faults caught."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ember_core.evaluate import vus_pr

from .beginnings import Beginning
from .sets import ColdSet

_LAST: Final = 4_000  # row at which the last span of ages ends


def figures(
    beginnings: Sequence[Beginning], ages: Sequence[int], cold_set: ColdSet
) -> dict[str, Any]:
    """Figures by age, of keys that begin in a fault, and of settled keys.

    Args:
        beginnings: Beginnings with their scores.
        ages: Rows of a key's own before the part that counts.
        cold_set: The set.
    """
    by_age: dict[int, dict[str, Any]] = {}
    for age, end_row in pairwise((*ages, _LAST)):
        by_age[age] = {
            "vus_pr": _order(beginnings, age, cold_set.buffer),
            "false_a_day": _false(beginnings, age, end_row, cold_set.step_seconds),
            **_caught(beginnings, "fault", age),
        }
    return {
        "by_age": by_age,
        "broken": _caught(beginnings, "broken", 0),
        "settled": {"false_a_day": _false(beginnings, 500, _LAST, cold_set.step_seconds)},
        "first_day": {
            "false": _false(
                beginnings, 0, round(86_400 / cold_set.step_seconds), cold_set.step_seconds
            )
        },
    }


def _order(beginnings: Sequence[Beginning], age: int, buffer: int) -> float | None:
    """Mean VUS-PR over the scored parts; rows without a score come last."""
    areas = []
    for beginning in beginnings:
        if beginning.kind != "scored" or beginning.age != age:
            continue
        label = beginning.table.label
        assert label is not None
        score = beginning.scores.score if beginning.is_joint else beginning.scores.evidence
        scored_rows = np.searchsorted(beginning.table.time_us, beginning.scores.time_us)
        least = float(score.min()) - 1.0 if len(score) else 0.0
        all_scores = np.full(len(label), least)
        all_scores[scored_rows] = score
        if label[age:].any():
            areas.append(vus_pr(label[age:], all_scores[age:], buffer))
    return float(np.mean(areas)) if areas else None


def _false(beginnings: Sequence[Beginning], begin: int, end: int, seconds: float) -> float:
    """Triggers a day on healthy rows, from one row of the key's own to another."""
    count, rows = 0, 0
    for beginning in beginnings:
        if beginning.kind == "healthy":
            n = len(beginning.table.time_us)
            rows += max(min(end, n) - begin, 0)
            fired_rows = _fired(beginning)
            count += int(((fired_rows >= begin) & (fired_rows < end)).sum())
    return count / (rows * seconds / 86_400) if rows else 0.0


def _caught(beginnings: Sequence[Beginning], kind: str, age: int) -> dict[str, int]:
    """Faults with a trigger inside, and all of them."""
    looked = [
        beginning for beginning in beginnings if beginning.kind == kind and beginning.age == age
    ]
    caught = sum(bool((_fired(beginning) >= max(age - 1, 0)).any()) for beginning in looked)
    return {"caught": caught, "faults": len(looked)}


def _fired(beginning: Beginning) -> Any:
    """Rows at which episodes begin."""
    return np.searchsorted(
        beginning.table.time_us, beginning.scores.time_us[beginning.scores.trigger > 0]
    )
