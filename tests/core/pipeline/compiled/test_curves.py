"""Severity of single statistics: the bits of the interpolation of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import SeverityCurves
from ember_core.pipeline.compiled.compiler import compiled
from ember_core.pipeline.compiled.curves import severity_of
from ember_core.pipeline.evidence.curves import GRID_HIGH, GRID_LOW, GRID_POINTS

N_TABLES, PAIRS, ROWS = 11, 3, 2003
NUMBERS = (0, 2, 4, 6, 7, 8, 9, 10)
"""Tables of three signed statistics and of five others."""


@compiled
def severities(tables: Any, numbers: Any, x: Any, level: Any, least: Any, out: Any) -> None:
    for row in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[row, j] = severity_of(tables, numbers[j], x[row, j], level[j], least[j])


def curves(flat: int) -> SeverityCurves:
    """Tables that are flat for some points at their beginning, unequal on the two sides."""
    rng = np.random.default_rng(5)
    steps = rng.exponential(0.2, (N_TABLES, GRID_POINTS))
    for table, row in enumerate(steps):
        row[: 1 + flat * (table % 4)] = 0.0
    tables = np.cumsum(steps, axis=1) + rng.uniform(-2.0, 0.0, (N_TABLES, 1))
    made = SeverityCurves(N_TABLES)
    made.assign({"tables": tables.astype(np.float32)})
    return made


def statistics() -> Any:
    """Sizes within the grid, on its points, beside its ends and far out."""
    rng = np.random.default_rng(3)
    size = np.exp(rng.uniform(GRID_LOW - 0.5, GRID_HIGH + 0.5, (ROWS, len(NUMBERS))))
    points = np.exp(np.linspace(GRID_LOW, GRID_HIGH, GRID_POINTS)).astype(np.float32)
    size[: 3 * GRID_POINTS] = np.concatenate(
        [points, np.nextafter(points, np.float32(0)), np.nextafter(points, np.float32(99))]
    )[:, None]
    size[-6:] = np.array([0.0, 1e-30, 1e30, np.inf, 64.0, 3.4e38])[:, None]
    x = size.astype(np.float32)
    x[:, :PAIRS] *= rng.choice([-1.0, 1.0], (ROWS, PAIRS)).astype(np.float32)
    return x


@pytest.mark.parametrize("flat", [0, 9])
def test_the_bits_are_those_of_arrays(flat: int) -> None:
    made, x = curves(flat), statistics()
    expected = made.signed(x, NUMBERS, PAIRS)
    least, levels = made.beginnings(NUMBERS, PAIRS)
    got = np.empty_like(expected)
    severities(made.tables, np.array(NUMBERS), x, levels, least, got)
    assert np.unique(expected).size > ROWS
    np.testing.assert_array_equal(got.view(np.int32), expected.view(np.int32))
