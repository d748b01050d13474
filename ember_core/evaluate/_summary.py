"""Figures of each key, and their summary over all keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._episodes import episode_scores
from ._points import auc_pr, best_f1, point_f1, point_scores, ratio
from ._ranges import as_label
from ._vus import vus_pr

Figure = float | int | None

COUNTS = (
    "records",
    "labelled",
    "true_positives",
    "false_positives",
    "false_negatives",
    "events",
    "caught",
    "episodes",
    "false_episodes",
)
"""Figures that are counts: added up over keys, never averaged."""

LOWER_IS_BETTER = ("false_episodes_per_1000", "delay_records")
"""Figures whose worst key is the one with the largest value."""

# A threshold lives on the scale of its own key's scores: no mean and no worst.
_SCALES = ("best_threshold",)


def summary(
    label: ArrayLike,
    score: ArrayLike,
    flags: ArrayLike | None = None,
    *,
    buffer: int = 100,
    merge: int = 10,
) -> dict[str, Figure]:
    """The figures of one key: a flat dict of numbers that JSON can hold.

    Args:
        label: 0/1 per scored record, shape `(T,)`.
        score: Score per record, higher is more anomalous, shape `(T,)`.
        flags: 0/1 per record from the causal threshold or trigger, shape `(T,)`; without it the
            figures of alarms are left out.
        buffer: Largest buffer of VUS-PR, in records (100 for SMD, 20 for ASD, 60 for SKAB).
        merge: Largest distance of flagged records of one alarm episode, in records.

    Returns:
        `records`, `labelled` (counts), `vus_pr`, `auc_pr`, `best_f1`, `best_threshold`; with
        flags also `true_positives`, `false_positives`, `false_negatives`, `precision`, `recall`,
        `f1`, `f1_of_best` (`f1 / best_f1`), `events`, `caught`, `episodes`, `false_episodes`,
        `event_recall`, `episode_precision`, `ef1`, `false_episodes_per_1000`, `delay_records`.
        None stands for a figure that is not defined, such as recall without a labelled record.

    Raises:
        ValueError: If shapes differ, a score is NaN or there are no records.
    """
    truth = as_label(label)
    best = best_f1(truth, score)
    row: dict[str, Figure] = {
        "records": truth.size,
        "labelled": int(truth.sum()),
        "vus_pr": vus_pr(truth, score, buffer),
        "auc_pr": auc_pr(truth, score),
        "best_f1": best.f1,
        "best_threshold": best.threshold,
    }
    if flags is not None:
        points = point_f1(truth, flags)
        row |= points._asdict()
        row["f1_of_best"] = ratio(points.f1, best.f1)
        row |= episode_scores(truth, flags, merge)._asdict()
    return {name: _defined(value) for name, value in row.items()}


def summarise(per_key: Mapping[str, Mapping[str, Figure]]) -> dict[str, Any]:
    """The figures of all keys together.

    Args:
        per_key: Key to its `summary`.

    Returns:
        Four parts: `per_key` as given; `mean` of each figure over the keys where it is defined;
        `worst`, of each figure the key with the worst value, as `{"key": ..., "value": ...}`; and
        `pooled`, the counts added up, with the figures that follow from them (`precision`,
        `recall`, `f1`, `false_episodes_per_1000`), as if all keys were one long series.
    """
    mean: dict[str, float] = {}
    worst: dict[str, dict[str, Any]] = {}
    names = list(dict.fromkeys(name for row in per_key.values() for name in row))
    for name in names:
        if name in COUNTS or name in _SCALES:
            continue
        figures = {key: row[name] for key, row in per_key.items() if row.get(name) is not None}
        if not figures:
            continue
        values = {key: float(value) for key, value in figures.items() if value is not None}
        mean[name] = float(np.mean(list(values.values())))
        pick = max if name in LOWER_IS_BETTER else min
        key = pick(values, key=values.__getitem__)
        worst[name] = {"key": key, "value": values[key]}
    return {
        "per_key": {key: dict(row) for key, row in per_key.items()},
        "mean": mean,
        "worst": worst,
        "pooled": _pooled(per_key, [name for name in COUNTS if name in names]),
    }


def _pooled(per_key: Mapping[str, Mapping[str, Figure]], names: list[str]) -> dict[str, Figure]:
    count = {name: sum(int(row.get(name) or 0) for row in per_key.values()) for name in names}
    pooled: dict[str, Figure] = {**count}
    if "true_positives" in count:
        points = point_scores(
            count["true_positives"], count["false_positives"], count["false_negatives"]
        )
        pooled |= {"precision": points.precision, "recall": points.recall, "f1": points.f1}
        pooled["false_episodes_per_1000"] = ratio(
            1000.0 * count["false_episodes"], count["records"]
        )
    return {name: _defined(value) for name, value in pooled.items()}


def _defined(value: Figure) -> Figure:
    """None for NaN: JSON has no NaN. Infinite thresholds (all scores infinite) too."""
    return value if isinstance(value, int) or (value is not None and math.isfinite(value)) else None
