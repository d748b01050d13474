"""Temporal strides: which windows there are, what they hold, and that cuts change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from ember_core import ops
from ember_core.data.strides import StrideState, TemporalStrides, rolling

STRIDES = (1, 3, (2, 5), (17, 1))
STATISTICS = ("mean", "std", "min", "max", "slope", "departure")


def series(rows=97, channels=3, seed=0):
    return np.random.default_rng(seed).normal(50.0, 3.0, (rows, channels)).astype(np.float32)


def cut(x, borders):
    return np.split(x, sorted(borders))


def brute(x, window, hop, dilation):
    """Windows one by one, `(n, W, C)` in float64."""
    span = (window - 1) * dilation + 1
    starts = range(0, len(x) - span + 1, hop)
    return np.array([x[s : s + span : dilation] for s in starts], np.float64)


@pytest.mark.parametrize("window", [2, 5, 7, 10, 16])
@pytest.mark.parametrize(("hop", "dilation"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_statistics_are_those_of_each_window(window, hop, dilation):
    x = series()
    found = rolling(x, window, STATISTICS, hop=hop, dilation=dilation)
    windows = brute(x, window, hop, dilation)
    place = np.arange(window) - (window - 1) / 2
    slope = np.einsum("w,nwc->nc", place, windows) / np.sum(place**2)
    wanted = {
        "mean": windows.mean(1),
        "std": windows.std(1),
        "min": windows.min(1),
        "max": windows.max(1),
        "slope": slope,
        "departure": windows[:, -1] - windows.mean(1),
    }
    for name in STATISTICS:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=2e-5, err_msg=name)
        assert found[name].dtype == np.float32


def test_a_large_level_costs_no_deviation():
    """Sums of squares would leave nothing of it in float32."""
    x = (1e5 + np.arange(40.0) % 2).astype(np.float32)[:, None]
    np.testing.assert_allclose(rolling(x, 10, ["std"])["std"], 0.5, rtol=1e-5)


@given(borders=st.lists(st.integers(0, 97), max_size=7))
@pytest.mark.parametrize("summary", ["rows", STATISTICS])
def test_cuts_lose_no_window_and_double_none(summary, borders):
    """Chunk by chunk is the whole series, to the bit."""
    strides = TemporalStrides(3, 5, STRIDES, summary=summary)
    whole = strides.transform(series())
    parts = list(strides.transform_chunks(cut(series(), borders)))
    for s in STRIDES:
        for name in ("values", "first", "last"):
            joined = np.concatenate([getattr(part[s], name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole[s], name))


@given(borders=st.lists(st.integers(0, 97), max_size=5))
def test_cuts_change_no_component(borders):
    whole = TemporalStrides(3, 5, STRIDES, n_components=2).fit(series())
    parts = TemporalStrides(3, 5, STRIDES, n_components=2).fit(cut(series(), borders))
    for i in range(len(STRIDES)):
        for name in ("mean", "components", "variance"):
            np.testing.assert_allclose(
                getattr(parts, f"{name}_{i}"), getattr(whole, f"{name}_{i}"), rtol=1e-7, atol=1e-9
            )


def test_every_window_is_known_when_its_newest_row_is_there():
    """No look-ahead: what a window holds is the same when the series ends with it."""
    strides = TemporalStrides(3, 5, STRIDES, summary=STATISTICS)
    whole = strides.transform(series())
    for s in STRIDES:
        end = int(whole[s].last[-1]) + 1
        short = strides.transform(series()[:end])[s]
        np.testing.assert_array_equal(short.values, whole[s].values)
        assert whole[s].last.tolist() == strides.rows_of(whole[s], s)[:, -1].tolist()


def test_components_are_scikit_learns():
    x = series(211)
    strides = TemporalStrides(3, 7, (1, (3, 2)), n_components=5).fit(x)
    for s, (hop, dilation) in zip(strides.strides, [(1, 1), (3, 2)], strict=True):
        flat = brute(x, 7, hop, dilation).reshape(-1, 21)
        reference = PCA(5).fit(flat)
        np.testing.assert_allclose(
            strides.explained_variance(s), reference.explained_variance_ratio_, rtol=1e-9
        )
        found = np.abs(strides.transform(x.astype(np.float64))[s].values)
        np.testing.assert_allclose(found, np.abs(reference.transform(flat)), rtol=1e-7, atol=1e-9)
        assert strides.importances(s).shape == (7, 3)


def test_few_windows_allow_few_components():
    strides = TemporalStrides(3, 5, (1, 7), n_components=11).fit(series(13))
    assert strides.n_components == [8, 1]
    assert [strides.n_features(s) for s in (1, 7)] == [8, 1]


def test_a_file_brings_the_fitted_strides_back(tmp_path):
    strides = TemporalStrides(3, 5, STRIDES).fit(series())
    strides.save(tmp_path / "strides.safetensors")
    back = TemporalStrides.load(tmp_path / "strides.safetensors")
    assert back.strides == strides.strides
    for s in STRIDES:
        np.testing.assert_array_equal(
            back.transform(series(seed=1))[s].values, strides.transform(series(seed=1))[s].values
        )
        assert back.feature_names(s) == strides.feature_names(s)


def test_unfitted_strides_come_back_unfitted(tmp_path):
    TemporalStrides(3, 5, (1,), n_components=2).save(tmp_path / "s")
    back = TemporalStrides.load(tmp_path / "s")
    with pytest.raises(ValueError, match="not fitted"):
        back.transform(series())
    back.fit(series())
    assert back.n_features(1) == 2


def test_fit_keeps_a_chunk_at_a_time_and_takes_a_function():
    """A generator is read once, to its end, and no chunk outlives the next."""
    alive = []

    def chunks():
        for seed in range(5):
            alive.append(seed)
            yield series(23, seed=seed)

    strides = TemporalStrides(3, 5, (1,)).fit(chunks)
    assert alive == [0, 1, 2, 3, 4]
    assert int(strides.windows_seen[0]) == 5 * 23 - 4


def test_a_gap_stays_in_its_own_windows():
    x = series()
    x[50, 1] = np.nan
    out = TemporalStrides(3, 5, (1,), summary=("mean",)).transform(x)[1]
    assert np.flatnonzero(np.isnan(out.values[:, 1])).tolist() == [46, 47, 48, 49, 50]
    assert np.isfinite(out.values[:, [0, 2]]).all()


def test_a_short_series_has_no_window_and_keeps_its_rows():
    strides = TemporalStrides(3, 5, (1,), summary=("std",))
    state, out = strides.forward(StrideState(), series(3))
    assert out[1].values.shape == (0, 3)
    assert state.rows.shape == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window": 1}, "window >= 2"),
        ({"strides": (0,)}, "strides of at least 1"),
        ({"strides": (2, 2)}, "different strides"),
        ({"summary": "median"}, "Unknown summary"),
        ({"summary": ("mean", "median")}, "Unknown summary"),
        ({"n_components": (3,)}, "one for each of 3"),
        ({"n_components": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        TemporalStrides(3, **arguments)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (series(3), "too short for stride 1"),
        (series(channels=2), r"shape \(T, 3\)"),
        (np.where(np.arange(97)[:, None] == 41, np.nan, series()), "row 41"),
    ],
)
def test_wrong_training_rows_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        TemporalStrides(3, 5, (1,)).fit(data)


def test_an_unknown_stride_and_a_question_about_what_is_not_fitted_are_refused():
    strides = TemporalStrides(3, 5, (1,), summary=("mean",))
    with pytest.raises(ValueError, match="no such stride"):
        strides.feature_names(2)
    with pytest.raises(ValueError, match="Only components are fitted"):
        strides.explained_variance(1)


@pytest.mark.parametrize("summary", ["pca", "rows", STATISTICS])
def test_every_backend_gives_the_same_windows(backend, summary):
    strides = TemporalStrides(3, 5, STRIDES, summary=summary).fit(series())
    wanted = strides.transform(series(seed=1))
    x = ops.from_numpy(series(seed=1))
    state, parts = StrideState(), []
    for chunk in (x[:31], x[31:40], x[40:]):
        state, out = strides.forward(state, chunk)
        parts.append(out)
    for s in STRIDES:
        assert ops.backend_name(parts[-1][s].values) == backend
        values = np.concatenate([ops.to_numpy(part[s].values) for part in parts])
        np.testing.assert_allclose(values, wanted[s].values, rtol=1e-5, atol=5e-5)


def test_strides_fitted_on_a_backend_and_moved_to_it_are_the_same(backend):
    wanted = TemporalStrides(3, 5, (1, 3), n_components=2).fit(series())
    found = TemporalStrides(3, 5, (1, 3), n_components=2).fit(ops.from_numpy(series()))
    found.to(backend=backend, dtype="float32")
    out = found.transform(ops.from_numpy(series(seed=1)))
    for s in (1, 3):
        np.testing.assert_allclose(
            ops.to_numpy(out[s].values), wanted.transform(series(seed=1))[s].values, atol=5e-4
        )
        np.testing.assert_allclose(
            found.explained_variance(s), wanted.explained_variance(s), rtol=1e-5
        )
