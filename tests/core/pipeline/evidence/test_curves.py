"""Severity of statistics: interpolation of tables, on every backend."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ember_core import ops
from ember_core.pipeline import SeverityCurves
from ember_core.pipeline.evidence.curves import GRID_HIGH, GRID_LOW, GRID_POINTS

J = 3
GRID = np.linspace(GRID_LOW, GRID_HIGH, GRID_POINTS)
TABLES = np.cumsum(np.random.default_rng(0).exponential(0.1, (J, GRID_POINTS)), axis=1) - 2.0


def curves():
    made = SeverityCurves(J)
    made.assign({"tables": ops.asarray(TABLES.astype(np.float32))})
    return made


def statistics(seed=0, rows=500):
    u = np.exp(np.random.default_rng(seed).normal(0.0, 2.0, (rows, J))).astype(np.float32)
    u[::7, 1] = 0.0
    return u


def test_severity_is_the_linear_interpolation_of_the_table(backend):
    u = statistics()
    severity = ops.to_numpy(curves()(ops.asarray(u)))
    log = np.log(np.maximum(u.astype(np.float64), 1e-30))
    expected = np.stack([np.interp(log[:, j], GRID, TABLES[j]) for j in range(J)], axis=1)
    assert severity.dtype == np.float32
    np.testing.assert_allclose(severity, expected, atol=2e-5)


def test_the_ends_of_a_table_count_beyond_them(backend):
    u = np.array([[0.0, -3.0, 1e-30], [64.0, 1e30, np.inf]], dtype=np.float32)
    severity = ops.to_numpy(curves()(ops.asarray(u)))
    np.testing.assert_allclose(severity, [TABLES[:, 0], TABLES[:, -1]], atol=2e-6)
    assert curves().reachable == np.float32(TABLES.max())


@given(arrays(np.float32, (40, 1), elements=st.floats(0.0, 200.0, width=32)))
def test_severity_rises_with_the_statistic(u):
    """Up to the rounding of float32."""
    with ops.default_backend("numpy"):
        severity = curves()(np.repeat(np.sort(u, axis=0), J, axis=1))
    assert (np.diff(severity, axis=0) >= -2e-6).all()


def test_a_row_has_the_same_bits_alone_and_in_a_batch(backend):
    """Whatever the layout of its batch."""
    made, u = curves(), statistics(1, rows=1300)
    together = ops.to_numpy(made(ops.asarray(u)))
    columns = ops.to_numpy(made(ops.transpose(ops.asarray(np.ascontiguousarray(u.T)))))
    assert columns.tobytes() == together.tobytes()
    for i in (0, 13, 1299):
        alone = ops.to_numpy(made(ops.asarray(u[i : i + 1])))
        assert alone.tobytes() == together[i : i + 1].tobytes()
