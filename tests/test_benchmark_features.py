"""The benchmark of features measures what it says."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import library_features
from benchmarks.frame import BenchmarkError


def test_both_contestants_compute_the_same_and_the_figures_are_there():
    found = library_features.measure(argparse.Namespace(rows=3001, pandas_rows=2003))
    assert found["largest_difference"] <= library_features.CLOSE
    assert found["ratios"].keys() == {"features_vs_pandas"}
    for name in ("ember", "pandas"):
        assert found[name]["rows_per_second"] > 0
        assert found[name]["peak_gib"] >= found[name]["packages_gib"] > 0
        assert set(found[name]["cpu_seconds_by_part"]) == {"strides", "exponential", "reading"}
    assert (found["ember"]["rows"], found["pandas"]["rows"]) == (3001, 2003)


def test_the_file_has_the_rows_it_should_and_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(library_features, "_BLOCK_ROWS", 7)
    library_features.write(tmp_path / "x.csv", 17)
    header, *rows = (tmp_path / "x.csv").read_text().splitlines()
    assert header == "c0,c1,c2,c3,c4,c5,c6,c7"
    assert len(rows) == 17
    assert rows[:7] == rows[7:14]
    assert rows[14:] == rows[:3]
    assert len(set(rows)) == 7


def test_rows_are_compared_where_no_window_begins_anew():
    rows = library_features.sampled(20_000_000)
    assert len(rows) > 50
    assert (rows % 1_000_000 >= 1000).all()
    assert rows[-1] < 20_000_000


def test_a_difference_is_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(library_features, "_difference", lambda _folder: np.nan)
    with pytest.raises(BenchmarkError, match="differ by nan"):
        library_features.measure(argparse.Namespace(rows=2003, pandas_rows=2003))
