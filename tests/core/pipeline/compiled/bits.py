"""Comparison of arrays by their bits."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_same_bits(got: Any, expected: Any, name: str = "") -> None:
    """Assert that arrays have one type and shape, and the same bytes but for NaNs."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype, name
    assert got.shape == expected.shape, name
    if expected.dtype.kind == "f":
        is_nan = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(got), is_nan, err_msg=name)
        got, expected = np.where(is_nan, 0.0, got), np.where(is_nan, 0.0, expected)
        got, expected = (np.asarray(x).view(f"u{x.itemsize}") for x in (got, expected))
    np.testing.assert_array_equal(got, expected, err_msg=name)
