"""Mean, worst and spread of figures over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ember_core.evaluate import LOWER_IS_BETTER


def over_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of several seeds as one.

    Args:
        runs: `evaluate.summarise` of each seed, of the same keys.

    Returns:
        `mean` and `pooled`: means over the seeds; `spread`: largest less smallest seed of each
        mean; `per_key`: means over the seeds; `worst`: of each figure the key that is worst in
        the mean over the seeds.
    """
    per_key = {key: _mean([run["per_key"][key] for run in runs]) for key in runs[0]["per_key"]}
    mean = _mean([run["mean"] for run in runs])
    spread = {
        name: max(run["mean"][name] for run in runs) - min(run["mean"][name] for run in runs)
        for name in mean
        if all(name in run["mean"] for run in runs)
    }
    worst = {}
    for name in mean:
        means: dict[str, float] = {
            key: value for key, row in per_key.items() if (value := row.get(name)) is not None
        }
        pick = max if name in LOWER_IS_BETTER else min
        key = pick(means, key=means.__getitem__)
        worst[name] = {"key": key, "value": means[key]}
    return {
        "mean": mean,
        "spread": spread,
        "worst": worst,
        "pooled": _mean([run["pooled"] for run in runs]),
        "per_key": per_key,
    }


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean of each figure over the rows where it is defined."""
    out: dict[str, float | None] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if row.get(name) is not None]
        out[name] = float(np.mean(values)) if values else None
    return out
