"""Pages, reach and faults that a model leads to expect, as values and as text."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ember_core.pipeline import FleetModel
from stream.errors import UserError
from stream.expectations import caught_text, expectation_lines, expectations, require_reach
from tests.core.conftest import fit


@pytest.fixture(scope="module")
def fitted() -> FleetModel:
    return fit(epochs=1)


LEVELS = [0.2 * i for i in range(21)]  # evidence from 0 to 4, evenly


def one(size: float | None, caught: int, shift: float = 0.0) -> dict[str, Any]:
    evidence = [round(level + shift, 2) for level in LEVELS]
    return {"size": size, "faults": 20, "caught": caught, "evidence": evidence}


@pytest.fixture
def model(fitted: FleetModel) -> FleetModel:
    """A model with a report of faults at its threshold."""
    out = copy.copy(fitted)
    out.pipeline = copy.copy(fitted.pipeline)
    out.report = fitted.report | {
        "faults": {
            "keys": 2,
            "moments": 20,
            "rows": 24,
            "seconds": 240.0,
            "on": out.pipeline.motor.on,
            "reach": {"channel": 11.0, "all": 11.5},
            "kinds": {
                "level shift": [one(0.5, 19), one(1.0, 3), one(3.0, 18, 9.0), one(5.0, 20, 9.0)],
                "spike of one row": [one(0.5, 0), one(3.0, 11), one(5.0, 15)],
                "frozen value": [one(None, 19)],
            },
        }
    }
    return out


def test_a_kind_is_caught_from_the_size_from_which_on_nine_in_ten_are(model: FleetModel) -> None:
    """A smaller size that is caught by luck does not count."""
    faults = expectations(model)["faults"]
    assert [faults[kind]["caught_from"] for kind in faults] == [3.0, None, 0.0]
    assert faults["spike of one row"]["caught"] == {"0.5": 0.0, "3": 0.55, "5": 0.75}
    text = caught_text(model)
    assert text == (
        "catches 9 in 10 of: level shift from 3 usual ranges, frozen value; fewer of: spike of "
        "one row"
    )


def test_another_budget_has_other_shares(model: FleetModel) -> None:
    motor = copy.copy(model.pipeline.motor)
    motor.on = 2.0
    model.pipeline.motor = motor
    caught = expectations(model)["faults"]["spike of one row"]["caught"]
    assert caught["3"] == pytest.approx(11 / 21)


def test_the_lines_say_pages_reach_and_faults(model: FleetModel) -> None:
    lines = expectation_lines(model)
    assert lines[0].startswith("Pages: ")
    assert "per key and day" in lines[0]
    assert "by the default" in lines[0]
    assert lines[1] == "Largest evidence: a single channel can reach 11.00."
    table = {line[2:22].strip(): line[22:].split() for line in lines[3:]}
    assert table["level shift"] == ["from", "3", "ranges", "90%"]
    assert table["spike of one row"] == ["at", "no", "size", "55%"]
    assert table["frozen value"] == ["yes", "95%"]


def test_a_threshold_beyond_one_channel_is_said(model: FleetModel) -> None:
    model.report["faults"]["reach"]["channel"] = 0.1
    assert "no fault of a single channel pages" in expectation_lines(model)[1]
    require_reach(model, "1/day")


def test_a_budget_that_cannot_fire_is_refused(model: FleetModel) -> None:
    model.report["faults"]["reach"] = {"channel": 0.1, "all": 0.2}
    with pytest.raises(UserError, match="1/year can never fire"):
        require_reach(model, "1/year")


def test_models_without_the_report_are_shown_as_far_as_they_go(fitted: FleetModel) -> None:
    assert len(expectation_lines(fitted)) == 1
    assert caught_text(fitted) == ""
    require_reach(fitted, "1/year")
    short = copy.copy(fitted)
    short.report = fitted.report | {"faults": {}}
    assert "no key has enough rows" in expectation_lines(short)[1]
    bare = copy.copy(fitted)
    bare.report = {}
    assert expectations(bare)["pages_per_key_day"] == pytest.approx(1 / 30)
