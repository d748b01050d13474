"""The result for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SHOWN: Final = {
    "vus_pr": "VUS-PR",
    "auc_pr": "AUC-PR",
    "best_f1": "best F1",
    "f1": "F1",
    "f1_of_best": "of best",
    "ef1": "EF1",
    "event_recall": "events",
    "false_episodes_per_1000": "false/1k",
    "delay_records": "delay",
}
_MARK: Final = {
    "aim": "aim reached",
    "must": "must reached",
    "below": "BELOW",
    "short": "short of the aim",
}


def lines(result: Mapping[str, Any]) -> list[str]:
    """Tables of every set, then the goals."""
    out: list[str] = []
    for name, measured in result["sets"].items():
        out += ["", *(_nab(measured) if name == "nab" else _set(name, measured))]
    out += ["", f"{'':44}{'value':>8}{'must':>8}{'aim':>8}"]
    for row in result["table"]:
        label = f"{row['set']}: {row['figure']}"
        must = "" if row["must"] is None else f"{row['must']:.2f}"
        out.append(
            f"{label:44}{row['value']:>8.3f}{must:>8}{row['aim']:>8.2f}  {_MARK[row['reached']]}"
        )
    return out


def _set(name: str, measured: Mapping[str, Any]) -> list[str]:
    head = (
        f"{name} ({measured['keys']} keys, {measured['seeds']} seed(s), train "
        f"{measured['train_seconds']:.0f} s, score {measured['score_seconds']:.0f} s)"
    )
    out = [f"{head:44}" + "".join(f"{short:>9}" for short in SHOWN.values())]
    product = measured["product"]
    out += [_row(f"  {key}", row) for key, row in product["per_key"].items()]
    out.append(_row("  mean over keys", product["mean"]))
    if measured["seeds"] > 1:
        out.append(_row("  spread of the seeds", product["spread"]))
    worst = {figure: worst_key["value"] for figure, worst_key in product["worst"].items()}
    out += [_row("  worst key", worst), _row("  pooled", product["pooled"])]
    for part in ("conditions", "windows", "baselines", "ablations"):
        for label, figures in measured.get(part, {}).items():
            out.append(_row(f"  {label}", figures["mean"]))
    paged = {"product": measured.get("budgets", {})}
    for kind, measured_other in measured.get("windows", {}).items():
        paged[f"{kind} windows"] = measured_other.get("budgets", {})
    for kind, marked in measured.get("incidents", {}).items():
        paged[f"{kind}, incidents marked"] = marked["budgets"] or {}
    for label, by_budget in (paged | measured.get("paged others", {})).items():
        out += [_paged(f"  pages of {label} at {name}", row) for name, row in by_budget.items()]
    for part in ("explanations", "calibration", "cold start"):
        for label, value in measured.get(part, {}).items():
            if isinstance(value, Mapping):
                value = ", ".join(f"{k} {v:.3g}" for k, v in value.items() if _is_number(v))
            else:
                value = f"{value:.3g}"
            out.append(f"  {part}, {label}: {value}")
    return out


def _paged(label: str, row: Mapping[str, Any]) -> str:
    true_rate = f", {row['true_rate']} at the true rate" if "true_rate" in row else ""
    return (
        f"{label:44}{row['realised']:.3f} false a key and day, "
        f"{row['paged']} of {row['faults']} events{true_rate}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _nab(measured: Mapping[str, Any]) -> list[str]:
    head = f"nab ({measured['series']} series, {measured['seeds']} seed(s))"
    rows = {"product": measured["product"], **measured.get("baselines", {})}
    profiles = list(measured["product"])
    return [
        f"{head:44}" + "".join(f"{profile:>20}" for profile in profiles),
        *(
            f"  {label:42}" + "".join(f"{row[profile]['score']:>20.1f}" for profile in profiles)
            for label, row in rows.items()
        ),
        *(f"  at {budget:39}{score:>20.1f}" for budget, score in measured["budgets"].items()),
    ]


def _row(label: str, figures: Mapping[str, Any]) -> str:
    cells = ("" if figures.get(f) is None else f"{figures[f]:.3f}" for f in SHOWN)
    return f"{label:44}" + "".join(f"{cell:>9}" for cell in cells)
