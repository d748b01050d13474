"""Tables of docs/quality.md, made of a kept result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.markdown import table
from benchmarks.quality.sets import FAMILIES

Result = Mapping[str, Any]

UNMEASURED: Final = "Not measured yet: `python -m benchmarks quality --save` does it.\n"
NAMES: Final = {
    "smd": "SMD",
    "smd2": "SMD, five machines that drift",
    "asd": "ASD",
    "skab": "SKAB valve1",
    "gecco": "GECCO water",
    "mscloud": "Microsoft cloud",
    "kpi": "KPIs",
    "nab": "NAB",
}
FIGURES: Final = {
    "vus_pr": "VUS-PR",
    "auc_pr": "AUC-PR",
    "best_f1": "best F1",
    "f1": "causal F1",
    "ef1": "episode F1",
    "event_recall": "events caught",
    "false_episodes_per_1000": "false episodes per 1,000",
    "false_episodes_a_day": "a key and day",
    "delay_records": "delay, records",
}
_REACHED: Final = {"aim": "aim", "must": "must", "below": "**below**", "short": "short of the aim"}


def goals(result: Result) -> str:
    """Every figure beside what it must reach."""
    rows = [
        (
            NAMES[row["set"]],
            row["figure"],
            f"{row['value']:.3f}" if row["value"] < 10 else _number(row["value"]),
            _bound(row, "must"),
            _bound(row, "aim"),
            _REACHED[row["reached"]],
        )
        for row in result["table"]
    ]
    below_must = sum(row["reached"] == "below" for row in result["table"])
    remark = f"Below the bound: {below_must} of {len(rows)}."
    return table(("set", "figure", "measured", "must", "aim", "reached"), rows) + f"\n{remark}\n"


def sets(result: Result) -> str:
    """The product, its worst key, other detectors and the chain's parts, per set."""
    parts = []
    for name, measured in _telemetry(result):
        worst = {
            figure: worst_key["value"] for figure, worst_key in measured["product"]["worst"].items()
        }
        labelled = [("**product**", measured["product"]["mean"]), ("its worst key", worst)]
        if measured["seeds"] > 1:
            labelled.append(("spread of the seeds", measured["product"]["spread"]))
        for part in ("conditions", "windows", "baselines", "ablations"):
            labelled += [(label, row["mean"]) for label, row in measured.get(part, {}).items()]
        rows = [_row(name, label, figures) for label, figures in labelled]
        head = f"### {NAMES[name]}\n\n{measured['keys']} keys, {measured['channels']} channels, "
        head += f"{measured['seeds']} seed{'s' * (measured['seeds'] > 1)}; means over the keys.\n\n"
        parts.append(head + table(("", *FIGURES.values()), rows))
    return "\n".join(parts) or UNMEASURED


def worst(result: Result) -> str:
    """Tabulate the worst keys and the events missed there."""
    rows = [
        (
            NAMES[name],
            f"`{key}`",
            _number(row.get("vus_pr")),
            f"{row.get('caught') or 0:.0f} of {row.get('events') or 0:.0f}",
            _number(row.get("false_episodes_per_1000")),
        )
        for name, measured in _telemetry(result)
        for key, row in sorted(measured["product"]["per_key"].items(), key=_by_vus)[:3]
    ]
    return table(("set", "key", "VUS-PR", "events caught", "false episodes per 1,000"), rows)


def budgets(result: Result) -> str:
    """Budgets against what there was, also of other detectors."""
    rows = []
    for name, measured in _telemetry(result):
        sources = {"product": measured.get("budgets", {})}
        for kind, measured_other in measured.get("windows", {}).items():
            sources[f"product, {kind} windows"] = measured_other.get("budgets", {})
        for kind, marked in measured.get("incidents", {}).items():
            sources[f"product, {kind}, incidents marked"] = marked["budgets"] or {}
        sources |= {k: v.get("budgets", {}) for k, v in measured.get("baselines", {}).items()}
        sources |= measured.get("paged others", {})
        rows += [
            (
                NAMES[name],
                source,
                budget,
                _number(row["realised"]),
                _number(row["times"]),
                _number(row["event_recall"]),
            )
            for source, by_budget in sources.items()
            for budget, row in by_budget.items()
            if "times" in row
        ]
    head = ("set", "detector", "budget", "false a key and day", "times the budget", "events caught")
    return table(head, rows) if rows else UNMEASURED


def calibration(result: Result) -> str:
    """Probabilities against how often they came."""
    rows = [
        (
            NAMES[name],
            level,
            f"{row['expected']:,.0f}",
            f"{row['realised']:,.0f}",
            _number(row["times"]),
        )
        for name, measured in _telemetry(result)
        for level, row in measured.get("calibration", {}).items()
    ]
    head = ("set", "probability at most", "records expected", "records there were", "ratio")
    return table(head, rows) if rows else UNMEASURED


def explanations(result: Result) -> str:
    """Channels named, against the true ones."""
    rows = []
    for name, measured in _telemetry(result):
        ranking = measured.get("explanations")
        if ranking:
            figures = ("hit_in_first", "hit_rate_100", "hit_rate_150")
            rows.append((NAMES[name], "product", *(_number(ranking[n]) for n in figures)))
            rows.append((NAMES[name], "z-score", *(_number(ranking[f"z_{n}"]) for n in figures)))
            rows.append((NAMES[name], "chance", _number(ranking["chance_in_first"]), "", ""))
    head = ("set", "ranking", "true channel among the first three", "HitRate@100", "HitRate@150")
    return table(head, rows) if rows else UNMEASURED


def cold_start(result: Result) -> str:
    """A key never seen, against the same key known."""
    rows = [
        (NAMES[name], *(_number(measured["cold start"][w]) for w in ("cold", "known", "share")))
        for name, measured in _telemetry(result)
        if "cold start" in measured
    ]
    return table(("set", "VUS-PR, never seen", "known", "share"), rows) if rows else UNMEASURED


def nab(result: Result) -> str:
    """Scores of NAB by profile."""
    measured = result["sets"].get("nab")
    if not measured:
        return UNMEASURED
    detectors = {"product": measured["product"], **measured.get("baselines", {})}
    rows = [
        (label, *(f"{row[profile]['score']:.1f}" for profile in measured["product"]))
        for label, row in detectors.items()
    ]
    return table(("detector", *(f"`{p}`" for p in measured["product"])), rows)


TABLES: Final[dict[str, Callable[[Result], str]]] = {
    f"quality-{name.replace('_', '-')}": make
    for name, make in {
        "goals": goals,
        "sets": sets,
        "worst": worst,
        "budgets": budgets,
        "calibration": calibration,
        "explanations": explanations,
        "cold_start": cold_start,
        "nab": nab,
    }.items()
}


def part(name: str, result: Result | None) -> str:
    """A table by its name, or that nothing was measured."""
    return UNMEASURED if result is None else TABLES[name](result)


def _telemetry(result: Result) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, measured) for name, measured in result["sets"].items() if name != "nab"]


def _by_vus(item: tuple[str, Mapping[str, Any]]) -> float:
    value = item[1].get("vus_pr")
    return float("inf") if value is None else float(value)


def _row(name: str, label: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table of the set `name`."""
    a_day = figures.get("false_episodes_per_1000")
    if a_day is not None and name in FAMILIES:
        figures = {**figures, "false_episodes_a_day": a_day * FAMILIES[name].records_a_day / 1000}
    return (label.replace("_", " "), *(_number(figures.get(n)) for n in FIGURES))


def _number(value: float | None) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _bound(row: Mapping[str, Any], which: str) -> str:
    if row[which] is None:
        return ""
    return ("at most " if row["at_most"] else "") + _number(row[which])
