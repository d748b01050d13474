"""Training, validation and test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.columns import split


@given(
    rows=st.integers(1, 97),
    seed=st.integers(0, 9),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (0.0, 1.0)]),
)
def test_every_row_is_in_one_part(rows, seed, shares):
    for parts in (split(np.arange(rows), shares, seed=seed), split(np.arange(rows), shares)):
        assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
        for part, share in zip(parts, shares, strict=True):
            assert abs(len(part) - share * rows) <= 1


def test_a_seed_repeats_and_another_differs():
    one, two, other = (split(np.arange(97), seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert one == two != other
    assert one == sorted(one)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_by_time_nothing_is_older_than_an_earlier_part(make):
    times = np.random.default_rng(0).integers(0, 13, 97)
    train, validation, test = split(make({"t": times, "x": np.arange(97)}), time="t")
    assert type(train) is type(make({}))
    assert max(train["t"]) < min(validation["t"]) <= max(validation["t"]) < min(test["t"])
    assert len(train) + len(validation) + len(test) == 97


def test_times_with_zones_are_ordered():
    frame = pd.DataFrame({"t": pd.date_range("2024", periods=10, tz="Asia/Tokyo")[::-1]})
    train, _, test = split(frame, time="t")
    assert train["t"].max() < test["t"].min()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"shares": (0.5, 0.4)}, "sum to 1"),
        ({"shares": ()}, "sum to 1"),
        ({"time": "t", "seed": 1}, "time or seed"),
        ({"time": "u"}, "Expected one of t"),
        ({"time": "t"}, "row 1"),
    ],
)
def test_what_cannot_be_divided_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        split(pd.DataFrame({"t": [1.0, None]}), **arguments)
