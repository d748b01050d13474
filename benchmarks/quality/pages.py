"""An operator's figures on recorded sets: pages at three budgets, of the product and of others."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import log_progress
from benchmarks.paging import calibration, detectors
from benchmarks.paging.calibration import BUDGETS
from benchmarks.paging.cut_forest import CutForestUnavailableError
from benchmarks.paging.fleet import Fault, Fleet, KeySeries
from benchmarks.paging.replay import budget_figures
from benchmarks.quality.product import Recipe, Run, Subject, run
from benchmarks.quality.seeds import over_seeds
from benchmarks.quality.sets import Family, Interpretation
from ember_core.data.sources import Dataset, KeyTable

LEAST_DAYS: Final = 30.0  # of all keys together: less says nothing of a month
WINDOWS: Final = ("exponential", "dilated")


def budgets(subject: Subject) -> dict[str, Any] | None:
    """Operator's figures of the first model as installed and at each budget; see `paging`.

    None where the set is too short.
    """
    first = subject.runs[0]
    return figures(first, subject.recipe, subject.truth)


def figures(
    one: Run, recipe: Recipe, truth: dict[str, list[Interpretation]]
) -> dict[str, Any] | None:
    """Operator's figures of a run's model."""
    fleet = fleet_of(one.family, one.dataset, truth)
    if fleet.key_days() < LEAST_DAYS:
        return None
    rows = budget_figures(
        fleet, one.model, one.dataset, time_factor=one.family.time_factor, warm=recipe.warm
    )
    return {name: _beside_budget(name, row) for name, row in rows.items()}


def windows(subject: Subject) -> dict[str, Any]:
    """The other kind of windows: figures of the scores and of the pages, one seed."""
    usual = subject.runs[0].model.pipeline.config.windows
    out = {}
    for kind in WINDOWS:
        if kind == usual:
            continue
        log_progress(f"  {kind} windows")
        recipe = subject.recipe.also(windows=kind)
        measured_other = run(subject.family, subject.dataset, recipe, 0)
        out[kind] = over_seeds([measured_other.figures])
        paged = figures(measured_other, recipe, subject.truth)
        if paged is not None:
            out[kind]["budgets"] = paged
    return out


def incidents(subject: Subject) -> dict[str, Any] | None:
    """Figures of pages where the labelled incidents of the history are left out, by evidence.

    One seed. None where the history has no labels.
    """
    dataset = subject.dataset
    tables = enumerate(dataset.tables)
    if not any(t.label is not None and t.label[dataset.rows(i, "train")].any() for i, t in tables):
        return None
    out = {}
    for evidence in ("joint", "channels+joint"):
        log_progress(f"  {evidence}, incidents marked")
        recipe = subject.recipe.also(evidence=evidence, exclude_labelled=True)
        marked = run(subject.family, dataset, recipe, 0)
        out[evidence] = {"budgets": figures(marked, recipe, subject.truth)}
    return out


def paged_others(subject: Subject) -> dict[str, Any] | None:
    """Operator's figures of other detectors, each with a threshold from its training peaks."""
    fleet = fleet_of(subject.family, subject.dataset, subject.truth)
    if fleet.key_days() < LEAST_DAYS:
        return None
    out = {}
    for name in detectors.DETECTORS:
        try:
            rows = calibration.figures(fleet, detectors.scored(name, fleet))
        except (CutForestUnavailableError, subprocess.TimeoutExpired) as error:
            log_progress(f"  pages of {name} are left out: {error}")
            continue
        out[name] = {budget: _beside_budget(budget, row) for budget, row in rows.items()}
        log_progress(f"  pages of {name}")
    return out


def fleet_of(family: Family, dataset: Dataset, truth: dict[str, list[Interpretation]]) -> Fleet:
    """A set as a fleet: runs of labelled records are its faults, times are real.

    Args:
        family: The set.
        dataset: Its records.
        truth: Channels at fault in each labelled event, per key; empty where it is not known.
    """
    keys = tuple(
        _series(table, dataset.channels, family, truth.get(table.key.decode(), ()))
        for table in dataset.tables
    )
    return Fleet(family.name, 0, family.sampling_seconds, dataset.channels, keys, "UTC", ())


def _series(
    table: KeyTable, channels: tuple[str, ...], family: Family, truth: Sequence[Interpretation]
) -> KeySeries:
    key, head = table.key.decode(), int(table.is_train.sum())
    label = np.zeros(len(table.is_train)) if table.label is None else table.label
    faults = []
    for first, last in _runs((label > 0) & ~table.is_train):
        true_channels = {
            channels[i]
            for event in truth
            if event.start <= last - head and event.last >= first - head
            for i in event.channels
        }
        faults.append(Fault("labelled", key, first, last, tuple(sorted(true_channels))))
    times_us = np.round(table.time_us * family.time_factor).astype(np.int64)
    return KeySeries(key, times_us, table.values, table.is_train, tuple(faults), family.name)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last row of each run of flagged rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _beside_budget(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The figures with `realised` false pages a key and day, and `times` the budget's."""
    out = {key: value for key, value in row.items() if key != "by_kind"}
    out["realised"] = row["false_a_day"]
    out["event_recall"] = row["paged"] / max(row["faults"], 1)
    if name in BUDGETS:
        out |= {"budget": BUDGETS[name], "times": row["false_a_day"] / BUDGETS[name]}
    return out
