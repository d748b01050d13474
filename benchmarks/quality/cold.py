"""A key the model has never seen, after 500 records to warm up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.frame import log_progress
from benchmarks.quality.conditions import kept_of
from benchmarks.quality.product import Subject, fitted
from benchmarks.quality.sets import only
from ember_core.data.sources import Dataset
from ember_core.evaluate import vus_pr
from stream.backtest import backtest

WARM_UP: Final = 500


def cold_start(subject: Subject) -> dict[str, Any] | None:
    """VUS-PR of each key by a model trained on the others, against the model that knows it.

    The first seed alone. The key sends the last 500 of its training records, which are not judged,
    then those that are.
    """
    run = subject.runs[0]
    n = len(run.dataset.tables)
    if n < 2:
        return None
    per_key = {}
    for k, table in enumerate(run.dataset.tables):
        name = table.key.decode()
        log_progress(f"  cold start of {name}")
        model_of_others = fitted(
            only(run.dataset, [i for i in range(n) if i != k]), subject.recipe, 0
        )
        result = backtest(model_of_others, warming(only(run.dataset, [k])), warm=True)
        label, score = result.labels(0), result.scores[0].score
        assert label is not None
        known_vus = run.figures["per_key"][name]["vus_pr"]
        if not label.any() or known_vus is None:
            continue
        cold = vus_pr(label, score, run.family.buffer)
        per_key[name] = {"cold": cold, "known": known_vus, "share": cold / known_vus}
    if not per_key:
        return None
    cold, known_vus = (
        float(np.mean([row[w] for row in per_key.values()])) for w in ("cold", "known")
    )
    return {"cold": cold, "known": known_vus, "share": cold / known_vus, "per_key": per_key}


def warming(dataset: Dataset) -> Dataset:
    """The same key without its training records but the last 500."""
    (table,) = dataset.tables
    last = np.flatnonzero(table.is_train)[-WARM_UP:]
    rows = np.sort(np.concatenate([last, np.flatnonzero(~table.is_train)]))
    return replace(dataset, tables=(kept_of(table, rows),))
