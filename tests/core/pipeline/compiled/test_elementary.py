"""Elementary functions of the compiled stages: the bits of those on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ember_core import ops
from ember_core.pipeline.compiled import elementary
from ember_core.pipeline.compiled.compiler import compiled

SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 88.8, -104.0, 1e-45, -1e-45, 3e38]
)
CASES: dict[str, tuple[Callable[[Any], Any], type]] = {
    "exp32": (ops.exact_exp, np.float32),
    "tanh32": (ops.exact_tanh, np.float32),
    "sigmoid32": (ops.exact_sigmoid, np.float32),
    "log32": (ops.exact_log, np.float32),
    "sin32": (ops.exact_sin, np.float64),
    "cos32": (ops.exact_cos, np.float64),
    "wide_exp": (ops.wide_exp, np.float64),
    "wide_log": (ops.wide_log, np.float64),
}
COUNT = 40_009


def _all_of(name: str) -> Any:
    """Return a compiled function of arrays that applies one of a number."""
    function = getattr(elementary, name)

    @compiled
    def every(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = function(x[i])

    return every


def _arguments(name: str, dtype: type) -> Any:
    rng = np.random.default_rng(7)
    if name in ("sin32", "cos32"):
        return np.concatenate([rng.uniform(-99.0, 99.0, COUNT), rng.uniform(-9e4, 9e4, COUNT)])
    spread = rng.standard_normal(COUNT) * np.exp(rng.uniform(-30.0, 30.0, COUNT))
    near = rng.uniform(-12.0, 12.0, COUNT)
    x = np.concatenate([SPECIAL, spread, near]).astype(dtype)
    if name == "wide_exp":
        x = np.concatenate([x, rng.uniform(-745.0, 710.0, COUNT)])
    if name == "wide_log":
        x = np.concatenate([x, [5e-324, 2e-310], np.exp(rng.uniform(-700.0, 700.0, COUNT))])
    return x


@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_arrays(name: str) -> None:
    function, dtype = CASES[name]
    x = _arguments(name, dtype)
    with np.errstate(all="ignore"):
        expected = function(x)
    got = np.empty_like(expected)
    _all_of(name)(x, got)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), ~is_number)
    bits = f"u{expected.itemsize}"
    np.testing.assert_array_equal(got[is_number].view(bits), expected[is_number].view(bits))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 67, 128, 129, 255, 263, 1031, 8192, 20_011])
def test_a_sum_has_the_order_of_numpy(n: int) -> None:
    x = np.random.default_rng(n).standard_normal((3, n + 2)).astype(np.float32)
    rows = np.ascontiguousarray(x[:, 1:-1])
    got = [elementary.wide_sum(row.astype(np.float64), 1, n) for row in x]
    np.testing.assert_array_equal(got, ops.wide_sum(rows))


def test_a_number_on_the_grid_is_that_of_the_product() -> None:
    x = np.random.default_rng(3).uniform(-40.0, 40.0, 1009).astype(np.float32)
    got = np.array([elementary.on_grid(value) for value in x])
    weight = ops.exact_weight(np.ones((1, 1)))
    np.testing.assert_array_equal(got, ops.exact_matmul(x[:, None], weight)[:, 0])
