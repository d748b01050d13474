"""The exact product: right to the last bit, whatever surrounds a row."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core import ops
from tests.conftest import examples

INPUT_STEP, WEIGHT_STEP = 17, 20


def operands(rows, terms, width, seed=0, scale=9.0):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, terms)) * scale).astype("float32")
    return x, rng.standard_normal((terms, width)).astype("float32")


def on_grid(value, limit, bits):
    """`value` held below `limit` and rounded to `2^-bits`, as a Python integer of that step."""
    step = Fraction(1, 2**bits)
    held = min(max(Fraction(float(value)), -limit + step), limit - step)
    return round(held / step)  # Fraction rounds halves to even


def reference(x, w):
    """Blocks of 128 terms in exact integers, added in float64 in their order."""
    xi = [[on_grid(v, 32, INPUT_STEP) for v in row] for row in x]
    wi = [[on_grid(v, 8, WEIGHT_STEP) for v in row] for row in w]
    out = np.zeros((len(xi), w.shape[1]), "float32")
    for i, row in enumerate(xi):
        for j in range(w.shape[1]):
            total = 0.0
            for start in range(0, len(row), 128):
                block = sum(row[t] * wi[t][j] for t in range(start, min(start + 128, len(row))))
                assert abs(block) < 2**53
                total += block / 2 ** (INPUT_STEP + WEIGHT_STEP)
            out[i, j] = total
    return out


def product(x, w):
    """The exact product on the default backend, of NumPy arrays and as one."""
    w = w if isinstance(w, ops.ExactWeight) else ops.from_numpy(w)
    return ops.to_numpy(ops.exact_matmul(ops.from_numpy(x), w))


@pytest.mark.parametrize(
    ("terms", "width"), [(1, 1), (7, 3), (80, 11), (128, 5), (129, 2), (418, 3)]
)
def test_product_equals_integer_arithmetic(backend, terms, width):
    x, w = operands(5, terms, width, seed=terms)
    assert np.array_equal(product(x, w), reference(x, w))


def test_limits_and_halves_are_those_of_the_grid(backend):
    x = np.array([[40.0], [-40.0], [2.0**-18], [3 * 2.0**-18], [-(2.0**-18)]], "float32")
    w = np.array([[9.0]], "float32")
    expected = reference(x, w)
    assert np.array_equal(product(x, w), expected)
    assert np.array_equal(product(x, -w), reference(x, -w))


def test_largest_operands_still_fit(backend):
    x, w = np.full((3, 128), 32.0, "float32"), np.full((128, 2), 8.0, "float32")
    assert np.array_equal(product(x, w), reference(x, w))


def test_rounding_costs_at_most_the_grid():
    x, w = operands(13, 80, 7, scale=3.0)
    error = np.abs(ops.exact_matmul(x, w) - x.astype("float64") @ w.astype("float64")).max()
    assert error < 2e-4


@pytest.mark.parametrize("terms", [80, 418])
def test_every_batch_size_gives_a_row_the_same_bits(backend, terms):
    x, w = operands(601, terms, 64)
    ready = ops.exact_weight(ops.from_numpy(w))
    whole = product(x, ready)
    for size in [*range(1, 20), 31, 64, 127, 255, 256, 257, 512]:
        parts = [product(x[i : i + size], ready) for i in range(0, len(x), size)]
        assert np.array_equal(np.concatenate(parts), whole), size


def test_every_backend_gives_the_bits_of_numpy(backend):
    x, w = operands(601, 418, 64)
    got = product(x, ops.exact_weight(ops.from_numpy(w)))
    assert got.dtype == np.float32
    assert np.array_equal(got, ops.exact_matmul(x, w))


@pytest.mark.parametrize("name", ["sqrt", "exact_tanh", "exact_exp"])
def test_every_backend_gives_the_bits_of_numpys_functions(backend, name):
    """A last bit would become a step of the grid in the next product."""
    x = np.random.default_rng(0).uniform(1e-3, 30, (601, 72)).astype("float32")
    got = ops.to_numpy(getattr(ops, name)(ops.from_numpy(x)))
    assert got.dtype == np.float32
    assert np.array_equal(got, getattr(ops, name)(x))


@settings(max_examples=examples(40), deadline=None)
@given(
    st.sampled_from([3, 80, 131, 418]),
    st.integers(1, 67),
    st.integers(0, 2**31),
    st.sampled_from(["order", "fortran", "strided", "reversed", "offset", "float64"]),
)
def test_order_and_layout_do_not_matter(terms, rows, seed, how):
    x, w = operands(rows, terms, 13, seed)
    ready = ops.exact_weight(w)
    whole = ops.exact_matmul(x, ready)
    if how == "order":
        order = np.random.default_rng(seed).permutation(rows)
        assert np.array_equal(ops.exact_matmul(x[order], ready), whole[order])
        return
    if how == "strided":
        other = np.zeros((2 * rows, 3 * terms), "float32")[::2, 1::3]
    elif how == "offset":
        other = np.zeros(rows * terms + 1, "float32")[1:].reshape(rows, terms)
    else:
        other = np.zeros((rows, terms), "float64" if how == "float64" else "float32", order="F")
    if how == "reversed":
        other = other[:, ::-1]
    other[...] = x
    assert np.array_equal(ops.exact_matmul(other, ready), whole)


def test_order_of_terms_does_not_matter_within_a_block(backend):
    x, w = operands(5, 127, 11)
    order = np.random.default_rng(1).permutation(127)
    assert np.array_equal(product(x[:, order], w[order]), product(x, w))


def test_nan_stays_in_its_row(backend):
    x, w = operands(7, 131, 5)
    clean = product(x, w)
    x[3, 130] = np.nan
    x[5, 0] = np.inf
    got = product(x, w)
    assert np.isnan(got[3]).all()
    assert np.isfinite(got[5]).all()
    rest = [0, 1, 2, 4, 6]
    assert np.array_equal(got[rest], clean[rest])


def test_shapes_go_through():
    w = ops.exact_weight(np.ones((5, 3), "float32"))
    assert w.shape == (5, 3)
    assert ops.exact_matmul(np.ones((2, 7, 5)), w).shape == (2, 7, 3)
    assert ops.exact_matmul(np.ones(5), w).tolist() == [5.0, 5.0, 5.0]
    assert ops.exact_matmul(np.ones((0, 5)), w).shape == (0, 3)
    assert ops.exact_matmul(np.ones((2, 5)), w).dtype == np.float32


def test_a_stack_gives_the_bits_of_its_matrices():
    rng = np.random.default_rng(5)
    x = (9.0 * rng.standard_normal((3, 11, 131))).astype(np.float32)
    w = rng.standard_normal((3, 131, 7))
    got = ops.exact_matmul(x, ops.exact_weight(w))
    for i in range(3):
        assert got[i].tobytes() == ops.exact_matmul(x[i], w[i]).tobytes()
        assert got[i, 4].tobytes() == ops.exact_matmul(x[i, 4], w[i]).tobytes()
    with pytest.raises(ValueError, match=r"x.shape=\(11, 131\), w.shape=\(3, 131, 7\)"):
        ops.exact_matmul(x[0], w)


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"V=5 of w\. Received: x.shape=\(2, 7\), w.shape=\(5, 3\)"
    ):
        ops.exact_matmul(np.ones((2, 7)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="finite=False"):
        ops.exact_weight(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="matrix of finite numbers"):
        ops.exact_weight(np.ones(3))
