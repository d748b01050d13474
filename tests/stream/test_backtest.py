"""The backtest: the engine's own results, in the order of recorded time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline import FleetModel
from stream.backtest import backtest
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits, WindowSpec
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    SECOND,
    START,
    Run,
    feed_into,
    fit,
    interleaved,
    rows_of,
    run,
    signal,
)
from tests.stream.engine.rules_feed import control_of

ROWS = 113
LIMITS = Limits(max_keys=16, stale_intervals=5.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    fitted = fit(KNOWN, CHANNELS)
    fitted.save(tmp_path_factory.mktemp("bundles"))
    return fitted


def values_of(number: int) -> np.ndarray:
    values = signal(ROWS, 3, number)
    values[80:90] += 70.0
    values[5, 1] = np.nan
    return values


def made(*, split: int = 0, names: tuple[str, ...] = CHANNELS) -> Dataset:
    """Two known keys and a new one; the first `split` rows of each are for training."""
    tables = []
    for number, key in enumerate((b"a", b"b", b"new")):
        label = np.zeros(ROWS, dtype=np.int8)
        label[80:90] = 1
        times = START + np.arange(ROWS, dtype=np.int64) * INTERVAL * SECOND
        text = np.array([f"t{i}" for i in range(ROWS)], dtype=object)
        tables.append(KeyTable(key, times, text, values_of(number), np.arange(ROWS) < split, label))
    return Dataset(names, tuple(tables), divided=split > 0)


def test_it_gives_what_the_engine_gives(model: FleetModel) -> None:
    """Scores, probabilities and events, bit for bit, in global order of time."""
    feed = interleaved(*(rows_of(k, values_of(n)) for n, k in enumerate((b"a", b"b", b"new"))))
    stream = run(model, feed, limits=LIMITS)
    result = backtest(model, made(), topic="telemetry", limits=LIMITS)
    for table, s in zip(result.dataset.tables, result.scores, strict=True):
        chunks = list(
            zip(
                *(
                    getattr(s, n).tolist()
                    for n in ("time_us", "score", "probability", "severity", "anomaly", "trigger")
                ),
                strict=True,
            )
        )
        assert chunks == stream.scores[table.key]
    assert result.events == stream.events
    assert result.counts == stream.counts() == {"scored": 3 * ROWS - 66, "warming": 66}
    assert result.triggers() == sum(b["status"] == "firing" for b in stream.triggers()) > 0
    assert result.anomalies() == sum(e.kind == "anomaly" for e in stream.events) > 0


@pytest.mark.parametrize("batch_rows", [1, 17, 10**6])
def test_the_size_of_a_batch_changes_nothing(model: FleetModel, batch_rows: int) -> None:
    limits = replace(LIMITS, detailed=("*",))
    a = backtest(model, made(), limits=limits)
    b = backtest(model, made(), limits=limits, batch_rows=batch_rows)
    assert a.events == b.events
    assert a.counts == b.counts
    for s, t in zip(a.scores, b.scores, strict=True):
        names = vars(s).keys() - {"details"}
        assert all(getattr(s, n).tobytes() == getattr(t, n).tobytes() for n in names)
        assert s.details is not None
        assert t.details is not None
        assert s.details.keys == t.details.keys
        assert len(s.details) == len(s.time_us)
        columns = vars(s.details).keys() - {"channels", "keys", "sample"}
        for name in columns:
            one, other = getattr(s.details, name), getattr(t.details, name)
            assert one.tobytes() == other.tobytes(), name


def test_details_are_those_of_keys_that_are_asked_for(model: FleetModel) -> None:
    assert all(s.details is None for s in backtest(model, made(), limits=LIMITS).scores)
    asked = replace(LIMITS, detailed=("a",))
    result = backtest(model, made(), limits=asked)
    with_details = [
        table.key
        for table, s in zip(result.dataset.tables, result.scores, strict=True)
        if s.details is not None
    ]
    assert with_details == [b"a"]


@pytest.mark.parametrize("batch_rows", [7, 4096])
def test_a_change_of_model_is_the_streams(model: FleetModel, batch_rows: int) -> None:
    """The model changes at the noted record, whatever the size of a batch."""
    new_model, offset = fit(KNOWN[:2], CHANNELS, hidden=13), 131
    feed = interleaved(*(rows_of(k, values_of(n)) for n, k in enumerate((b"a", b"b", b"new"))))
    stream = run(model, feed[:offset], limits=LIMITS)
    stream.engine.switch_model(new_model)
    feed_into(stream, feed, begin=offset)
    data = made()
    result = backtest(
        model, data, limits=LIMITS, batch_rows=batch_rows, changes={offset: new_model}
    )
    assert result.events == stream.events
    for table, scores in zip(data.tables, result.scores, strict=True):
        assert scores.score.tolist() == [row[1] for row in stream.scores[table.key]]


def test_labels_never_change_a_score(model: FleetModel) -> None:
    """Labels only evaluate."""
    data = made()
    tables = tuple(replace(t, label=1 - t.label) for t in data.tables)
    a, b = backtest(model, data), backtest(model, replace(data, tables=tables))
    bare = backtest(model, replace(data, tables=tuple(replace(t, label=None) for t in data.tables)))
    for variant in (b, bare):
        assert variant.events == a.events
        for s, t in zip(a.scores, variant.scores, strict=True):
            assert s.score.tobytes() == t.score.tobytes()
    assert a.figures()["mean"] != b.figures()["mean"]
    assert bare.figures() == bare.baseline_figures() == {}


def test_only_rows_not_for_training_are_scored_from_fresh_state(model: FleetModel) -> None:
    result = backtest(model, made(split=30))
    assert result.counts == {"scored": 2 * (ROWS - 30) + 17, "warming": 66}
    assert [len(s.score) for s in result.scores] == [ROWS - 30, ROWS - 30, 17]
    assert result.scores[0].time_us[0] == START + 30 * INTERVAL * SECOND
    alone = run(model, rows_of(b"a", values_of(0))[30:])
    assert [s[1] for s in alone.scores[b"a"]] == result.scores[0].score.tolist()


def test_warm_feeds_the_training_rows_first_and_keeps_none_of_their_results(
    model: FleetModel,
) -> None:
    """The scored rows have the scores they have after all rows; a new key is warmer."""
    warm = backtest(model, made(split=30), warm=True)
    uncut = run(model, rows_of(b"a", values_of(0)))
    assert warm.scores[0].score.tolist() == [s[1] for s in uncut.scores[b"a"]][30:]
    assert len(warm.scores[2].score) == ROWS - 66
    assert sum(warm.counts.values()) == 3 * (ROWS - 30)
    assert all(e.time_us >= START + 30 * INTERVAL * SECOND for e in warm.events)
    cold = backtest(model, made(split=30))
    assert cold.scores[0].score[0] != warm.scores[0].score[0]


def test_values_the_codec_would_drop_are_dropped(model: FleetModel) -> None:
    """A bad value costs itself; a row of them, or of none, is refused for the same reason."""
    data = made()
    table = data.tables[0]
    spoilt = table.values.copy()
    spoilt[3, 0], spoilt[8, 2] = np.inf, -1.1e150
    spoilt[11], spoilt[12] = np.nan, 1e200
    clean = backtest(model, replace(data, tables=(table,)))
    result = backtest(model, replace(data, tables=(replace(table, values=spoilt),)))
    assert result.counts == {"scored": ROWS - 2, "out_of_range": 1, "no_channels": 1}
    assert np.isfinite(result.scores[0].score).all()
    missing_times = START + np.array([11, 12]) * INTERVAL * SECOND
    assert not np.isin(missing_times, result.scores[0].time_us).any()
    assert result.scores[0].score[:3].tolist() == clean.scores[0].score[:3].tolist()


def test_channels_come_by_name(model: FleetModel) -> None:
    """Columns may have any order; a channel without a column is missing in every row."""
    data = made()
    order = ("flow", "more", "load", "heat")
    rows = [2, 0, 0, 1]
    mixed = replace(
        data,
        channels=order,
        tables=tuple(replace(t, values=t.values[:, rows]) for t in data.tables),
    )
    a, b = backtest(model, data), backtest(model, mixed)
    assert a.events == b.events
    assert b.dataset.channels == CHANNELS
    refused_data = replace(
        data,
        channels=CHANNELS[:2],
        tables=tuple(replace(t, values=t.values[:, :2]) for t in data.tables),
    )
    c = backtest(model, refused_data)
    assert c.counts["scored"] == a.counts["scored"]
    assert not np.array_equal(c.scores[0].score, a.scores[0].score)


def test_records_out_of_order_are_late(model: FleetModel) -> None:
    data = made()
    table = data.tables[0]
    times = table.time_us.copy()
    times[40] = times[20]
    result = backtest(model, replace(data, tables=(replace(table, time_us=times),)))
    assert result.counts == {"scored": ROWS - 1, "late": 1}


def test_time_mode_gives_a_row_per_interval(model: FleetModel) -> None:
    """A row is labelled if any of its records is."""
    spec = WindowSpec("time", 3 * INTERVAL * SECOND, 0)
    result = backtest(model, made(), window=spec)
    s = result.scores[0]
    starts = np.unique(made().tables[0].time_us // (3 * INTERVAL * SECOND)) * 3 * INTERVAL * SECOND
    assert s.time_us.tolist() == starts[:-1].tolist()  # the last is still open
    label = result.labels(0)
    assert label is not None
    marked = s.time_us[label > 0]
    begin, end = START + 80 * INTERVAL * SECOND, START + 90 * INTERVAL * SECOND
    assert ((marked + 3 * INTERVAL * SECOND > begin) & (marked < end)).all()
    assert len(marked) in (4, 5)


def test_figures_stand_beside_the_baselines_on_the_same_rows(model: FleetModel) -> None:
    """Figures exist per key, as mean and worst; a clear fault scores better than chance."""
    result = backtest(model, made(split=30))
    figures, baselines = result.figures(buffer=5), result.baseline_figures(buffer=5)
    assert set(figures["per_key"]) == {"a", "b", "new"}
    assert {"random", "pca"} <= {n.split("_")[0] for n in baselines} or len(baselines) >= 3
    assert all("vus_pr" in row for row in baselines.values())
    assert figures["mean"]["vus_pr"] > baselines["random"]["vus_pr"]
    assert 0.0 <= figures["mean"]["vus_pr"] <= 1.0
    assert backtest(model, made()).baseline_figures() == {}


def test_no_record_gives_an_empty_result(model: FleetModel) -> None:
    data = made(split=ROWS)
    result = backtest(model, data)
    assert result.counts == {}
    assert [len(s.score) for s in result.scores] == [0, 0, 0]
    assert (result.events, result.triggers(), result.figures()) == ([], 0, {})


@pytest.mark.parametrize("batch_rows", [1, 50, 4096])
def test_rules_act_as_in_the_stream_also_from_the_middle_on(
    model: FleetModel, batch_rows: int
) -> None:
    """A control set of its own before and after one record, whatever the batches."""
    rules = control_of(
        Rule(channels=("heat",), ignore=True, limit=Limit(above=1e3)),
        Rule(keys=("b",), direction="above", sensitivity=2.0),
    )
    first = control_of(Rule(channels=("load",), limit=Limit(above=-1e9, for_="30s")))
    feed = interleaved(*(rows_of(k, values_of(n)) for n, k in enumerate((b"a", b"b", b"new"))))
    offset = 131
    stream = Run(Engine(model, None, LIMITS, control=first))
    feed_into(stream, feed, [offset], first_offset=0)
    stream.engine.use_control(rules)
    feed_into(stream, feed, begin=offset, first_offset=0)
    result = backtest(
        model,
        made(),
        limits=LIMITS,
        batch_rows=batch_rows,
        control=first,
        control_changes={offset: rules},
    )
    assert result.events == stream.events
    assert any(b'"rules":' in event.body for event in result.events)
