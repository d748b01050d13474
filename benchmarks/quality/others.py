"""Other detectors on the same records, thresholded with the same effort."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import log_progress
from benchmarks.paging.constant import CountsConstants
from benchmarks.paging.cut_forest import CutForest, CutForestUnavailableError
from benchmarks.quality.alarms import Alarms
from benchmarks.quality.product import Subject
from benchmarks.quality.seeds import over_seeds
from ember_core.evaluate import Baseline, baselines, peers, summarise, summary

Scores = tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]


def makers(seed: int = 0) -> dict[str, Callable[[], Baseline]]:
    """Every detector that this machine can run, by name; each call makes a fresh one."""
    out: dict[str, Callable[[], Baseline]] = {
        name: lambda name=name: baselines(seed)[name]  # type: ignore[misc]
        for name in baselines(seed)
    }
    out |= {name: lambda name=name: peers(seed)[name] for name in peers(seed)}  # type: ignore[misc]
    try:
        CutForest(seed)
    except CutForestUnavailableError as error:
        log_progress(f"  Random Cut Forest is left out: {error}")
    else:
        out["random_cut_forest"] = lambda: CutForest(seed)
    return out


def others(subject: Subject) -> dict[str, Any]:
    """Figures of each detector; its pages at a budget are in `paged others`."""
    out = {}
    for name, make in makers().items():
        started = time.perf_counter()
        try:
            train, test = scores_of(subject, make)
        except subprocess.TimeoutExpired as error:
            log_progress(f"  {name} is left out: it took longer than {error.timeout:.0f} s")
            continue
        out[name] = judged_scores(subject, train, test)
        log_progress(f"  {name}: {time.perf_counter() - started:.0f} s")
    return out


def scores_of(subject: Subject, make: Callable[[], Baseline]) -> Scores:
    """Training and scored part of every key, by a detector of its own."""
    train, test = [], []
    for k, table in enumerate(subject.dataset.tables):
        detector = CountsConstants(make())
        head = table.values[subject.dataset.rows(k, "train")]
        detector.fit(head)
        train.append(detector.score(head))
        test.append(detector.score(table.values[subject.dataset.rows(k, "scored")]))
    return train, test


def judged_scores(
    subject: Subject, train: Sequence[Any], test: Sequence[Any], flags: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Figures of a detector's scores, with thresholds made as the product makes its own.

    Args:
        subject: The set, with the product's runs.
        train: Scores of the training records, per key.
        test: Scores of the scored records.
        flags: Flags of a detector with thresholds of its own.
    """
    alarms = Alarms(train, subject.runs[0].model)
    fired = alarms(test) if flags is None else flags
    per_key = {}
    for k, table in enumerate(subject.dataset.tables):
        assert table.label is not None
        label = table.label[subject.dataset.rows(k, "scored")]
        per_key[table.key.decode()] = summary(
            label, test[k], fired[k], buffer=subject.family.buffer
        )
    return over_seeds([summarise(per_key)])
