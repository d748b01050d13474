"""`python -m benchmarks ordinary`: an operator's figures on generated operations telemetry.

Fleets of hosts and machines behave as such things do on ordinary weeks, and have some twenty kinds
of faults. The product goes through training and replay as by `ember train` and `ember backtest`;
other detectors stand beside it, at equal false pages.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.paging import calibration, detectors
from benchmarks.paging.cut_forest import CutForestUnavailableError
from benchmarks.paging.fleet import Fleet
from benchmarks.paging.replay import budget_figures
from benchmarks.training_arguments import add_with, training_arguments
from ember_core.pipeline import CivilCalendar
from stream.errors import UserError
from stream.training import train

from .shown import lines as lines
from .variants import FINAL_SEEDS, TUNING_SEEDS, VARIANTS, make
from .write import dataset

PRODUCT = "product"
_USUAL = ("minute", "five_minutes")
_OTHERS = tuple(name for name in detectors.DETECTORS if name != "random_cut_forest")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--variant", dest="variants", action="append", choices=VARIANTS)
    parser.add_argument(
        "--seeds", default=",".join(map(str, TUNING_SEEDS)), help="seeds of the fleets"
    )
    parser.add_argument(
        "--final", action="store_true", help="the seeds that nothing was chosen on, once"
    )
    parser.add_argument("--models", type=int, default=1, help="seeds of the product's model")
    parser.add_argument(
        "--detectors",
        default=",".join((PRODUCT, *_OTHERS)),
        help=f"some of {','.join((PRODUCT, *detectors.DETECTORS))}",
    )
    parser.add_argument("--true-rate", action="store_true", help="also of the product: slow")
    parser.add_argument("--warm", action="store_true", help="feed the training rows first")
    add_with(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the fleets.

    Raises:
        BenchmarkError: If a detector is not known, or the product refuses what it is given.
    """
    names = [name for name in options.detectors.split(",") if name]
    if unknown := set(names) - {PRODUCT, *detectors.DETECTORS}:
        raise BenchmarkError(
            f"there is no such detector. Expected some of {PRODUCT},"
            f"{','.join(detectors.DETECTORS)}. Received: {','.join(sorted(unknown))}."
        )
    seeds = FINAL_SEEDS if options.final else tuple(map(int, options.seeds.split(",")))
    config = training_arguments(options)
    fleets = [
        _fleet(variant, seed, names, config, options)
        for variant in options.variants or _USUAL
        for seed in seeds
    ]
    return {"fleets": fleets}


def with_kept(kept: Mapping[str, Any] | None, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with the fleets and detectors of the kept one that it did not measure."""
    fleets = {(f["variant"], f["seed"]): f for f in (kept or {}).get("fleets", ())}
    for fleet in result["fleets"]:
        earlier = fleets.get((fleet["variant"], fleet["seed"]), {})
        all_detectors = {**earlier.get("detectors", {}), **fleet["detectors"]}
        fleets[fleet["variant"], fleet["seed"]] = {**fleet, "detectors": all_detectors}
    order = list(VARIANTS)
    ordered = sorted(fleets.values(), key=lambda f: (order.index(f["variant"]), f["seed"]))
    return {**result, "fleets": ordered}


def _fleet(
    variant: str,
    seed: int,
    names: list[str],
    config: Mapping[str, Any],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Figures of all detectors on a fleet."""
    fleet = make(variant, seed)
    out: dict[str, Any] = {
        "variant": variant,
        "seed": seed,
        "seed_is_for": "tuning" if seed in TUNING_SEEDS else "final" if seed in FINAL_SEEDS else "",
        "keys": len(fleet.keys),
        "channels": len(fleet.channels),
        "step_seconds": fleet.step_seconds,
        "key_days": fleet.key_days(),
        "zone": fleet.zone,
        "detectors": {},
    }
    for name in names:
        started = time.perf_counter()
        for model in range(options.models if name == PRODUCT else 1):
            label = name if model == 0 else f"{name}, model {model}"
            try:
                out["detectors"][label] = _figures(name, model, fleet, config, options)
            except CutForestUnavailableError as error:
                log_progress(f"  {name} is left out: {error}")
        log_progress(f"{variant} {seed}, {name}: {time.perf_counter() - started:.0f} s")
    return out


def _figures(
    name: str, model: int, fleet: Fleet, config: Mapping[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    if name != PRODUCT:
        return calibration.figures(fleet, detectors.scored(name, fleet))
    data = dataset(fleet)
    calendar = CivilCalendar(fleet.zone, fleet.holidays)  # its operator knows them
    try:
        fitted = train(data, seed=model, **{"calendar": calendar, **config})
    except (UserError, TypeError) as error:
        raise BenchmarkError(f"the product cannot be trained: {error}") from error
    return budget_figures(fleet, fitted, data, warm=options.warm, with_true_rate=options.true_rate)
