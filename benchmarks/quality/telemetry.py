"""A set of labelled telemetry, part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.frame import log_progress
from benchmarks.quality.ablations import ablations
from benchmarks.quality.blame import explanations
from benchmarks.quality.cold import cold_start
from benchmarks.quality.conditions import CONDITIONS
from benchmarks.quality.others import others
from benchmarks.quality.pages import budgets, incidents, paged_others, windows
from benchmarks.quality.probabilities import calibration
from benchmarks.quality.product import Subject, run, scored
from benchmarks.quality.seeds import over_seeds


def telemetry(subject: Subject, seeds: Sequence[int], parts: Sequence[str]) -> dict[str, Any]:
    """Figures of the product on a set.

    Args:
        subject: The set; gets its runs.
        seeds: One model each.
        parts: Names out of `PARTS` to measure beside the figures.

    Returns:
        `seeds`, `recipe`, `seconds` of training and scoring, `product` (see `over_seeds`), `on`
        and `off` of the first model, and what each part gives under its name.
    """
    for seed in seeds:
        seed_run = run(subject.family, subject.dataset, subject.recipe, seed)
        log_progress(
            f"  seed {seed}: train {seed_run.train_seconds:.0f} s, "
            f"score {seed_run.score_seconds:.0f} s"
        )
        subject.runs.append(seed_run)
    runs = subject.runs
    out: dict[str, Any] = {
        "seeds": len(seeds),
        "recipe": subject.recipe.options,
        "keys": len(subject.dataset.tables),
        "channels": len(subject.dataset.channels),
        "train_seconds": runs[0].train_seconds,
        "score_seconds": runs[0].score_seconds,
        "product": over_seeds([seed_run.figures for seed_run in runs]),
    }
    for name in parts:
        measured = PARTS[name](subject)
        if measured is not None:
            out[name] = measured
    return out


def conditions(subject: Subject) -> dict[str, Any] | None:
    """The product where records are lost or their clock is off; of the set of 5 minutes only.

    Under a condition's own name the model was trained under it too; under `live: ` it was trained
    on the whole history, and only the scored part has suffered.
    """
    family, dataset, recipe = subject.family, subject.dataset, subject.recipe
    if family.name != "asd":
        return None
    out = {}
    for name, change in CONDITIONS.items():
        log_progress(f"  {name}")
        changed = [change(dataset, seed) for seed in range(len(subject.runs))]
        trained_runs = [run(family, data, recipe, seed) for seed, data in enumerate(changed)]
        live = [
            scored(family, data, seed_run.model, recipe)
            for seed_run, data in zip(subject.runs, changed, strict=True)
        ]
        out[name] = over_seeds([seed_run.figures for seed_run in trained_runs])
        out[f"live: {name}"] = over_seeds([seed_run.figures for seed_run in live])
    return out


PARTS: Final[dict[str, Callable[[Subject], dict[str, Any] | None]]] = {
    "conditions": conditions,
    "explanations": explanations,
    "calibration": calibration,
    "budgets": budgets,
    "windows": windows,
    "incidents": incidents,
    "paged others": paged_others,
    "cold start": cold_start,
    "baselines": others,
    "ablations": ablations,
}
