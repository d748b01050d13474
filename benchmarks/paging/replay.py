"""Pages of the product over a fleet, replayed as `ember backtest` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from stream.backtest import backtest
from stream.records import Event

from .assessment import Page, assess, assessed
from .calibration import BUDGETS, most
from .fleet import Fleet

DEFAULT: Final = "default"
# Budgets a week at which a true rate is looked for, beside the three.
_GRID: Final = (70.0, 28.0, 14.0, 7.0, 0.5, 0.1, 0.03, 0.01, 0.001)


def budget_figures(
    fleet: Fleet,
    model: FleetModel,
    data: Dataset,
    *,
    time_factor: float = 1.0,
    warm: bool = False,
    with_true_rate: bool = False,
) -> dict[str, dict[str, Any]]:
    """Operator's figures of a model as installed, and at each budget.

    Args:
        fleet: Records and faults.
        model: The model; its threshold is put back at the end.
        data: The same records as the product reads them.
        time_factor: Real seconds in a second of `data`, whose times may be mere record numbers.
        warm: Feed the training rows first.
        with_true_rate: Also the most faults paged at any budget whose false pages keep to it.
    """
    motor = model.pipeline.motor

    def replayed() -> list[Page]:
        return pages_of(backtest(model, data, warm=warm).events, time_factor)

    out = {DEFAULT: assessed(fleet, replayed())}
    for name, a_day in BUDGETS.items():
        model.configure(budget_per_week=7.0 * a_day * time_factor)
        out[name] = assessed(fleet, replayed())
    if with_true_rate:
        results = [(row["false_a_day"], row["paged"]) for row in out.values()]
        for per_week in _GRID:
            model.configure(budget_per_week=per_week * time_factor)
            figures = assess(fleet, replayed())
            results.append((figures.false_a_day, figures.paged))
        for name, a_day in BUDGETS.items():
            out[name]["true_rate"] = most(results, a_day)
    model.pipeline.motor = motor
    return out


def pages_of(events: Sequence[Event], time_factor: float = 1.0) -> list[Page]:
    """Triggers among events, as pages in real time."""
    out = []
    for event in events:
        if event.kind != "trigger":
            continue
        body = json.loads(event.body)
        names = tuple(channel["name"] for channel in body.get("top_channels") or ())
        lone = body["labels"].get("channel")
        if lone is not None:
            names = (lone, *names)
        out.append(
            Page(event.key.decode(), round(event.time_us * time_factor), body["status"], names)
        )
    return out
