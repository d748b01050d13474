"""Simulated months with and without retraining."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from benchmarks import frame, retraining
from benchmarks.retraining.season import INCIDENTS, Season, simulate, with_incident

STEP, KEYS = 3600.0, 6


@pytest.fixture(scope="module")
def season() -> Season:
    return simulate(1, KEYS, before=14.0, days=40.0, step=STEP)


def test_the_season_drifts_and_the_first_history_does_not(season: Season) -> None:
    requests = 4

    def mean(first: float, end: float, name: bytes) -> float:
        (part,) = [s for s in season.between(first, end) if s.key == name]
        return float(np.nanmean(part.values[:, requests]))

    for s in season.series:
        if s.key.startswith(b"batch"):
            continue  # its load comes in bursts
        early, begin, late = (mean(a, a + 7.0, s.key) for a in (-14.0, -7.0, 33.0))
        assert begin / early == pytest.approx(1.0, abs=0.25)
        assert late / begin > 1.1


def test_incidents_are_in_the_days_of_service(season: Season) -> None:
    assert len(season.incidents) == INCIDENTS
    for incident in season.incidents:
        assert season.begin_us < incident.start_us <= incident.end_us < season.day(40.0)
        assert incident.key in {s.key for s in season.series}


def test_a_week_of_incident_changes_its_days_alone(season: Season) -> None:
    poisoned = with_incident(season, 10.0, 17.0, seed=0)
    for clean, faulty in zip(season.series, poisoned.series, strict=True):
        inside = (clean.time_us >= season.day(10.0)) & (clean.time_us < season.day(17.0))
        changed = ~np.isclose(clean.values, faulty.values, equal_nan=True)
        assert not changed[~inside].any()
        assert changed[inside].any(axis=1).mean() > 0.99


def week(first: float, pages: float) -> dict[str, Any]:
    side = {"pages_per_key_day": pages, "incidents_paged": 1, "faults_caught": 0.5}
    return {
        "first_day": first,
        "end_day": first + 7.0,
        "faults": 9,
        retraining.WITH: side,
        retraining.WITHOUT: side | {"faults_caught": 0.25},
    }


def test_the_page_has_a_line_for_each_week() -> None:
    result = {"weeks": [week(0.0, 0.125), week(7.0, 0.25)]}
    lines = retraining.page(result).splitlines()
    assert len(lines) == 4
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "0 to 7",
        "0.12",
        "50%",
        "0.12",
        "25%",
    ]


def test_refusals_are_said_with_their_reasons() -> None:
    verdict = {"accepted": False, "reasons": ["It pages too often."], "figures": {}}
    result = {
        "weeks": [week(0.0, 0.1)],
        "retrainings": [{"day": 7.0, **verdict}, {"day": 14.0, **verdict, "accepted": True}],
        "poisoned": verdict,
        "budget_per_key_day": 0.143,
    }
    result["incidents"] = 5
    assert "Of 2 retrainings the gate refused 1. Of 5 incidents 1 were" in retraining.part(result)
    assert "Not measured" in retraining.part(None)
    text = "\n".join(retraining.lines(result))
    assert "retrainings refused: 1 of 2" in text
    assert "day 7: It pages too often." in text
    assert "poisoned history: refused" in text


@pytest.mark.slow
def test_it_retrains_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--keys 9 --days 15 --retrainings 1 --step 1800 --epochs 1 --json"
    assert frame.main(["retraining", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [w["first_day"] for w in result["weeks"]] == [0.0, 7.0, 8.0]
    assert len(result["retrainings"]) == 1
    for name in (retraining.WITH, retraining.WITHOUT):
        assert all(0.0 <= w[name]["faults_caught"] <= 1.0 for w in result["weeks"])
    assert result["poisoned"]["figures"]["keys"] == 9
