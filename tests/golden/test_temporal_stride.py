"""Temporal strides against the numbers of the original implementation."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.data.strides import StrideState, TemporalStrides

CLOSE = {"rtol": 1e-9, "atol": 1e-12}
STRIDES = (1, 3, 5)


@pytest.fixture(scope="module")
def original(golden_data):
    return np.load(golden_data / "ember_temporal_stride_original.npz")


@pytest.fixture(scope="module")
def quirky(golden_data):
    return np.load(golden_data / "ember_terabyte_temporal_original_QUIRKY.npz")


def test_windows_and_their_rows_are_the_originals(original):
    strides = TemporalStrides(3, 5, STRIDES, summary="rows")
    out = strides.transform(original["X"])
    for s in STRIDES:
        windows = original[f"windows/s{s}"]
        np.testing.assert_array_equal(out[s].values.reshape(windows.shape), windows)
        np.testing.assert_array_equal(out[s].first, original[f"window_starts/s{s}"])
        rows = strides.rows_of(out[s], s)
        np.testing.assert_array_equal(original["X"][rows], windows)


@pytest.mark.parametrize(("name", "wanted"), [("default", None), ("pc3", 3)])
def test_components_are_the_originals(original, name, wanted):
    strides = TemporalStrides(3, 5, STRIDES, n_components=wanted).fit(original["X"])
    out = strides.transform(original["X"])
    for i, s in enumerate(STRIDES):
        part = f"{name}/s{s}"
        assert strides.n_components[i] == original[f"{part}/n_components"]
        np.testing.assert_allclose(getattr(strides, f"mean_{i}"), original[f"{part}/mean"], **CLOSE)
        np.testing.assert_allclose(
            getattr(strides, f"components_{i}"), original[f"{part}/components"], **CLOSE
        )
        np.testing.assert_allclose(out[s].values, original[f"{part}/out"], **CLOSE)
        evr = strides.explained_variance(s)
        np.testing.assert_allclose(evr, original[f"{part}/evr"], **CLOSE)
        np.testing.assert_allclose(evr.sum(), original[f"{part}/explained_sum"], **CLOSE)
        np.testing.assert_allclose(
            strides.importances(s).ravel(), original[f"{part}/importance"], **CLOSE
        )


def test_other_data_go_through_the_fitted_components(original):
    strides = TemporalStrides(3, 5, STRIDES, n_components=3).fit(original["X"])
    out = strides.transform(original["Y"])
    for s in STRIDES:
        np.testing.assert_allclose(out[s].values, original[f"pc3_second_batch/s{s}/out"], **CLOSE)


@pytest.mark.parametrize(
    ("kept", "counts"), [("maintain_True", (128, 43, 28)), ("maintain_False", (78, 27, 18))]
)
def test_chunks_give_each_window_once_where_the_original_doubled_or_lost_some(quirky, kept, counts):
    """Without its buffer the original lost what spans two chunks, with it windows came twice."""
    x = quirky["X"]
    strides = TemporalStrides(3, 5, STRIDES, summary="rows")
    state, firsts = StrideState(), {s: [] for s in STRIDES}
    for chunk in (x[:30], x[30:60], x[60:]):
        state, out = strides.forward(state, chunk)
        for s in STRIDES:
            firsts[s] += out[s].first.tolist()
            np.testing.assert_array_equal(
                x[strides.rows_of(out[s], s)].reshape(-1, 15), out[s].values
            )
    assert firsts == {s: list(range(0, 90 - 4, s)) for s in STRIDES}
    right = tuple(len(firsts[s]) for s in STRIDES)
    assert right == (86, 29, 18)
    assert tuple(len(quirky[f"{kept}/s{s}/out"]) for s in STRIDES) == counts
    assert counts != right
