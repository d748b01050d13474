"""`python -m benchmarks cold_start`: a key that the model has never seen, row by row.

Some keys of each set are held out of training. Then they begin, at many places: before each fault,
on healthy rows, and amid a fault. A model that knows them stands beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.variants import TUNING_SEEDS
from ember_core.pipeline import FleetModel
from stream.errors import UserError
from stream.training import train

from .beginnings import AGES, begun
from .figures import figures
from .sets import SETS, ColdSet, load

_REFERENCE: Final = 500
"""Rows before a fault of a key that the model knows: its windows have settled."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sets, and the seed of the generated one."""
    parser.add_argument("--sets", default=",".join(SETS), help=f"some of {','.join(SETS)}")
    parser.add_argument(
        "--seed", type=int, default=TUNING_SEEDS[0], help="seed of the generated fleet"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the sets.

    Raises:
        BenchmarkError: If there is no such set, or it cannot be trained on.
    """
    names = options.sets.split(",")
    if unknown := set(names) - set(SETS):
        raise BenchmarkError(
            f"there is no such set. Expected some of {','.join(SETS)}. "
            f"Received: {','.join(sorted(unknown))}."
        )
    return {"ages": AGES, "sets": {name: _measured(load(name, options.seed)) for name in names}}


def with_kept(kept: Mapping[str, Any] | None, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with the sets of the kept one that it did not measure."""
    return {**result, "sets": {**(kept or {}).get("sets", {}), **result["sets"]}}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as Markdown."""
    rows = []
    for name, set_figures in result["sets"].items():
        for age, cold in set_figures["cold"]["by_age"].items():
            rows.append(
                (
                    name,
                    str(age),
                    _percent(cold["vus_pr"], set_figures["known"]["vus_pr"]),
                    f"{cold['false_a_day']:.2f}",
                    f"{cold['caught']} of {cold['faults']}",
                )
            )
        settled, broken = set_figures["known"], set_figures["cold"]["broken"]
        counts = f"{settled['caught']} of {settled['faults']}"
        rows.append((name, "known", "100 %", f"{settled['false_a_day']:.2f}", counts))
        rows.append(
            (name, "begins in a fault", "", "", f"{broken['caught']} of {broken['faults']}")
        )
    head = ("set", "rows", "VUS-PR of a known key's", "false triggers a day", "faults caught")
    return table(head, rows).splitlines()


def _percent(value: float | None, whole: float | None) -> str:
    return f"{100.0 * value / whole:.0f} %" if value is not None and whole else "-"


def _measured(cold_set: ColdSet) -> dict[str, Any]:
    """Figures of the keys held out, and of the same keys where the model knows them."""
    started = time.perf_counter()
    known_model = _fitted(cold_set, ())
    cold, known_keys = [], []
    for held_out in cold_set.folds:
        model = _fitted(cold_set, held_out)
        for k in held_out:
            cold += begun(model, cold_set, k, AGES)
            known_keys += begun(known_model, cold_set, k, (_REFERENCE,), known=True)
        log_progress(f"{cold_set.name}: {time.perf_counter() - started:.0f} s")
    known_figures = figures(known_keys, (_REFERENCE,), cold_set)
    return {
        "cold": figures(cold, AGES, cold_set),
        "known": {**known_figures["by_age"][_REFERENCE], **known_figures["settled"]},
        "confidence": known_model.report.get("unseen_keys", {}).get("confidence"),
        "seed": cold_set.seed,
        "held_out": [[cold_set.dataset.tables[k].key.decode() for k in f] for f in cold_set.folds],
    }


def _fitted(cold_set: ColdSet, held_out: tuple[int, ...]) -> FleetModel:
    """A model of the keys that are not held out."""
    try:
        return train(cold_set.without(held_out), **cold_set.options)
    except UserError as error:
        raise BenchmarkError(f"the product cannot be trained: {error}") from error
