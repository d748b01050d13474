"""Results that are kept: read, and joined with what a run did not measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ordinary, quality
from benchmarks.frame import kept_result
from benchmarks.ordinary.page import TABLES, UNMEASURED, part


def _row(false: float, paged: int, **more: Any) -> dict[str, Any]:
    return {
        "false_a_day": false,
        "paged": paged,
        "faults": 48,
        "named": paged - 1,
        "hidden": 6,
        "hidden_paged": 5,
        "delay_minutes": 12.0,
        "resolve_minutes": None,
        "by_kind": {"busy_loop": (2, 3), "spike": (1, 6)},
        **more,
    }


def _fleet(variant: str, seed: int, **detectors: Any) -> dict[str, Any]:
    use = "tuning" if seed in (11, 21) else "final"
    return {"variant": variant, "seed": seed, "seed_is_for": use, "detectors": detectors}


def test_a_kept_result_is_read(tmp_path: Path) -> None:
    assert kept_result("quality", tmp_path) is None
    (tmp_path / "quality.json").write_text(json.dumps({"sets": {}}))
    assert kept_result("quality", tmp_path) == {"sets": {}}


def test_sets_that_were_not_measured_stay_and_are_judged_again() -> None:
    smd = {"product": {"mean": {"vus_pr": 0.63}}}
    gecco = {"product": {"mean": {"vus_pr": 0.7}}}
    kept = {"sets": {"gecco": gecco, "smd": {"product": {"mean": {"vus_pr": 0.1}}}}, "table": []}
    joined = quality.with_kept(kept, {"sets": {"smd": smd}, "table": [], "seconds": 3.0})
    assert joined["sets"] == {"smd": smd, "gecco": gecco}
    assert {(row["set"], row["value"]) for row in joined["table"]} == {
        ("smd", 0.63),
        ("gecco", 0.7),
    }
    assert quality.with_kept(None, {"sets": {"smd": smd}})["sets"] == {"smd": smd}


def test_fleets_and_detectors_that_were_not_measured_stay() -> None:
    kept = {
        "fleets": [
            _fleet("five_minutes", 101, product={"default": 1}),
            _fleet("minute", 101, product={"default": 2}, z={"default": 3}),
        ]
    }
    new = {"fleets": [_fleet("minute", 101, product={"default": 4})]}
    joined = ordinary.with_kept(kept, new)["fleets"]
    assert [(f["variant"], f["detectors"]) for f in joined] == [
        ("minute", {"product": {"default": 4}, "z": {"default": 3}}),
        ("five_minutes", {"product": {"default": 1}}),
    ]


def test_figures_are_means_and_worst_over_seeds_and_models() -> None:
    result = {
        "fleets": [
            _fleet(
                "minute",
                101,
                **{
                    "product": {".14": _row(0.1, 36)},
                    "product, model 1": {".14": _row(0.2, 24)},
                },
            ),
            _fleet("minute", 11, product={".14": _row(0.4, 12)}),
        ]
    }
    lines = part("ordinary-pages", result).splitlines()
    final, tuning = lines[2], lines[3]
    assert final.startswith("| `minute`, final | product | .14 | 0.150 (0.200) | 62 % (50 %) |")
    assert "| 10 of 12 | 97 % | 12 |  |" in final
    assert "| `minute`, tuning | product | .14 | 0.400 (0.400) |" in tuning


def test_new_keys_count_where_there_are_new_keys() -> None:
    row = _row(0.1, 36, new_keys=_row(0.3, 12))
    table = part("ordinary-pages", {"fleets": [_fleet("new_keys", 101, product={".14": row})]})
    assert "| 0.300 (0.300) | 25 % (25 %) |" in table


def test_kinds_are_sorted_by_what_is_paged() -> None:
    budgets = {".14": _row(0.1, 36), "default": _row(0.1, 30, by_kind={"spike": (0, 6)})}
    table = part(
        "ordinary-kinds", {"fleets": [_fleet("minute", s, product=budgets) for s in (1, 2)]}
    )
    assert table.splitlines()[2:] == [
        "| busy loop | 4 of 6 | 0 of 0 |",
        "| spike | 2 of 12 | 0 of 12 |",
    ]


@pytest.mark.parametrize("name", TABLES)
def test_what_was_not_measured_is_no_error(name: str) -> None:
    assert part(name, None) == UNMEASURED
    assert part(name, {"fleets": []}) == UNMEASURED
