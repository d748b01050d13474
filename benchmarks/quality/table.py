"""Bounds, and the measured figures beside them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import Any, Final, NamedTuple

Path = tuple[str, ...]


class Goal(NamedTuple):
    """A figure that must reach a value."""

    set: str
    figure: str
    path: Path
    """Where it stands in the result of its set."""
    must: float
    aim: float
    at_most: bool = False
    """Less is better."""


_PRODUCT: Final = ("product", "mean")

GOALS: Final = (
    Goal("smd", "VUS-PR", (*_PRODUCT, "vus_pr"), 0.62, 0.68),
    Goal("smd", "AUC-PR", (*_PRODUCT, "auc_pr"), 0.54, 0.62),
    Goal("smd", "alarm-episode F1", (*_PRODUCT, "ef1"), 0.60, 0.72),
    Goal("smd", "false episodes per 1,000", (*_PRODUCT, "false_episodes_per_1000"), 0.8, 0.5, True),
    Goal("smd", "trigger's share of the best F1", (*_PRODUCT, "f1_of_best"), 0.6, 0.8),
    Goal("asd", "VUS-PR", (*_PRODUCT, "vus_pr"), 0.49, 0.58),
    Goal("asd", "VUS-PR, half lost", ("conditions", "half lost", "mean", "vus_pr"), 0.46, 0.52),
    Goal("asd", "VUS-PR, outages", ("conditions", "outages", "mean", "vus_pr"), 0.32, 0.40),
    Goal(
        "asd",
        "VUS-PR, half lost, trained on all",
        ("conditions", "live: half lost", "mean", "vus_pr"),
        0.46,
        0.52,
    ),
    Goal(
        "asd",
        "VUS-PR, outages, trained on all",
        ("conditions", "live: outages", "mean", "vus_pr"),
        0.32,
        0.40,
    ),
    Goal("asd", "causal point F1", (*_PRODUCT, "f1"), 0.36, 0.45),
    Goal("asd", "alarm-episode F1", (*_PRODUCT, "ef1"), 0.60, 0.72),
    Goal("asd", "false episodes per 1,000", (*_PRODUCT, "false_episodes_per_1000"), 0.3, 0.1, True),
    Goal("asd", "trigger's share of the best F1", (*_PRODUCT, "f1_of_best"), 0.6, 0.8),
    *(
        goal
        for name in ("smd", "asd")
        for goal in (
            Goal(
                name,
                "true channel among the first three",
                ("explanations", "hit_in_first"),
                0.6,
                0.8,
            ),
            Goal(name, "cold start, share of VUS-PR", ("cold start", "share"), 0.8, 0.95),
        )
    ),
    *(
        Goal(
            name,
            f"false pages, times the budget of {budget} a key and day",
            ("budgets", budget, "times"),
            2.5,
            1.5,
            True,
        )
        for name in ("smd", "smd2", "asd", "gecco", "mscloud", "kpi")
        for budget in (".5", ".14")
    ),
    *(
        Goal(
            name,
            "records of probability 1e-4, times as many as it says",
            ("calibration", "0.0001", "times"),
            5.0,
            2.0,
            True,
        )
        for name in ("smd", "smd2", "asd", "skab", "gecco", "mscloud", "kpi")
    ),
    Goal("smd2", "VUS-PR", (*_PRODUCT, "vus_pr"), 0.46, 0.50),
    Goal("gecco", "VUS-PR", (*_PRODUCT, "vus_pr"), 0.67, 0.75),
    Goal("gecco", "events paged at .5 a day", ("budgets", ".5", "paged"), 25, 35),
    Goal("gecco", "events paged at .14 a day", ("budgets", ".14", "paged"), 15, 29),
    Goal("skab", "pooled point F1", ("product", "pooled", "f1"), 0.76, 0.82),
    Goal(
        "skab",
        "pooled false episodes per 1,000",
        ("product", "pooled", "false_episodes_per_1000"),
        float("inf"),
        2.0,
        True,
    ),
    Goal("skab", "trigger's share of the best F1", (*_PRODUCT, "f1_of_best"), 0.6, 0.8),
    Goal("nab", "standard score", ("product", "standard", "score"), 51.0, 58.0),
)


REPLACED: Final = {"windows of rows", "linear VAR"}
"""Arrangements with another part in the place of the product's, instead of none."""

# The chain's VUS-PR less that of the best arrangement without, or with another, of its parts.
FULL_CHAIN: Final = tuple(
    goal
    for name in ("smd", "asd", "skab")
    for goal in (
        Goal(name, "VUS-PR ahead of the best ablation", (), -0.01, 0.0),
        Goal(name, "VUS-PR ahead of the best replacement", (), float("-inf"), 0.0),
    )
)


def judged(sets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every goal whose figure was measured: `set`, `figure`, `value`, `must`, `aim`, `reached`.

    `reached` is `aim`, `must` or `below`, and `short` of the aim where the must is None.
    """
    rows = []
    for goal in (*GOALS, *FULL_CHAIN):
        measured = sets.get(goal.set, {})
        replaced = goal.figure.endswith("replacement")
        value = _at(measured, goal.path) if goal.path else _ahead(measured, replaced=replaced)
        if value is None:
            continue
        sign = -1.0 if goal.at_most else 1.0
        verdict = "below"
        if sign * value >= sign * goal.aim:
            verdict = "aim"
        elif isinf(goal.must):
            verdict = "short"
        elif sign * value >= sign * goal.must:
            verdict = "must"
        rows.append(
            {
                "set": goal.set,
                "figure": goal.figure,
                "value": value,
                "must": None if isinf(goal.must) else goal.must,
                "aim": goal.aim,
                "at_most": goal.at_most,
                "reached": verdict,
            }
        )
    return rows


def _ahead(measured: Mapping[str, Any], *, replaced: bool) -> float | None:
    """Difference between the product's VUS-PR and that of the best such arrangement, over seeds."""
    ablations = measured.get("ablations", {})
    rivals = [
        ablations[name]["mean"]["vus_pr"] for name in ablations if (name in REPLACED) == replaced
    ]
    return measured["product"]["mean"]["vus_pr"] - max(rivals) if rivals else None


def _at(tree: Any, path: Path) -> float | None:
    for name in path:
        if not isinstance(tree, Mapping) or name not in tree:
            return None
        tree = tree[name]
    return None if tree is None else float(tree)
