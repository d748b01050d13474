"""The product over a fleet: trained as `ember train` does, replayed as `ember backtest` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.frame import BenchmarkError
from benchmarks.paging.assessment import Page, assess
from benchmarks.paging.calibration import BUDGETS, most
from benchmarks.paging.fleet import Fleet
from ember_core.pipeline import FleetModel
from stream.backtest import backtest
from stream.errors import UserError
from stream.records import Event
from stream.training import train

from .write import dataset

DEFAULT: Final = "default"
# Budgets per week at which the true rate is looked for, beside those asked.
_GRID: Final = (70.0, 28.0, 14.0, 7.0, 3.5, 1.0, 0.5, 0.23, 0.1, 0.03, 0.01, 0.001)


def trained(fleet: Fleet, seed: int, options: Mapping[str, Any]) -> FleetModel:
    """A model of the fleet's training rows.

    Raises:
        BenchmarkError: If the product refuses the data or the options.
    """
    try:
        return train(dataset(fleet), seed=seed, **options)
    except (UserError, TypeError) as error:
        raise BenchmarkError(f"the product cannot be trained: {error}") from error


def pages(fleet: Fleet, model: FleetModel, *, warm: bool = False) -> list[Page]:
    """Pages of the product in the scored part."""
    return pages_of(backtest(model, dataset(fleet), warm=warm).events)


def pages_of(events: Sequence[Event]) -> list[Page]:
    """Triggers among events, as pages."""
    out = []
    for event in events:
        if event.kind != "trigger":
            continue
        body = json.loads(event.body)
        names = tuple(channel["name"] for channel in body.get("top_channels") or ())
        lone = body["labels"].get("channel")
        if lone is not None:
            names = (lone, *names)
        out.append(Page(event.key.decode(), event.time_us, body["status"], names))
    return out


def figures(
    fleet: Fleet, model: FleetModel, *, warm: bool = False, true_rate: bool = False
) -> dict[str, dict[str, object]]:
    """Operator's figures of the model as installed, and at each budget.

    Args:
        fleet: The fleet.
        model: The model; its thresholds are changed.
        warm: Feed the training rows first.
        true_rate: Also the most faults paged at any budget that keeps the false pages within each.
    """
    motor = model.pipeline.motor
    results = [assess(fleet, pages(fleet, model, warm=warm))]
    out: dict[str, dict[str, object]] = {DEFAULT: results[0].as_dict()}
    for name, a_day in BUDGETS.items():
        model.configure(budget_per_week=7.0 * a_day)
        results.append(assess(fleet, pages(fleet, model, warm=warm)))
        out[name] = results[-1].as_dict()
    if true_rate:
        for per_week in _GRID:
            model.configure(budget_per_week=per_week)
            results.append(assess(fleet, pages(fleet, model, warm=warm)))
        for name, a_day in BUDGETS.items():
            out[name]["true_rate"] = most(results, a_day)
    model.pipeline.motor = motor
    return out
