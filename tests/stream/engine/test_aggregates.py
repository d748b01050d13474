"""Rows of every aggregate, rates among them, against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.rows import RecipeChannel, RowRecipe
from stream.engine.rows import RowMaker, Samples
from stream.engine.state.layout import SAMPLE, WindowSpec
from stream.engine.state.row_plan import RowPlan
from tests.stream.engine.conftest import QUICK
from tests.stream.engine.plain_rows import PlainSample, plain_rows

SECOND = 1_000_000
USES = (
    *("last", "first", "min", "max", "mean", "sum", "count", "std"),
    *("p50", "p90", "p99.9", "p0", "p100", "delta", "rate", "rate"),
)


def recipe_of(uses: tuple[str, ...], gap_seconds: float = 0.0) -> RowRecipe:
    channels = [RecipeChannel(f"{use} {i}", f"c{i}", use) for i, use in enumerate(uses)]
    return RowRecipe(tuple(channels), gap_seconds)


def made(
    plan: RowPlan, feed: list[tuple[int, PlainSample]], keys: int, cuts: list[int]
) -> tuple[list[list[tuple[int, list[float]]]], int, bytes]:
    """Rows of each key, the count of late samples, and the state behind them."""
    maker, fields = RowMaker(plan), plan.new_fields(keys)
    rows: list[list[tuple[int, list[float]]]] = [[] for _ in range(keys)]
    late = begin = 0
    for end in cuts:
        part = feed[begin:end]
        begin = end
        if not part:
            continue
        result = maker.complete(
            Samples(
                fields,
                np.arange(len(part)),
                np.array([key for key, _ in part]),
                np.array([sample.time_us for _, sample in part]),
                np.array([sample.values for _, sample in part], dtype=np.float64),
                np.array([sample.temporality for _, sample in part], dtype=np.uint8),
                np.array([sample.start_us for _, sample in part], dtype=np.int64),
            )
        )
        late += result.late.size
        done = result.rows
        # The engine notes these two.
        fields["last_time"][done.key_index] = done.packed.last(done.time_us)
        np.add.at(fields["rows"], done.row, 1)
        for key, time_us, row in zip(
            done.row.tolist(), done.time_us.tolist(), done.values.tolist(), strict=True
        ):
            rows[key].append((time_us, row))
    return rows, late, b"".join(fields[name].tobytes() for name in sorted(fields))


def feed_of(seed: int, mode: str) -> list[tuple[int, PlainSample]]:
    """Samples of three keys, out of order, with gaps, resets and equal times."""
    rng = np.random.default_rng(seed)
    feed = []
    for key in range(3):
        n = int(rng.integers(1, 120))
        steps = rng.choice([0, 1, 3, 9, 70], n, p=[0.1, 0.4, 0.3, 0.15, 0.05])
        times = (100 + np.cumsum(steps)) * SECOND
        values = rng.normal(0, 9, (n, len(USES))).round(2)
        counter = np.cumsum(rng.integers(0, 50, n)).astype(float)
        counter -= np.maximum.accumulate(np.where(rng.random(n) < 0.05, counter, 0.0))
        values[:, -3:] = counter[:, None]
        values[rng.random(values.shape) < 0.3] = np.nan
        values[np.isnan(values).all(axis=1), 0] = 1.0
        kind = rng.choice([0, 0, 1, 2]) if rng.random() < 0.7 else -1
        starts = np.maximum.accumulate(np.where(rng.random(n) < 0.1, times - SECOND // 2, 1))
        for i in range(n):
            temporality = int(kind if kind >= 0 else rng.integers(0, 3))
            start = int(starts[i]) if temporality and rng.random() < 0.9 else 0
            sample = PlainSample(int(times[i]), values[i].tolist(), temporality, start)
            feed.append((int(times[i]) + int(rng.integers(0, 40)) * SECOND, key, sample))
    feed.sort(key=lambda entry: entry[0] if mode == "time" else entry[2].time_us)
    return [(key, sample) for _, key, sample in feed]


@QUICK
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(["time", "count"]),
    lateness=st.sampled_from([0, 5, 25]),
    gap=st.sampled_from([0, 12]),
    cut=st.sampled_from([1, 7, 10_000]),
)
def test_rows_are_those_of_plain_python(
    seed: int, mode: str, lateness: int, gap: int, cut: int
) -> None:
    """Of several keys, in any order, with late samples; and they do not depend on the batches."""
    window = WindowSpec(mode, 10 * SECOND, lateness * SECOND)
    plan = RowPlan(tuple(f"{u} {i}" for i, u in enumerate(USES)), window, recipe_of(USES, gap))
    feed = feed_of(seed, mode)
    rows, late, state = made(plan, feed, 3, [*range(cut, len(feed), cut), len(feed)])
    expected_late = 0
    for key in range(3):
        own = [sample for k, sample in feed if k == key]
        expected, n = plain_rows(own, USES, window, gap * SECOND or float("inf"))
        expected_late += n
        assert [t for t, _ in rows[key]] == [t for t, _ in expected]
        np.testing.assert_allclose(
            np.array([row for _, row in rows[key]]),
            np.array([row for _, row in expected]),
            rtol=1e-9,
            atol=1e-9,
        )
    assert late == expected_late
    again = made(plan, feed, 3, [len(feed)])
    assert repr(again[0]) == repr(rows)  # bit for bit; NaN is equal to NaN
    assert again[2] == state


def test_a_quantile_is_exact_up_to_its_sample_and_near_beyond() -> None:
    """And the same however the samples were cut into batches."""
    window = WindowSpec("time", 1000 * SECOND, 0)
    plan = RowPlan(("x",), window, recipe_of(("p90",)))
    rng = np.random.default_rng(5)
    for n in (1, 2, SAMPLE, 1000):
        values = rng.exponential(1.0, n)
        feed = [(0, PlainSample(i * SECOND // 2, [v])) for i, v in enumerate(values.tolist())]
        feed.append((0, PlainSample(2000 * SECOND, [0.0])))
        ((_, (got,)),), *_ = made(plan, feed, 1, [len(feed)])[0]
        if n <= SAMPLE:
            assert got == pytest.approx(np.quantile(values, 0.9), rel=1e-12)
        else:
            assert 0.8 < (values < got).mean() < 0.98
        cuts = sorted({*rng.integers(1, len(feed) + 1, 5).tolist(), len(feed)})
        assert made(plan, feed, 1, cuts)[0][0][0][1] == [got]


def test_a_row_without_such_aggregates_has_no_fields_for_them() -> None:
    """The default is as small as before."""
    plain = RowPlan(("a", "b"), WindowSpec("time")).new_fields(1)
    assert not {name for name in plain if name.startswith(("counter", "window_s", "window_sq"))} - {
        "window_start"
    }
    rated = RowPlan(("a",), WindowSpec("count"), recipe_of(("rate",))).new_fields(1)
    assert {name for name in rated if name.startswith("counter")} == {
        "counter_value",
        "counter_time",
        "counter_start",
    }
