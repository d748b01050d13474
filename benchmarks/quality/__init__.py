"""`python -m benchmarks quality`: faults caught on labelled telemetry, and the false alarms.

Every set goes through the product: trained as `ember train` does, scored record by record by the
engine of the stream. Thresholds come from training scores alone, no label reaches the detector,
and no point is adjusted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.quality.nab import nab
from benchmarks.quality.product import Recipe, Subject
from benchmarks.quality.sets import FAMILIES, SHARED, interpretations, load
from benchmarks.quality.shown import lines as lines
from benchmarks.quality.table import judged
from benchmarks.quality.telemetry import PARTS, telemetry
from benchmarks.training_arguments import add_with, training_arguments

SETS = (*FAMILIES, "nab")
QUICK = ("conditions", "explanations", "calibration")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--set", dest="sets", action="append", choices=SETS, help="only this set")
    parser.add_argument("--seeds", type=int, default=3, help="models per set")
    parser.add_argument("--quick", action="store_true", help=f"one seed, --parts {','.join(QUICK)}")
    parser.add_argument("--parts", help=f"beside the figures, some of {','.join(PARTS)} (all)")
    parser.add_argument("--ablations", action="store_true", help="also the chain without its parts")
    add_with(parser)
    parser.add_argument("--warm", action="store_true", help="feed the training rows first")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the sets")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the requested sets, and compare the figures with the bounds.

    Raises:
        BenchmarkError: If a set is not there or the product refuses what it is given.
    """
    recipe = Recipe(training_arguments(options), options.warm)
    seeds = list(range(1 if options.quick else options.seeds))
    parts = _parts(options)
    sets: dict[str, Any] = {}
    for name in options.sets or SETS:
        log_progress(f"{name}: {', '.join(parts) or 'figures'}, {len(seeds)} seed(s)")
        if name == "nab":
            sets[name] = nab(options.data, recipe, seeds, parts)
        else:
            family = FAMILIES[name]
            truth = interpretations(family, options.data)
            subject = Subject(family, load(family, options.data), recipe, truth)
            sets[name] = telemetry(subject, seeds, parts)
    options.data = options.data.name  # kept as JSON, without a path of this machine
    return {"table": judged(sets), "sets": sets}


def with_kept(kept: Mapping[str, Any] | None, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with the sets of the kept one that it did not measure."""
    sets = {**(kept or {}).get("sets", {}), **result["sets"]}
    sets = {name: sets[name] for name in SETS if name in sets}
    return {**result, "table": judged(sets), "sets": sets}


def _parts(options: argparse.Namespace) -> tuple[str, ...]:
    """List the requested parts in the order of measurement."""
    if options.parts is None:
        parts = set(QUICK) if options.quick else set(PARTS) - {"ablations"}
    else:
        parts = {name for name in options.parts.split(",") if name}
    if options.ablations:
        parts.add("ablations")
    if unknown := parts - set(PARTS):
        raise BenchmarkError(
            f"there is no such part. Expected some of {', '.join(PARTS)}. "
            f"Received: --parts {','.join(sorted(unknown))}."
        )
    return tuple(name for name in PARTS if name in parts)
