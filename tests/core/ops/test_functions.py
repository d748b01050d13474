"""What the operations compute, where NumPy's own function does not already say it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core import ops

FLOATS = st.floats(-1e4, 1e4, width=32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_neither_overflows_nor_loses_its_tails(dtype):
    x = np.array([-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4], dtype)
    y = ops.sigmoid(x)
    assert y.dtype == dtype
    with np.errstate(over="ignore", under="ignore"):
        expected = 1 / (1 + np.exp(-x.astype("longdouble")))
    np.testing.assert_allclose(y, expected.astype(dtype), rtol=3e-6, atol=1e-38)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_neither_overflows_nor_loses_its_tail(dtype):
    x = np.array([-1e4, -50.0, -20.0, 0.0, 20.0, 1e4], dtype)
    y = ops.softplus(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(
        y, np.logaddexp(0, x.astype("longdouble")).astype(dtype), rtol=1e-6, atol=1e-38
    )


@given(st.lists(FLOATS, min_size=1, max_size=13))
def test_sigmoid_is_odd_around_a_half(values):
    x = np.array(values, "float32")
    np.testing.assert_allclose(ops.sigmoid(x) + ops.sigmoid(-x), 1.0, atol=2e-7)


def test_nan_goes_through_clip_and_sigmoid():
    x = np.array([np.nan, 7.0], "float32")
    assert np.isnan(ops.clip(x, -1.0, 1.0)).tolist() == [True, False]
    assert np.isnan(ops.sigmoid(x)).tolist() == [True, False]


def test_whole_numbers_are_served():
    assert float(ops.sigmoid(0)) == 0.5
    assert ops.softplus(np.array([0, 3])).tolist() == pytest.approx([0.69314718, 3.04858735])


def test_round_takes_halves_to_the_even_number():
    assert ops.round(np.array([0.5, 1.5, 2.5, -0.5])).tolist() == [0.0, 2.0, 2.0, 0.0]


def test_reductions_keep_float32():
    x = np.ones((5, 7), "float32")
    for reduced in (ops.sum(x, 1), ops.mean(x, 1), ops.std(x, 1)):
        assert ops.dtype(reduced) == "float32"
    assert ops.shape(ops.sum(x, axis=1, keepdims=True)) == (5, 1)


def test_arange_counts_from_zero_or_from_its_start():
    assert ops.arange(3).tolist() == [0, 1, 2]
    assert ops.arange(2, 11, 3).tolist() == [2, 5, 8]


def test_matrix_functions_solve_what_they_say():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((11, 5)), rng.standard_normal((11, 3))
    square = a.T @ a
    np.testing.assert_allclose(square @ ops.linalg.solve(square, a.T @ b), a.T @ b)
    low = ops.linalg.cholesky(square)
    np.testing.assert_allclose(low @ low.T, square)
    values, vectors = ops.linalg.eigh(square)
    np.testing.assert_allclose((vectors * values) @ vectors.T, square)
    u, s, vt = ops.linalg.svd(a)
    assert (u.shape, s.shape, vt.shape) == ((11, 5), (5,), (5, 5))
    np.testing.assert_allclose((u * s) @ vt, a)


def test_equal_seeds_give_equal_numbers_and_other_seeds_others():
    def draw(seed):
        g = ops.generator(seed)
        return [
            ops.random.normal(g, (2, 3)),
            ops.random.uniform(g, 5),
            ops.random.permutation(g, 7),
        ]

    for a, b, c in zip(draw(11), draw(11), draw(13), strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


def test_bernoulli_is_zero_or_one_with_the_given_share():
    p = np.array([[0.0, 0.25, 1.0]] * 20_000, "float32")
    drawn = ops.random.bernoulli(ops.generator(5), p)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), [0.0, 0.25, 1.0], atol=0.02)
