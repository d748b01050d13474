"""The benchmark of features measures what it says."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import library_features
from benchmarks.frame import BenchmarkError


def test_both_contestants_compute_the_same_and_the_figures_are_there():
    found = library_features.measure(argparse.Namespace(rows=3001))
    assert found["largest_difference"] <= library_features.CLOSE
    assert found["ratios"].keys() == {"features_vs_pandas"}
    for name in ("ember", "pandas"):
        assert found[name]["rows_per_second"] > 0
        assert found[name]["peak_gib"] > 0


def test_rows_are_compared_where_no_window_begins_anew():
    rows = library_features.sampled(20_000_000)
    assert len(rows) > 50
    assert (rows % 1_000_000 >= 1000).all()
    assert rows[-1] < 20_000_000


def test_a_difference_is_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(library_features, "_difference", lambda _folder: np.nan)
    with pytest.raises(BenchmarkError, match="differ by nan"):
        library_features.measure(argparse.Namespace(rows=2003))
