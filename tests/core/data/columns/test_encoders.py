"""Categories, texts and times as numbers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing

from ember_core.data.columns import (
    HashEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
    components,
    cyclical,
    hashed_text,
    stable_hash,
    text_basics,
)

RACKS = np.array([*"cabbacabccbaacb", None, "d"], dtype=object)
UNSEEN = np.array(["a", "z", None, "d"], dtype=object)


def test_one_hot_is_scikit_learns_with_zeros_for_the_unseen():
    texts = RACKS[RACKS != None].reshape(-1, 1)  # noqa: E711 - elementwise
    reference = preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    encoder = OneHotEncoder().fit(RACKS)
    seen = np.array([["a"], ["z"], ["d"]], dtype=object)
    np.testing.assert_array_equal(encoder(seen.ravel()), reference.fit(texts).transform(seen))
    assert encoder(UNSEEN)[2].sum() == 0
    assert OneHotEncoder(missing=True).fit(RACKS)(UNSEEN)[2].tolist() == [0, 0, 0, 0, 1]


def test_only_the_most_frequent_categories_have_a_column():
    assert OneHotEncoder(max_levels=2).fit(["b", "a", "c", "c", "b", "b"]).levels == ["b", "c"]


def test_ordinal_keeps_unseen_and_missing_apart():
    assert OrdinalEncoder().fit(RACKS)(UNSEEN).ravel().tolist() == [0, -1, -2, 3]


@pytest.mark.parametrize("smoothing", [0.0, 1.0, 10.0])
def test_target_encoding_is_scikit_learns(smoothing):
    rng = np.random.default_rng(0)
    racks = rng.choice(list("abcde"), 211).astype(object)
    y = rng.normal(size=211)
    reference = preprocessing.TargetEncoder(smooth=smoothing, target_type="continuous")
    reference.fit(racks[:, None], y)
    encoder = TargetEncoder(smoothing).fit(np.split(racks, [50, 51]), np.split(y, [50, 51]))
    new = np.array(["a", "c", "z"], dtype=object)
    np.testing.assert_allclose(encoder(new), reference.transform(new[:, None]), rtol=1e-12)


def test_rows_without_a_target_teach_nothing():
    y = np.array([1.0, np.nan, 3.0])
    encoder = TargetEncoder(0.0).fit(["a", "a", "b"], y)
    assert encoder(["a", "b", "c"]).ravel().tolist() == [1.0, 3.0, 2.0]


def test_categories_from_chunks_are_those_of_the_whole():
    for kind in (OneHotEncoder, OrdinalEncoder):
        assert kind().fit(lambda: iter(np.split(RACKS, [3, 3, 11]))).levels == list("abcd")


def test_an_unseen_category_can_be_an_error():
    encoder = OneHotEncoder(handle_unknown="error").fit(RACKS)
    with pytest.raises(ValueError, match=r"not seen in training.*'z'"):
        encoder(UNSEEN)


@pytest.mark.parametrize("kind", [OneHotEncoder, OrdinalEncoder, TargetEncoder])
def test_an_unfitted_encoder_says_so(kind):
    with pytest.raises(ValueError, match="not fitted"):
        kind()(RACKS)


@pytest.mark.parametrize("kind", [OneHotEncoder, OrdinalEncoder, TargetEncoder])
def test_a_file_brings_the_encoder_back(kind, tmp_path):
    y = np.arange(17.0)
    encoder = kind().fit(RACKS, y) if kind is TargetEncoder else kind().fit(RACKS)
    encoder.save(tmp_path / "e")
    np.testing.assert_array_equal(kind.load(tmp_path / "e")(UNSEEN), encoder(UNSEEN))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: OneHotEncoder(max_levels=0), "max_levels >= 1"),
        (lambda: OneHotEncoder(handle_unknown="skip"), "handle_unknown"),
        (lambda: HashEncoder(0), "width >= 1"),
        (lambda: TargetEncoder(-1.0), "0 or more"),
        (lambda: OneHotEncoder().fit(np.array([["a"]], dtype=object)), "one column"),
    ],
)
def test_wrong_settings_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_hash_is_the_same_in_every_process():
    code = "from ember_core.data.columns import stable_hash; print(stable_hash('db-1', 3))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout) == stable_hash("db-1", 3)
    assert stable_hash("db-1") == 3852891339711795710
    out = HashEncoder(7)(UNSEEN)
    assert np.abs(out).sum(axis=1).tolist() == [1, 1, 0, 1]


def test_hashes_spread_and_signs_balance():
    out = HashEncoder(5)(np.array([f"host-{i}" for i in range(2003)], dtype=object))
    assert (np.abs(out).sum(axis=0) > 300).all()
    assert abs(out.sum()) < 200


def test_texts_that_share_words_are_closer():
    a, b, c = hashed_text(["disk is full", "the disk is full", "fan stopped again"], 257)
    assert a @ b > 0.5 > a @ c
    np.testing.assert_allclose(np.linalg.norm([a, b, c], axis=1), 1.0)
    assert not hashed_text([""], 7).any()


def test_basics_of_a_text():
    assert text_basics(["", "   "])[0].tolist() == [0] * 7
    chars, words, mean, digits, upper, spaces, marks = text_basics(["Ab 12, c!"])[0]
    assert (chars, words) == (9, 3)
    np.testing.assert_allclose(
        [mean, digits, upper, spaces, marks], [7 / 3, 2 / 9, 1 / 9, 2 / 9, 2 / 9]
    )


def stamps(*texts):
    return np.array(texts, dtype="datetime64[us]").astype(np.int64)


def angle(row, cycle):
    return np.arctan2(row[2 * cycle], row[2 * cycle + 1]) / (2 * np.pi) % 1.0


def test_cycles_have_their_own_periods():
    """The original's were one too short: 23 h was 0 h, Sunday Monday, December January."""
    rows = cyclical(stamps("2024-12-31T23:00", "2024-02-01T00:00", "2023-01-01T06:30"))
    shares = [[angle(row, cycle) for cycle in range(4)] for row in rows]
    wanted = [
        [23 / 24, 1 / 7, 30 / 31, 11 / 12],
        [0.0, 3 / 7, 0.0, 1 / 12],
        [6.5 / 24, 6 / 7, 0.0, 0.0],
    ]
    np.testing.assert_allclose(shares, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("cycle", "first", "step", "count"),
    [(0, "2024-03-04", "h", 24), (1, "2024-03-04", "D", 7), (2, "2024-02-01", "D", 29)],
)
def test_the_steps_of_a_cycle_are_equal_and_no_two_places_are_one(cycle, first, step, count):
    times = np.datetime64(first, "us") + np.arange(count + 1).astype(f"m8[{step}]")
    rows = cyclical(times.astype("datetime64[us]").astype(np.int64))[:, 2 * cycle : 2 * cycle + 2]
    steps = np.linalg.norm(np.diff(rows, axis=0), axis=1)
    np.testing.assert_allclose(steps, 2 * np.sin(np.pi / count), rtol=1e-9)


def test_components_are_pandas():
    times = pd.to_datetime(
        ["1969-07-20T20:17:40.5", "2024-02-29T23:59:59.0", "2000-01-01T00:00:00.0"]
    )
    found = components(times.to_numpy("datetime64[us]").astype(np.int64))
    names = ["year", "quarter", "month", "day", "day_of_week", "hour", "minute"]
    wanted = np.array([getattr(times, name) for name in names]).T
    np.testing.assert_array_equal(found[:, :7], wanted)
    np.testing.assert_allclose(found[:, 7], [40.5, 59, 0])
    np.testing.assert_allclose(found[:, 8], times.to_numpy("datetime64[us]").astype(float) / 1e6)


def test_no_time_has_no_place():
    nothing = np.array([np.iinfo(np.int64).min])
    assert not cyclical(nothing).any()
    assert np.isnan(components(nothing)).all()
