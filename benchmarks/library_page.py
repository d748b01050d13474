"""The table of the library's figures in docs/performance.md, made of a kept result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.frame import RESULTS, kept_result
from benchmarks.markdown import table

UNMEASURED: Final = "Not measured yet: `python -m benchmarks library --save` does it.\n"


_PARTS: Final = ("reading", "strides", "exponential")


class Budget(NamedTuple):
    """Bounds of a ratio to a peer: the least, and the aim; None without an aim."""

    must: float
    aim: float | None


BUDGETS: Final[Mapping[str, Budget]] = {
    "cfc_step_vs_ncps": Budget(3.0, 10.0),
    "rbm_vs_sklearn": Budget(1.0, 3.0),
    "features_vs_pandas": Budget(5.0, None),
}


def kept(folder: Path = RESULTS) -> dict[str, Any] | None:
    """The result that was kept, or None."""
    return kept_result("library", folder)


def reached(name: str, ratio: float) -> str:
    """Name the bound that a ratio reaches."""
    budget = BUDGETS[name]
    if budget.aim is not None and ratio >= budget.aim:
        return "aim"
    return "must" if ratio >= budget.must else "**below**"


def page(result: Mapping[str, Any] | None) -> str:
    """The figures beside their peers', and time and memory by part."""
    if result is None:
        return UNMEASURED
    ratios, settings = result["ratios"], result["settings"]
    cfc, rbm, features = result["cfc"], result["rbm"], result["features"]
    ember, pandas = features["ember"], features["pandas"]
    fastest = cfc["fastest_backend"]
    rows = [
        (
            f"CfC step, {settings['keys']:,} keys, ncps on PyTorch",
            f"{cfc['microseconds'][f'fused_{fastest}']:,.0f} us ({fastest})",
            f"{cfc['microseconds']['ncps']:,.0f} us",
            "cfc_step_vs_ncps",
        ),
        (
            f"RBM, a batch of {settings['batch']}, scikit-learn's BernoulliRBM",
            f"{rbm['microseconds_per_batch']['ours']:,.0f} us",
            f"{rbm['microseconds_per_batch']['sklearn']:,.0f} us",
            "rbm_vs_sklearn",
        ),
        (
            f"features of a CSV of {ember['rows']:,} rows, pandas",
            f"{ember['rows_per_second']:,} rows/s",
            f"{pandas['rows_per_second']:,} rows/s",
            "features_vs_pandas",
        ),
    ]
    ratio_rows = []
    for comparison, ember_figure, peer_figure, name in rows:
        budget = BUDGETS[name]
        aim = "" if budget.aim is None else f"{budget.aim:g}"
        reached_bound = reached(name, ratios[name])
        ratio = f"{ratios[name]:.2f}"
        ratio_rows.append(
            (comparison, ember_figure, peer_figure, ratio, f"{budget.must:g}", aim, reached_bound)
        )
    head = ("what, beside whom", "here", "there", "times", "must", "aim", "reached")
    ratio_table = table(head, ratio_rows)
    spent_rows = [
        (
            library,
            f"{run['rows']:,}",
            f"{run['seconds']:.1f}",
            ", ".join(f"{run['cpu_seconds_by_part'][name]:.1f}" for name in _PARTS),
            f"{run['peak_gib']:.2f} GiB",
            f"{run['packages_gib']:.2f} GiB",
        )
        for library, run in (("ember_core", ember), ("pandas", pandas))
    ]
    spent_head = ("features", "rows", "seconds", "processor seconds: " + ", ".join(_PARTS))
    spent_table = table((*spent_head, "most memory", "of it packages"), spent_rows)
    machine = result["machine"]
    remark = (
        f"Measured on {machine['cpu']}, {machine['cores']} cores, a load of "
        f"{machine['load_1m']:g} beside it; one thread each, but that the library reads ahead in a "
        f"second one: by processor time the features are {features['by_cpu_time']:g} times as "
        "fast. `python -m benchmarks library --save` measures anew."
    )
    return f"{ratio_table}\n{spent_table}\n{remark}\n"
