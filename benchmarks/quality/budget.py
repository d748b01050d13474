"""False triggers that an operator accepts, against those there were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.quality.product import Subject
from benchmarks.quality.sets import Family
from ember_core.evaluate import episode_scores, exceedances
from stream.backtest import backtest

BUDGETS: Final = {"1 a day": 1.0, "1 a week": 1.0 / 7.0, "1 a month": 1.0 / 30.0}
LEAST_DAYS: Final = 30.0  # of all keys together, without a fault: less says nothing of a month


def budgets(subject: Subject) -> dict[str, Any] | None:
    """Per budget: false triggers per key and day outside of labels, and the events caught.

    The first model alone, its on-threshold set by the tail of its training evidence.
    """
    run = subject.runs[0]
    labels = [run.result.labels(k) for k in range(len(run.dataset.tables))]
    if fault_free_days(run.family, labels) < LEAST_DAYS:
        return None
    motor = run.model.pipeline.motor
    out = {}
    for name, a_day in BUDGETS.items():
        run.model.configure(budget_per_week=run.family.budget_per_week(a_day))
        result = backtest(run.model, run.dataset, warm=subject.recipe.warm)
        out[name] = realised(run.family, a_day, labels, [s.firing for s in result.scores])
    run.model.pipeline.motor = motor
    return out


def realised(
    family: Family, a_day: float, labels: Sequence[Any], flags: Sequence[Any]
) -> dict[str, float]:
    """Figures of flags under a budget.

    Returns:
        `budget` and `realised` false episodes per key and day, `times` their ratio,
        `event_recall` and `ef1` over all keys.
    """
    scores = [episode_scores(y, f) for y, f in zip(labels, flags, strict=True)]
    days = fault_free_days(family, labels)
    rate = sum(score.false_episodes for score in scores) / days
    events, episodes = (
        sum(score.events for score in scores),
        sum(score.episodes for score in scores),
    )
    recall = sum(score.caught for score in scores) / max(events, 1)
    precision = (episodes - sum(score.false_episodes for score in scores)) / max(episodes, 1)
    return {
        "budget": a_day,
        "realised": rate,
        "times": rate / a_day,
        "event_recall": recall,
        "ef1": 2.0 * recall * precision / (recall + precision) if recall + precision else 0.0,
    }


def fault_free_days(family: Family, labels: Sequence[Any]) -> float:
    """Days of all keys together without a labelled record."""
    return float(sum(int((y == 0).sum()) for y in labels)) / family.records_a_day


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
