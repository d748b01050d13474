"""Probabilities against how often they came."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.product import Subject
from ember_core.evaluate import exceedances


def calibration(subject: Subject) -> dict[str, Any]:
    """Expected and realised exceedances of the probabilities, over records without a fault."""
    runs, out = subject.runs, dict[str, Any]()
    for run in runs:
        n = len(run.dataset.tables)
        label = np.concatenate([run.result.labels(k) for k in range(n)])
        for level in exceedances(np.concatenate([s.probability for s in run.result.scores]), label):
            row = out.setdefault(f"{level.level:g}", {"expected": 0.0, "realised": 0.0})
            row["expected"] += level.expected / len(runs)
            row["realised"] += level.realised / len(runs)
    for row in out.values():
        row["times"] = row["realised"] / row["expected"]
    return out
