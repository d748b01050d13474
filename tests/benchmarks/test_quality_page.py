"""The tables of docs/quality.md."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.quality.page import TABLES, UNMEASURED, part
from benchmarks.quality.table import judged

FOUND = {"vus_pr": 0.571, "ef1": 0.62, "false_episodes_per_1000": 0.9, "caught": 3.0, "events": 7.0}


@pytest.fixture
def result() -> dict[str, Any]:
    figures = {
        "mean": FOUND,
        "worst": {"vus_pr": {"key": "b", "value": 0.31}},
        "spread": {"vus_pr": 0.012},
        "per_key": {"a": FOUND, "b": FOUND | {"vus_pr": 0.31}, "c": {"vus_pr": None}},
    }
    budget = {"1 a day": {"realised": 0.5, "times": 0.5, "event_recall": 0.8}}
    sets = {
        "smd": {
            "keys": 3,
            "channels": 5,
            "seeds": 2,
            "product": figures,
            "baselines": {"z_mean": {"mean": {"vus_pr": 0.2}, "budgets": budget}},
            "ablations": {"features only": {"mean": {"vus_pr": 0.6}}},
            "budgets": budget,
            "calibration": {"0.01": {"expected": 100.0, "realised": 140.0, "times": 1.4}},
            "explanations": {
                "hit_in_first": 0.9,
                "hit_rate_100": 0.5,
                "hit_rate_150": 0.7,
                "z_hit_in_first": 0.8,
                "z_hit_rate_100": 0.4,
                "z_hit_rate_150": 0.6,
                "chance_in_first": 0.3,
            },
            "cold start": {"cold": 0.4, "known": 0.5, "share": 0.8},
        },
        "nab": {"product": {"standard": {"score": 49.55}}},
    }
    return {"sets": sets, "table": judged(sets)}


def test_each_figure_stands_beside_its_goal_and_what_falls_short_is_said(
    result: dict[str, Any],
) -> None:
    text = part("quality-goals", result)
    assert "| SMD | VUS-PR | 0.571 | 0.62 | 0.68 | **below** |" in text
    assert "| SMD | alarm-episode F1 | 0.620 | 0.60 | 0.72 | must |" in text
    assert "| SMD | false episodes per 1,000 | 0.900 | at most 0.80 |" in text
    assert "| NAB | standard score | 49.5 | 51.0 | 58.0 | **below** |" in text
    below = text.count("**below**")
    assert f"{below} of " in text.splitlines()[-1]


def test_every_table_has_its_rows(result: dict[str, Any]) -> None:
    assert "| z mean | 0.20 |" in part("quality-sets", result)
    assert "| features only | 0.60 |" in part("quality-sets", result)
    assert "| its worst key | 0.31 |" in part("quality-sets", result)
    assert "| spread of the seeds | 0.01 |" in part("quality-sets", result)
    product = part("quality-sets", result).splitlines()[6]
    assert "| 0.90 | 1.30 |" in product, "of 1,440 records a day"
    first = part("quality-worst", result).splitlines()[2]
    assert first == "| SMD | `b` | 0.31 | 3 of 7 | 0.90 |"
    assert "| SMD | z_mean | 1 a day | 0.50 | 0.50 | 0.80 |" in part("quality-budgets", result)
    assert "| SMD | 0.01 | 100 | 140 | 1.40 |" in part("quality-calibration", result)
    assert "| SMD | chance | 0.30 |" in part("quality-explanations", result)
    assert "| SMD | 0.40 | 0.50 | 0.80 |" in part("quality-cold-start", result)


@pytest.mark.parametrize("name", TABLES)
def test_what_was_not_measured_is_no_error(name: str) -> None:
    assert part(name, None) == UNMEASURED
    assert part(name, {"sets": {}, "table": []})
