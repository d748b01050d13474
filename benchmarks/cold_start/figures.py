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
    for age, until in pairwise((*ages, _LAST)):
        by_age[age] = {
            "vus_pr": _order(beginnings, age, cold_set.buffer),
            "false_a_day": _false(beginnings, age, until, cold_set.step_seconds),
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
    found = []
    for one in beginnings:
        if one.kind != "scored" or one.age != age:
            continue
        label = one.table.label
        assert label is not None
        score = one.scores.score if one.is_joint else one.scores.evidence
        place = np.searchsorted(one.table.time_us, one.scores.time_us)
        least = float(score.min()) - 1.0 if len(score) else 0.0
        every = np.full(len(label), least)
        every[place] = score
        if label[age:].any():
            found.append(vus_pr(label[age:], every[age:], buffer))
    return float(np.mean(found)) if found else None


def _false(beginnings: Sequence[Beginning], begin: int, end: int, seconds: float) -> float:
    """Triggers a day on healthy rows, from one row of the key's own to another."""
    count, rows = 0, 0
    for one in beginnings:
        if one.kind == "healthy":
            n = len(one.table.time_us)
            rows += max(min(end, n) - begin, 0)
            places = _fired(one)
            count += int(((places >= begin) & (places < end)).sum())
    return count / (rows * seconds / 86_400) if rows else 0.0


def _caught(beginnings: Sequence[Beginning], kind: str, age: int) -> dict[str, int]:
    """Faults with a trigger inside, and all of them."""
    looked = [one for one in beginnings if one.kind == kind and one.age == age]
    caught = sum(bool((_fired(one) >= max(age - 1, 0)).any()) for one in looked)
    return {"caught": caught, "faults": len(looked)}


def _fired(one: Beginning) -> Any:
    """Rows at which episodes begin."""
    return np.searchsorted(one.table.time_us, one.scores.time_us[one.scores.trigger > 0])
