"""Elementary functions of sums, products and quotients: right, and the same on every machine."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core import ops
from ember_core.ops import elementary
from ember_core.ops.elementary import cos, exp, log, sin

POSITIVE = st.floats(5e-324, 1.7e308)
NEAR_ONE = st.floats(0.5, 2.0)


def error(value, function, x):
    """Distance of a result from the function of `x`, in units of its last place."""
    with localcontext() as context:
        context.prec = 60
        exact = function(Decimal(float(x)))
        return float(abs(Decimal(float(value)) - exact) / Decimal(math.ulp(float(value))))


@given(st.one_of(POSITIVE, NEAR_ONE))
def test_logarithm_is_right_to_one_unit_in_the_last_place(x):
    if x == 1.0:
        assert log(x) == 0.0
    else:
        assert error(log(x), Decimal.ln, x) < 1.0


@given(st.one_of(st.floats(-708.0, 709.0), st.floats(-1.0, 1.0)))
def test_exponential_is_right_to_one_unit_in_the_last_place(x):
    assert error(exp(x), Decimal.exp, x) < 1.0


def test_ends_of_the_range():
    x = np.array([0.0, -0.0, -1.0, -np.inf, np.inf, np.nan, 5e-324, 1.0])
    np.testing.assert_array_equal(
        log(x), [-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan, math.log(5e-324), 0.0]
    )
    x = np.array([0.0, -np.inf, np.inf, np.nan, -1e9, 1e9, -745.0])
    np.testing.assert_array_equal(exp(x), [1.0, 0.0, np.inf, np.nan, 0.0, np.inf, 5e-324])


@given(st.floats(-700.0, 700.0))
def test_sine_and_cosine_are_right_where_a_library_is(x):
    assert sin(x) == pytest.approx(math.sin(x), abs=3e-16)
    assert cos(x) == pytest.approx(math.cos(x), abs=3e-16)


@pytest.mark.parametrize("function", [log, exp, sin, cos])
def test_number_has_its_bits_in_every_array(function):
    x = np.random.default_rng(0).uniform(0.01, 90.0, (101, 97))
    whole = function(x)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(function(x[::3, ::-1]), whole[::3, ::-1])
    np.testing.assert_array_equal([function(row[5]) for row in x], whole[:, 5])
    assert function(np.empty((0, 3))).shape == (0, 3)


LIBRARY = {"log": np.log, "exp": np.exp, "sin": np.sin, "cos": np.cos}


@pytest.mark.parametrize("nearest", [elementary.nearest_float32, elementary.nearest_wide])
@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_library_with_other_last_bits_gives_the_same(name, nearest):
    """Errors of up to three units in the last place change nothing."""
    reference, library = getattr(elementary, name), LIBRARY[name]
    rng = np.random.default_rng(2)
    x = rng.uniform(0.01, 30.0, 40_009)
    expected = nearest(library, reference, x)
    is_single = expected.dtype == np.float32
    np.testing.assert_allclose(expected, library(x), rtol=7e-8 if is_single else 3e-11)

    def other(x):
        return library(x) * (1.0 + rng.integers(-3, 4, x.shape) * 2.0**-53)

    assert nearest(other, reference, x).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["wide_log", "wide_exp"])
def test_every_backend_gives_the_bits_of_numpy(backend, name):
    x = np.random.default_rng(1).uniform(1e-3, 60.0, (83, 7))
    got = ops.to_numpy(getattr(ops, name)(ops.from_numpy(x)))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, getattr(ops, name)(x))
