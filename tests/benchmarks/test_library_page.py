"""The table of the library's figures, and the figures that were kept."""

from __future__ import annotations

import pytest

from benchmarks import library_features
from benchmarks.library_page import BUDGETS, UNMEASURED, kept, page, reached


def test_without_a_result_the_page_says_how_to_get_one():
    assert page(None) == UNMEASURED


def test_a_ratio_is_held_against_its_bounds():
    assert [reached("cfc_step_vs_ncps", r) for r in (2.99, 3.0, 10.0)] == [
        "**below**",
        "must",
        "aim",
    ]
    assert reached("features_vs_pandas", 100.0) == "must"


@pytest.fixture(scope="module")
def result():
    found = kept()
    if found is None:
        pytest.skip("no whole run was kept: python -m benchmarks library --save")
    return found


def test_the_kept_result_has_every_ratio(result):
    assert result["ratios"].keys() == BUDGETS.keys()


def test_the_kept_result_is_of_the_whole_file_and_stayed_under_the_cap(result):
    features = result["features"]
    assert features["ember"]["rows"] == 20_000_000
    assert features["ember"]["peak_gib"] <= library_features.CAP_GIB
    assert features["largest_difference"] <= library_features.CLOSE
    assert result["cfc"]["largest_difference"] < 1e-5


def test_the_page_shows_every_ratio(result):
    shown = page(result)
    for name, ratio in result["ratios"].items():
        (line,) = (row for row in shown.splitlines() if f"| {ratio:.2f} |" in row)
        assert line.endswith(f"| {reached(name, ratio)} |")
