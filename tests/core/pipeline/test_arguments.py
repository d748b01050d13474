"""Arguments of the library as people hand them in: right, or one clear error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ember_core import ops
from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, choose_features, fit_pipeline
from tests.core.conftest import CHANNELS, SMALL, START, fit, signal, times

ROWS = 140
US, X = times(ROWS), signal(ROWS)
BERLIN_SUMMER = timezone(timedelta(hours=2))


def moments(zone):
    return [datetime.fromtimestamp(t / 1e6, UTC).astimezone(zone) for t in US.tolist()]


GOOD_TIMES = {
    "list": US.tolist(),
    "float": US.astype(np.float64),
    "uint64": US.astype(np.uint64),
    "objects": US.astype(object),
    "datetime64[us]": US.astype("datetime64[us]"),
    "datetime64[ns]": US.astype("datetime64[us]").astype("datetime64[ns]"),
    "datetime64[s]": US.astype("datetime64[us]").astype("datetime64[s]"),
    "pandas column": pd.Series(pd.to_datetime(US, unit="us")),
    "pandas column with a zone": pd.Series(pd.to_datetime(US, unit="us", utc=True)).dt.tz_convert(
        "Europe/Berlin"
    ),
    "pandas index": pd.to_datetime(US, unit="us"),
    "pandas numbers": pd.Series(US),
    "polars column": pl.Series(US.astype("datetime64[us]")),
    "polars column with a zone": pl.Series(US.astype("datetime64[us]"))
    .dt.replace_time_zone("UTC")
    .dt.convert_time_zone("Europe/Berlin"),
    "pyarrow column": pa.chunked_array([pa.array(US.astype("datetime64[us]"))]),
    "datetimes": [moment.replace(tzinfo=None) for moment in moments(UTC)],
    "datetimes with a zone": moments(BERLIN_SUMMER),
}
BAD_TIMES = {
    "seconds": (US // 1_000_000, "looks like seconds of 2023-11-14"),
    "seconds as floats": (US / 1e6, "looks like seconds of 2023"),
    "milliseconds": (US // 1_000, "looks like milliseconds of 2023-11-14"),
    "milliseconds, int32 steps": (pd.Series(US // 1_000), "looks like milliseconds"),
    "nanoseconds": (US * 1_000, "looks like nanoseconds"),
    "falling": (US[::-1], "must increase"),
    "equal": (np.repeat(US[::2], 2), "must increase.*70 rows in all"),
    "one twice": (np.concatenate([US[:9], US[8:-1]]), "in row 8"),
    "text": (US.astype(str), "numbers or dates"),
    "booleans": (US > 0, "numbers or dates"),
    "without one": (np.where(np.arange(ROWS) == 7, np.nan, US), "missing.*row 7"),
    "NaT": (pd.Series(pd.to_datetime(US, unit="us")).where(np.arange(ROWS) != 7), "missing.*row 7"),
    "fractions": (US + 0.5, "fraction"),
    "a table": (US[:, None], "one dimension"),
    "another century": (US.astype("datetime64[us]") + np.timedelta64(365 * 400, "D"), "1900"),
}
GOOD_VALUES = {
    "list": X.tolist(),
    "objects": X.astype(object),
    "decimals": [[Decimal(v) for v in row] for row in X.tolist()],
    "frame": pd.DataFrame(X, columns=CHANNELS),
    "frame of objects": pd.DataFrame(X, columns=CHANNELS).astype(object),
    "nullable frame": pd.DataFrame(X, columns=CHANNELS).astype("Float64"),
    "columns in another order": pd.DataFrame(X, columns=CHANNELS)[list(CHANNELS[::-1])],
    "Fortran's order": np.asfortranarray(X),
    "frame without names": pd.DataFrame(X),
    "polars": pl.DataFrame(dict(zip(CHANNELS, X.T, strict=True))).select(CHANNELS[::-1]),
    "pyarrow": pa.table(dict(zip(CHANNELS, X.T, strict=True))).select(CHANNELS[::-1]),
}
BAD_VALUES = {
    "shorter": (X[:-1], "belong together"),
    "longer": (np.vstack([X, X[:1]]), "belong together"),
    "transposed": (X.T, "belong together"),
    "another channel": (np.hstack([X, X[:, :1]]), "other channels|do not fit"),
    "one column": (X[:, 0], "other channels|do not fit"),
    "other names": (pd.DataFrame(X, columns=["load", "heat", "x"]), "other c"),
    "text": (X.astype(str), "numbers"),
    "text in objects": (pd.DataFrame(X, columns=CHANNELS).astype(str), "numbers"),
    "dates": (X.astype("datetime64[s]"), "numbers"),
    "ragged": ([*X.tolist()[:-1], [1.0]], "one length"),
    "objects that are no numbers": (np.full((ROWS, 3), object()), "numbers"),
    "too large": (np.where(X[5, 1] == X, 1e200, X), "too large.*row 5, column 1"),
    "three dimensions": (X[:, :, None], "belong together"),
}


@pytest.fixture(scope="module")
def model() -> FleetModel:
    return fit([Series(b"a", US, X)])


def train(time_us, values) -> FleetModel:
    return fit([Series("a", time_us, values)])


def choose(time_us, values):
    return choose_features([Series("a", time_us, values)], PipelineConfig(CHANNELS, **SMALL))


def score(model, time_us, values):
    return model.pipeline.forward(values, time_us)


@pytest.mark.parametrize("name", GOOD_TIMES)
def test_times_of_any_type_are_those_microseconds(name, model):
    series = Series("a", GOOD_TIMES[name], X)
    assert series.key == b"a"
    assert series.time_us.dtype == np.int64
    assert (series.time_us == US).all()
    expected = score(model, US, X)["severity"]
    assert (score(model, GOOD_TIMES[name], X)["severity"] == expected).all()


@pytest.mark.parametrize("name", BAD_TIMES)
@pytest.mark.parametrize("entry", [train, choose, score])
def test_times_that_would_be_wrong_are_one_clear_error(name, entry, model):
    time_us, words = BAD_TIMES[name]
    arguments = (model,) if entry is score else ()
    with pytest.raises(ValueError, match=words):
        entry(*arguments, time_us, X)


@pytest.mark.parametrize("name", GOOD_VALUES)
def test_values_of_any_type_are_those_numbers(name, model):
    assert train(US, GOOD_VALUES[name]).report["digest"] == model.report["digest"]
    expected = score(model, US, X)["severity"]
    assert (score(model, US, GOOD_VALUES[name])["severity"] == expected).all()


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("entry", [train, choose, score])
def test_values_that_would_be_wrong_are_one_clear_error(name, entry, model):
    values, words = BAD_VALUES[name]
    arguments = (model,) if entry is score else ()
    with pytest.raises(ValueError, match=words):
        entry(*arguments, US, values)


def test_float32_values_are_converted_not_refused(model):
    narrow = X.astype(np.float32)
    assert Series("a", US, narrow).values.dtype == np.float64
    wide = score(model, US, narrow.astype(np.float64))["severity"]
    assert (score(model, US, narrow)["severity"] == wide).all()


def test_infinite_values_count_as_missing(model):
    holes, infinite = X.copy(), X.copy()
    holes[20:30, 1], infinite[20:25, 1], infinite[25:30, 1] = np.nan, np.inf, -np.inf
    expected = score(model, US, holes)["severity"]
    assert (score(model, US, infinite)["severity"] == expected).all()
    a, b = train(US, holes), train(US, infinite)
    assert a.report == b.report


def test_one_channel_may_be_a_flat_array():
    flat = fit([Series("a", US, X[:, 0])], channels=("load",))
    table = fit([Series("a", US, X[:, :1])], channels=("load",))
    assert flat.report == table.report
    assert (
        flat.pipeline.forward(X[:, 0], US)["severity"]
        == table.pipeline.forward(X[:, :1], US)["severity"]
    ).all()


def test_a_part_of_a_synthetic_series_keeps_its_times():
    """Microseconds from 0 on, cut where they look like milliseconds of this century."""
    series = Series("a", np.arange(0, 2_000_000_000_000, 60_000_000), np.zeros(33_334))
    part = series.rows(20_000, 20_100)
    assert (part.time_us == series.time_us[20_000:20_100]).all()
    with pytest.raises(ValueError, match="looks like milliseconds"):
        Series("a", part.time_us, part.values)


@pytest.mark.parametrize("entry", [fit_pipeline, choose_features])
def test_a_key_has_one_history(entry):
    config = PipelineConfig(CHANNELS, **SMALL)
    with pytest.raises(ValueError, match=r"'a' 2 times, 1 such keys"):
        entry([Series("a", US, X), Series("b", US, X), Series(b"a", US, X)], config)
    with pytest.raises(ValueError, match="other channels"):
        entry([Series("a", US, X), Series("b", US, X[:, :2])], config)


@pytest.mark.parametrize("key", [7, None, bytearray(b"a")])
def test_a_key_is_bytes_or_text(key):
    with pytest.raises(ValueError, match="bytes or text"):
        Series(key, US, X)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget_per_week": 0}, "budget_per_week must be above 0"),
        ({"budget_per_week": -1.0}, "above 0"),
        ({"budget_per_week": float("nan")}, "above 0"),
        ({"evidence_rows": 0}, "evidence_rows"),
        ({"epochs": 0}, "epochs"),
        ({"max_rows": 0}, "max_rows"),
        ({"refine": -1}, "refine"),
    ],
)
def test_numbers_out_of_range_are_refused_before_training(options, words):
    with pytest.raises(ValueError, match=words):
        fit_pipeline([Series("a", US, X)], PipelineConfig(CHANNELS, **SMALL), **options)


@pytest.mark.parametrize("history", [[], [Series("a", [], np.zeros((0, 3)))]])
def test_no_history_is_refused(history):
    with pytest.raises(ValueError, match="Too little history"):
        fit_pipeline(history, PipelineConfig(CHANNELS, **SMALL))


@pytest.mark.parametrize(
    "options",
    [
        {"budget_per_week": 0},
        {"evidence_rows": 0.0},
        {"refractory_rows": -1},
        {"warmup_score": -1},
        {"max_gap": float("nan")},
    ],
)
def test_a_fleet_refuses_settings_out_of_range(options, model):
    before = model.pipeline.config
    with pytest.raises(ValueError, match=next(iter(options))):
        model.configure(**options)
    assert model.pipeline.config == before


def test_a_fleet_has_one_state_per_key(model):
    with pytest.raises(ValueError, match="one state"):
        FleetModel(model.pipeline, [b"a", b"a"], model.key_state, model.new_state)
    with pytest.raises(ValueError, match="one state"):
        FleetModel(model.pipeline, [], model.key_state, model.new_state)
    assert FleetModel(model.pipeline, ["a"], model.key_state, model.new_state).keys == [b"a"]


def test_a_series_goes_on_after_its_state(model):
    state = score(model, US, X)["state"]
    with pytest.raises(ValueError, match="goes on after its state"):
        model.pipeline.forward(X[:5], US[-5:], state)
    later = US[-1] - START + US[1:6]
    assert len(model.pipeline.forward(X[:5], later, state)["score"]) == 5


def test_an_empty_series_has_no_rows(model):
    assert len(score(model, [], np.zeros((0, 3)))["score"]) == 0


@pytest.mark.parametrize("backend", ops.available_backends())
def test_arrays_of_any_backend_are_checked(backend, model):
    time_us, values = ops.to(US, backend=backend), ops.to(X, backend=backend)
    narrow = ops.to_numpy(values).astype(np.float64)
    expected = score(model, US, narrow)["severity"]
    np.testing.assert_allclose(score(model, time_us, values)["severity"], expected, rtol=1e-3)
    with pytest.raises(ValueError, match="must increase"):
        score(model, ops.to(US[::-1].copy(), backend=backend), values)
