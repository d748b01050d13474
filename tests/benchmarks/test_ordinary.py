"""The benchmark of ordinary weeks, from the command line to the figures."""

from __future__ import annotations

import json

import pytest

from benchmarks import frame
from benchmarks.ordinary import lines
from benchmarks.paging.calibration import BUDGETS


def test_detectors_are_measured_at_equal_false_pages(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ordinary", "--variant", "single", "--seeds", "12", "--detectors", "naive_seasonal,z"]
    assert frame.main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (fleet,) = result["fleets"]
    assert (fleet["keys"], fleet["seed_is_for"]) == (1, "")
    assert fleet["detectors"].keys() == {"naive_seasonal", "z"}
    for by_budget in fleet["detectors"].values():
        assert by_budget.keys() == BUDGETS.keys()
        for row in by_budget.values():
            assert 0 <= row["named"] <= row["paged"] <= row["faults"] == 5
            assert row["hidden_paged"] <= row["hidden"] == 1
        # A larger budget does not page less at the best threshold.
        assert by_budget[".5"]["true_rate"] >= by_budget[".03"]["true_rate"]
    assert any("naive_seasonal at .14" in line for line in lines(result))


@pytest.mark.slow
def test_the_product_is_measured_at_each_budget(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ordinary", "--variant", "single", "--seeds", "12", "--detectors", "product"]
    assert frame.main([*words, "--with", "epochs=2", "--json"]) == 0
    (fleet,) = json.loads(capsys.readouterr().out)["fleets"]
    by_budget = fleet["detectors"]["product"]
    assert by_budget.keys() == {"default", *BUDGETS}
    assert by_budget["default"]["pages"] > 0


@pytest.mark.parametrize("words", [["--detectors", "guesses"], ["--with", "levels"]])
def test_a_wrong_option_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["ordinary", *words]) == 1
    assert "ordinary could not be measured" in capsys.readouterr().err
