"""Tables of docs/quality.md on ordinary weeks, made of a kept result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import mean
from typing import Any, Final

from benchmarks.markdown import table

from .variants import VARIANTS

Result = Mapping[str, Any]
Rows = list[Mapping[str, Any]]

UNMEASURED: Final = "Not measured yet: `python -m benchmarks ordinary --final --save` does it.\n"
_LEAST_FAULTS = 4


def pages(result: Result) -> str:
    """Pages of each detector at each budget: mean and worst over seeds and models."""
    rows = []
    for variant, use, detectors in _variants(result):
        for name, budgets in _merged(detectors).items():
            for budget, measured in budgets.items():
                cells = _figures([row.get("new_keys", row) for row in measured])
                rows.append((f"`{variant}`, {use}", name, budget, *cells))
    return table(_HEAD, rows) if rows else UNMEASURED


def kinds(result: Result) -> str:
    """Faults of each kind that the product pages, at a page a week and as installed."""
    budgets = (".14", "default")
    counts: dict[str, dict[str, list[int]]] = {}
    for variant, _, detectors in _variants(result):
        if variant not in ("minute", "five_minutes"):
            continue
        for budget in budgets:
            for row in _merged(detectors).get("product", {}).get(budget, ()):
                for kind, (paged, faults) in row["by_kind"].items():
                    sums = counts.setdefault(kind, {b: [0, 0] for b in budgets})[budget]
                    sums[0], sums[1] = sums[0] + paged, sums[1] + faults
    rows = [
        (kind.replace("_", " "), *(f"{sums[b][0]} of {sums[b][1]}" for b in budgets))
        for kind, sums in sorted(counts.items(), key=_by_share)
        if sums[".14"][1] >= _LEAST_FAULTS
    ]
    head = ("fault", "paged at .14 a day", "as installed")
    return table(head, rows) if rows else UNMEASURED


TABLES: Final[dict[str, Callable[[Result], str]]] = {
    "ordinary-pages": pages,
    "ordinary-kinds": kinds,
}

_HEAD = (
    "fleet, seeds for",
    "detector",
    "budget",
    "false pages a key and day (worst)",
    "faults paged (worst)",
    "hidden",
    "channel named",
    "minutes to page",
    "to resolve",
)


def part(name: str, result: Result | None) -> str:
    """A table by its name, or that nothing was measured."""
    return UNMEASURED if result is None else TABLES[name](result)


def _variants(result: Result) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """Yield each variant, what its seeds are for, and the detectors of each of its fleets."""
    for variant in VARIANTS:
        for use in ("final", "tuning", ""):
            fleets = [
                fleet["detectors"]
                for fleet in result["fleets"]
                if fleet["variant"] == variant and fleet["seed_is_for"] == use
            ]
            if fleets:
                yield variant, use or "neither", fleets


def _merged(fleets: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Rows]]:
    """Rows of all fleets, and of all models of the product, by detector and budget."""
    out: dict[str, dict[str, Rows]] = {}
    for detectors in fleets:
        for label, budgets in detectors.items():
            name = label.partition(",")[0]
            for budget, row in budgets.items():
                out.setdefault(name, {}).setdefault(budget, []).append(row)
    return out


def _figures(rows: Rows) -> tuple[str, ...]:
    false = [row["false_a_day"] for row in rows]
    paged = [100.0 * row["paged"] / max(row["faults"], 1) for row in rows]
    hidden, all_hidden = (sum(row[name] for row in rows) for name in ("hidden_paged", "hidden"))
    with_channels = [row for row in rows if row["named"] is not None]
    all_paged = sum(row["paged"] for row in with_channels)
    return (
        f"{mean(false):.3f} ({max(false):.3f})",
        f"{mean(paged):.0f} % ({min(paged):.0f} %)",
        f"{hidden} of {all_hidden}" if all_hidden else "",
        f"{100.0 * sum(row['named'] for row in with_channels) / all_paged:.0f} %"
        if all_paged
        else "",
        _minutes(row["delay_minutes"] for row in rows),
        _minutes(row["resolve_minutes"] for row in rows),
    )


def _minutes(values: Iterable[float | None]) -> str:
    minutes = [value for value in values if value is not None]
    return f"{mean(minutes):.0f}" if minutes else ""


def _by_share(item: tuple[str, dict[str, list[int]]]) -> tuple[float, str]:
    paged, faults = item[1][".14"]
    return -paged / max(faults, 1), item[0]
