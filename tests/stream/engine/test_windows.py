"""Tumbling intervals: aggregates, gaps, and times before the epoch."""

from __future__ import annotations

import numpy as np
import pytest

from stream.engine.rows import RowMaker, Samples
from stream.engine.state.layout import WindowSpec
from stream.engine.state.row_plan import RowPlan

CHANNELS = ("last", "mean", "max", "count")
NAMED = tuple(zip(CHANNELS, CHANNELS, strict=True))


def plan_of(spec: WindowSpec) -> RowPlan:
    return RowPlan(CHANNELS, spec)


def absorb_all(
    spec: WindowSpec, samples: list[tuple[int, list[float]]], cut: int = 1
) -> list[tuple]:
    """One key's samples in arrival order; what closed: (start, row)."""
    maker, fields, out = RowMaker(plan_of(spec)), plan_of(spec).new_fields(1), []
    for begin in range(0, len(samples), cut):
        part = samples[begin : begin + cut]
        times, values = np.array([t for t, _ in part]), np.array([row for _, row in part])
        lines = np.arange(len(part))
        rows = maker.complete(Samples(fields, lines, 0 * lines, times, values)).rows
        out += list(zip(rows.time_us.tolist(), rows.values, strict=True))
    return out


@pytest.mark.parametrize("start", [0, -7_000, 1_700_000_000_000_000])
def test_aggregates_equal_a_direct_computation(start: int) -> None:
    """Last by event time, mean, max, count; NaN where an interval has nothing of a channel."""
    rng = np.random.default_rng(11)
    spec = WindowSpec("time", 100, 250, "last", NAMED)
    times = start - start % 100 + np.sort(rng.choice(5000, 400, replace=False))
    order = np.argsort(times + rng.integers(0, 250, 400), kind="stable")
    values = rng.standard_normal((400, 4)) - 3.0  # maxima below zero
    values[rng.random(values.shape) < 0.6] = np.nan
    got = absorb_all(spec, [(int(times[i]), values[i].tolist()) for i in order])
    assert [s for s, _ in got] == sorted(s for s, _ in got)
    assert len(got) >= 45
    for begun, row in got:
        inside = values[(times >= begun) & (times < begun + 100)]  # in order of time
        for c, how in enumerate(CHANNELS):
            column = inside[~np.isnan(inside[:, c]), c]
            if not column.size:
                assert np.isnan(row[c])
            elif how == "last":
                assert row[c] == column[-1]
            elif how == "mean":
                assert row[c] == pytest.approx(column.mean(), rel=1e-12)
            else:
                assert row[c] == (column.max() if how == "max" else column.size)


def test_of_two_samples_at_one_time_the_later_arrival_is_last() -> None:
    spec = WindowSpec("time", 100, 0, "last")
    samples = [(10, [1.0] * 4), (10, [2.0] * 4), (9, [3.0] * 4), (150, [0.0] * 4)]
    ((_, row),) = absorb_all(spec, samples)
    assert row.tolist() == [2.0] * 4


@pytest.mark.parametrize(("interval", "lateness"), [(100, 0), (100, 1), (100, 100), (7, 95)])
def test_there_is_room_for_every_interval_that_can_be_open(interval: int, lateness: int) -> None:
    """Dense samples in the worst order lose nothing."""
    spec = WindowSpec("time", interval, lateness, "count")
    rng = np.random.default_rng(3)
    times = np.arange(3000)
    order = np.argsort(times + rng.integers(0, lateness + 1, 3000), kind="stable")
    got = absorb_all(spec, [(int(t), [1.0] * 4) for t in times[order]])
    assert [s for s, _ in got] == list(range(0, got[-1][0] + 1, interval))
    assert all(row.tolist() == [interval] * 4 for _, row in got)
    assert len(got) >= (3000 - lateness) // interval - 2


def test_a_slot_is_used_again_without_what_was_in_it() -> None:
    spec = WindowSpec("time", 100, 0, "mean")
    samples = [(i * 100, [float(i), np.nan, i, i]) for i in range(9)]
    got = absorb_all(spec, samples)
    assert [row[0] for _, row in got] == [float(i) for i in range(8)]
    assert all(np.isnan(row[1]) for _, row in got)


def test_what_cannot_work_is_refused() -> None:
    for wrong in (
        {"mode": "hop"},
        {"mode": "time", "interval_us": 0},
        {"mode": "time", "lateness_us": -1},
        {"aggregate": "median"},
        {"aggregates": (("load", "p101"),)},
    ):
        with pytest.raises(ValueError, match="Received"):
            WindowSpec(**wrong)
