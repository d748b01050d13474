"""Rows that a training makes are those of the stream, for the same samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline import FleetModel
from ember_core.rows import RecipeChannel, RowRecipe
from stream import history
from stream.backtest import backtest
from stream.engine import Engine, Limits, SliceOffsets, WindowSpec
from stream.history import RowRules
from stream.records import Decoded, Temporality
from stream.settings import ChannelRule
from stream.training import train
from tests.stream.engine.conftest import SMALL

SECOND = 1_000_000
T0 = 1_700_000_000 * SECOND
NAMES = ("level", "noise", "requests_total", "errors_total")
RULES = {
    use: (ChannelRule(match="level", use=use),)
    for use in (
        *("last", "first", "min", "max", "mean", "sum", "count", "std", "p50", "p95", "delta"),
        *("rate", "ignore"),
    )
} | {
    "none": (),
    "computed": (
        ChannelRule(match="errors_total", use="ignore"),
        ChannelRule(name="ratio", compute="errors_total / requests_total"),
        ChannelRule(match="noise", use="p90", rename="n"),
    ),
}
WINDOWS = {
    "count": WindowSpec("count"),
    "time": WindowSpec("time", 60 * SECOND, 20 * SECOND, "mean"),
}


def dataset(*, long: bool, keys: int = 2, rows: int = 900) -> Dataset:
    """Telemetry with two counters; long: a record for each value."""
    tables = []
    for key in range(keys):
        rng = np.random.default_rng(key)
        values = np.column_stack(
            [
                50 + rng.normal(0, 2, rows) + key,
                rng.exponential(3.0, rows),
                np.cumsum(rng.poisson(50, rows)),
                np.cumsum(rng.poisson(3, rows)),
            ]
        ).astype(float)
        values[rows // 2 :, 2:] -= values[rows // 2 - 1, 2:]  # a reset
        values[rng.random(values.shape) < 0.02] = np.nan
        times = T0 + np.arange(rows) * 10 * SECOND + rng.integers(0, 3 * SECOND, rows)
        if long:
            row, column = np.nonzero(np.isfinite(values))
            single = np.full((row.size, 4), np.nan)
            single[np.arange(row.size), column] = values[row, column]
            # With mode count, two records of a key need two times.
            values, times = single, times[row] + column * 7
        text = np.array([str(t) for t in times], dtype=object)
        train_rows = np.zeros(len(times), dtype=bool)
        tables.append(KeyTable(f"k{key}".encode(), times, text, values, train_rows, None))
    return Dataset(NAMES, tuple(tables), divided=False)


def engine_rows(
    model: FleetModel, data: Dataset, window: WindowSpec, cut: int
) -> dict[bytes, list[tuple[int, list[float]]]]:
    """Rows that an engine makes of the same samples, key by key."""
    engine = Engine(model, window, Limits(64, stale_intervals=0))
    rows: dict[bytes, list[tuple[int, list[float]]]] = {key: [] for key in data.keys}
    maker: Any = engine._stepper._rows
    complete = maker.complete

    def noted(samples: Any) -> Any:
        result = complete(samples)
        done = result.rows
        for time_us, row in zip(done.time_us.tolist(), done.values.tolist(), strict=True):
            rows[current].append((time_us, row))
        return result

    maker.complete = noted
    offset = 0
    for number, table in enumerate(data.select(model.sources).tables):
        current = table.key
        engine.attach(("t", number))
        # A codec refuses a record without any of the channels.
        usable = np.flatnonzero(np.isfinite(table.values).any(axis=1))
        for begin in range(0, usable.size, cut):
            own = usable[begin : begin + cut]
            n = own.size
            batch = Decoded(
                [current] * n,
                table.time_us[own],
                table.values[own],
                np.arange(n, dtype=np.int32),
                [],
            )
            stamps = np.full(n, 2**43)
            engine.step(("t", number), batch, SliceOffsets(np.arange(offset, offset + n), stamps))
            offset += n
    return rows


@pytest.mark.parametrize("long", [False, True], ids=["wide", "long"])
@pytest.mark.parametrize("mode", WINDOWS)
@pytest.mark.parametrize("name", RULES)
def test_training_makes_the_rows_of_the_stream(name: str, mode: str, *, long: bool) -> None:
    data = dataset(long=long, rows=260)
    rules = RowRules(WINDOWS[mode], RULES[name])
    keys = history.samples(data)
    counters = history.counters_of(NAMES, keys)
    assert counters == ("requests_total", "errors_total")
    recipe = history.recipe_of(NAMES, keys, rules, counters)
    assert recipe is not None
    made = history.rows(NAMES, keys, rules.window, recipe)
    model = _untrained(recipe)
    got = engine_rows(model, data, rules.window, 37)
    for series in made:
        expected = list(
            zip(series.time_us.astype(np.int64).tolist(), series.values.tolist(), strict=True)
        )
        assert len(expected) > 40
        assert repr(got[series.key]) == repr(expected)


def _untrained(recipe: Any) -> FleetModel:
    """A model of a recipe's channels that has learnt nothing."""
    from ember_core.pipeline import Pipeline, PipelineConfig

    config = {k: v for k, v in SMALL.items() if k != "horizons"}
    pipeline = Pipeline(PipelineConfig(recipe.names, **config))
    pipeline.freeze()
    new_state = pipeline.initial_state(1)
    return FleetModel(pipeline, [], pipeline.initial_state(0), new_state, recipe=recipe)


@pytest.mark.parametrize("mode", WINDOWS)
def test_a_bundle_keeps_its_recipe_and_scores_by_it(mode: str, tmp_path: Any) -> None:
    """A fault of the rate is found, which the value does not show."""
    data = dataset(long=False)
    rules = RowRules(WINDOWS[mode], RULES["computed"])
    model = train(data, rules=rules, epochs=5, **SMALL)
    assert model.report["counters"] == ["requests_total", "errors_total"]
    assert model.channels == ("level", "n", "requests_total", "ratio")
    assert model.sources == NAMES
    model.save(tmp_path)
    loaded = FleetModel.load(tmp_path, backend="numpy")
    assert loaded.recipe == model.recipe
    faulty = dataset(long=False, keys=1)
    faulty.tables[0].values[700:760, 2] += 2000.0 * np.arange(60)
    result = backtest(loaded, faulty, window=rules.window)
    assert (result.open_intervals > 0) == (mode == "time")
    hot = result.scores[0]
    inside = (hot.time_us >= T0 + 7_000 * SECOND) & (hot.time_us < T0 + 7_500 * SECOND)
    assert np.median(hot.severity[inside]) > 3.0
    assert np.median(hot.severity[~inside]) < 1.5


def test_without_counters_and_rules_a_bundle_is_what_it_was() -> None:
    data = dataset(long=False).select(NAMES[:2])
    model = train(data, epochs=2, **SMALL)
    assert model.recipe is None
    assert not {"counters", "channels", "window"} & set(model.report)
    assert model.sources == model.channels == model.identity


@pytest.mark.parametrize("kind", [1, 2])
def test_a_backtest_of_records_takes_counters_as_the_stream_does(kind: int) -> None:
    """Temporality and start times are those of the records."""
    recipe = RowRecipe((RecipeChannel("x", "x", "rate"),))
    model, n = _untrained(recipe), 150
    model.configure(warmup_score=0, warmup_alarm=0)
    rng = np.random.default_rng(2)
    times = T0 + np.arange(1, n + 1) * 10 * SECOND
    values = rng.poisson(40.0, (n, 1)).astype(float)
    values = np.cumsum(values, axis=0) if kind == 2 else values
    starts = times - 10 * SECOND if kind == 1 else np.where(np.arange(n) < 70, T0, times[69])
    kinds = np.full(n, kind, dtype=np.uint8)
    engine = Engine(model, WindowSpec(), Limits(8))
    engine.attach(("telemetry", 0))
    message = np.arange(n, dtype=np.int32)
    keys = [b"k"] * n
    batch = Decoded(keys, times, values, message, [], temporality=kinds, start_us=starts)
    step = engine.step(("telemetry", 0), batch, SliceOffsets(np.arange(n), np.full(n, 2**43)))
    text = np.array([str(t) for t in times], dtype=object)
    no_rows = np.zeros(n, dtype=bool)
    table = KeyTable(b"k", times, text, values, no_rows, None, kinds, starts)
    data = Dataset(("x",), (table,), divided=False)
    result = backtest(model, data, limits=Limits(8), batch_rows=13)
    assert result.scores[0].score.tolist() == step.scores.score.tolist()
    assert len(step.scores.score) == n
    rates = result.rows(0)[1][:, 0]
    if kind == 1:
        assert rates.tolist() == (values[:, 0] / 10).tolist()
    else:
        assert rates[70] == values[70, 0] / 10  # a later start is a reset
        assert rates[1:70].tolist() == (np.diff(values[:70, 0]) / 10).tolist()


@pytest.mark.parametrize("kind", [Temporality.DELTA, Temporality.CUMULATIVE])
def test_counters_that_the_format_tells_are_rates(kind: Temporality) -> None:
    """Five a second, as sums or as increases, beside a gauge that happens to rise."""
    count = 30
    times = np.repeat(T0 + np.arange(count) * 10 * SECOND, 2)
    values = np.full((2 * count, 2), np.nan)
    values[::2, 0] = 50.0 if kind == Temporality.DELTA else 50.0 * np.arange(count)
    values[1::2, 1] = np.arange(count)
    kinds = np.tile([kind, Temporality.GAUGE], count).astype(np.uint8)
    starts = times - 10 * SECOND if kind == Temporality.DELTA else np.full_like(times, T0)
    text = times.astype(str).astype(object)
    is_train = np.zeros(len(times), bool)
    table = KeyTable(b"a", times, text, values, is_train, None, kinds, starts)
    names = ("requests", "queue")
    keys = history.samples(Dataset(names, (table,), divided=False))
    counters = history.counters_of(names, keys)
    assert counters == ("requests",)
    rules = RowRules(WindowSpec("time", 10 * SECOND, 0))
    recipe = history.recipe_of(names, keys, rules, counters)
    (series,) = history.rows(names, keys, rules.window, recipe)
    assert set(series.values[1:, 0].tolist()) == {5.0}
    assert series.values[1:, 1].tolist() == list(range(1, len(series.values)))
