"""Tables of mixed columns: types, one pass over chunks, the same columns for every table."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import impute, pipeline, preprocessing

from ember_core import ops
from ember_core.data.columns import ColumnFeatures, StandardScaler, split
from ember_core.data.sources import DataError
from tests.conftest import examples

ROWS = 211
COMMENTS = ["disk is almost full", "fan runs at full speed", "all is well again"]


@lru_cache
def _table(rows, seed):
    """A column of every kind."""
    rng = np.random.default_rng(seed)
    load = rng.normal(50.0, 7.0, rows).round(3)
    load[rng.random(rows) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "load": load,
            "up": rng.random(rows) < 0.7,
            "rack": rng.choice(np.array(["a", "b", "c", None], dtype=object), rows),
            "at": pd.date_range("2024-01-01", periods=rows, freq="7h"),
            "said": [f"{rng.choice(COMMENTS)} {i % 97}" for i in range(rows)],
            "host_id": [f"h-{i:05}" for i in range(rows)],
            "place": [{"row": int(r), "hall": "xy"[r % 2]} for r in rng.integers(0, 5, rows)],
            "one": 3,
            "none": None,
            "wide": np.where(rng.random(rows) < 0.95, np.nan, 1.0 + rng.random(rows)),
            "y": rng.normal(size=rows),
        }
    )


def table(rows=ROWS, seed=0):
    return _table(rows, seed).copy()


def types(features):
    return {report.column: report.type for report in features.report}


def test_every_kind_of_column_is_recognised():
    features = ColumnFeatures(target="y").fit(table())
    assert types(features) == {
        "load": "numeric",
        "up": "boolean",
        "rack": "categorical",
        "at": "datetime",
        "said": "text",
        "host_id": "identifier",
        "place.row": "numeric",
        "place.hall": "categorical",
        "one": "numeric",
        "none": "empty",
        "wide": "numeric",
    }
    used = {report.column for report in features.report if report.used}
    assert used == {"load", "up", "rack", "at", "said", "place.row", "place.hall"}
    why = {report.column: report.why for report in features.report}
    assert "names rows" in why["host_id"]
    assert "every value is the same" in why["one"]
    assert "no row has a value" in why["none"]
    assert "% of the rows" in why["wide"]
    assert features.columns_in == ("load", "up", "rack", "at", "said", "place")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([True, False, None] * 9, "boolean"),
        (["true", "False", None] * 9, "boolean"),
        ([1, 2, None] * 9, "numeric"),
        ([Decimal("1.5"), Decimal(2), None] * 9, "numeric"),
        ([0, 1, 1] * 9, "numeric"),
        (["2024-01-02", "2024-01-03T04:05:06Z", None] * 9, "datetime"),
        ([pd.Timestamp("2024-01-02", tz="Asia/Tokyo"), pd.NaT, pd.NaT] * 9, "datetime"),
        (["12", "x", "y"] * 9, "categorical"),
        ([1, "x", 2.5] * 9, "categorical"),
        ([f"{i:032x}" for i in range(27)], "identifier"),
        ([f"it is {i} o'clock now" for i in range(27)], "text"),
        ([[1, 2], [3], None] * 9, "unsupported"),
        ([None, float("nan"), None] * 9, "empty"),
        (["", "", ""] * 9, "empty"),
    ],
)
@pytest.mark.parametrize("name", ["x"])
def test_objects_are_typed_by_what_they_hold(values, found, name):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object), "z": np.arange(27.0) % 7})
    assert types(ColumnFeatures().fit(frame))[name] == found


def test_whole_numbers_that_are_called_identifiers_and_never_repeat_are_some():
    frame = pd.DataFrame({"order_id": np.arange(53), "grid": np.arange(53), "z": np.arange(53) % 7})
    assert types(ColumnFeatures().fit(frame)) == {
        "order_id": "identifier",
        "grid": "numeric",
        "z": "numeric",
    }


def test_a_type_can_be_forced(tmp_path):
    frame = pd.DataFrame(
        {"zip": ["007", "010", "007"], "t": [1.7e9, 1.7e9 + 60, None], "x": [1, 2, 3]}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    features = ColumnFeatures(types={"zip": "categorical", "t": "datetime"})
    features.fit(tmp_path / "t.csv")
    assert features.feature_names_out[:3] == ("zip_007", "zip_010", "t_sin_hour")


@pytest.mark.parametrize("numeric", ["standard", "robust", "minmax"])
@pytest.mark.parametrize("strategy", ["median", "mean", "most_frequent", "constant"])
def test_numbers_are_filled_then_scaled_as_by_scikit_learn(numeric, strategy):
    """The scale is that of the filled column, though one pass learns both."""
    scaler = {
        "standard": preprocessing.StandardScaler(),
        "robust": preprocessing.RobustScaler(),
        "minmax": preprocessing.MinMaxScaler(),
    }[numeric]
    reference = pipeline.make_pipeline(impute.SimpleImputer(strategy=strategy), scaler)
    train, new = table()[["load"]], table(seed=1)[["load"]]
    wanted = reference.fit(train.to_numpy()).transform(new.to_numpy())
    features = ColumnFeatures(numeric=numeric, impute=strategy).fit(train)
    np.testing.assert_allclose(features.transform(new), wanted, rtol=2e-6, atol=2e-6)


CONFIGURATIONS = [
    {},
    {"numeric": "robust", "impute": "most_frequent", "datetime": "both", "text": "both"},
    {"impute": "forward", "categorical": "target", "datetime": "components", "text": "hash"},
    {"numeric": "minmax", "categorical": "ordinal", "indicate_missing": True},
    {"numeric": "none", "categorical": "hash", "n_hash": 5, "drop_constant": False},
]


@settings(max_examples=examples(15))
@given(borders=st.lists(st.integers(0, ROWS), max_size=4))
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_chunks_teach_and_give_what_the_whole_does(configuration, borders):
    frame, new = table(), table(seed=1)
    ends = [0, *sorted(borders), ROWS]
    cuts = list(pairwise(ends))
    whole = ColumnFeatures(target="y", **configuration).fit(frame)
    parts = ColumnFeatures(target="y", **configuration)
    parts.fit(lambda: (frame[a:b] for a, b in cuts))
    assert parts.feature_names_out == whole.feature_names_out
    assert parts.report == whole.report
    given_parts = list(parts.transform_chunks([new[a:b] for a, b in cuts]))
    np.testing.assert_allclose(np.concatenate(given_parts), whole(new), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_split_has_the_same_columns_and_no_gaps(configuration):
    train, validation, test = split(table(), (0.5, 0.2, 0.3), time="at")
    features = ColumnFeatures(target="y", **configuration).fit(train)
    for part in (train, validation, test, test[:1], table(3, seed=5)):
        out = features.transform(part)
        assert tuple(out.columns) == features.feature_names_out
        assert out.index.equals(part.index)
        assert np.isfinite(out.to_numpy()).all()
        assert {str(kind) for kind in out.dtypes} == {"float32"}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_file_brings_the_fitted_features_back(configuration, tmp_path):
    features = ColumnFeatures(target="y", types={"said": "text"}, **configuration).fit(table())
    features.save(tmp_path / "f.safetensors")
    back = ColumnFeatures.load(tmp_path / "f.safetensors")
    assert back.feature_names_out == features.feature_names_out
    assert back.report == features.report
    np.testing.assert_array_equal(back(table(seed=1)), features(table(seed=1)))


def test_only_training_data_teach():
    train, test = table(), table(seed=1)
    features = ColumnFeatures(target="y").fit(train)
    before = features(train)
    test["load"] *= 1e3
    test["rack"] = "new"
    features.transform(test)
    np.testing.assert_array_equal(features(train), before)


def test_rows_do_not_look_ahead():
    """A row's features are the same whatever comes after it."""
    for configuration in CONFIGURATIONS:
        features = ColumnFeatures(target="y", **configuration).fit(table())
        new = table(seed=1)
        np.testing.assert_array_equal(features(new[:97]), features(new)[:97])


@pytest.mark.parametrize("make", [pl.DataFrame, pa.Table.from_pandas])
def test_the_kind_of_table_that_comes_in_goes_out(make):
    columns = ["load", "up", "rack", "at", "said", "place"]
    train = table()[columns]
    features = ColumnFeatures().fit(train)
    native = make(train)
    out = features.transform(native)
    assert type(out) is type(native)
    names = out.columns if isinstance(out, pl.DataFrame) else out.column_names
    assert tuple(names) == features.feature_names_out
    np.testing.assert_allclose(out.to_pandas().to_numpy(), features(train), rtol=1e-6)
    other = ColumnFeatures().fit(native)
    assert other.feature_names_out == features.feature_names_out
    np.testing.assert_allclose(other(train), features(train), rtol=1e-6)


def test_arrays_are_tables_too():
    x = np.random.default_rng(0).normal(size=(53, 3))
    features = ColumnFeatures().fit(x)
    assert features.feature_names_out == ("x0", "x1", "x2")
    np.testing.assert_allclose(features.transform(x), StandardScaler().fit(x)(x), rtol=1e-5)
    assert ops.backend_name(features(x)) == ops.backend_name()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "jsonl"])
def test_files_teach_what_the_table_does(ending, tmp_path):
    frame = table()[["load", "up", "rack", "said", "at", "y"]]
    path = tmp_path / f"t.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    else:
        frame.to_csv(path, index=False)
    features = ColumnFeatures(target="y").fit(path, chunk_rows=41)
    wanted = ColumnFeatures(target="y").fit(frame)
    assert features.feature_names_out == wanted.feature_names_out
    found = np.concatenate(list(features.transform_chunks(path, chunk_rows=17)))
    np.testing.assert_allclose(found, wanted(frame), rtol=1e-4, atol=1e-5)


def test_a_query_is_a_source(tmp_path):
    table()[["load", "rack"]].to_parquet(tmp_path / "t.parquet")
    features = ColumnFeatures().fit(f"SELECT * FROM '{tmp_path / 't.parquet'}'")
    assert features.feature_names_out[0] == "load"


def test_memory_does_not_follow_the_rows():
    """Four times the chunks, the same peak (that of the sketches is theirs to show)."""
    chunk = table(2003)[["load", "up", "rack", "at", "place"]]

    def chunks(count):
        return lambda: (chunk.copy() for _ in range(count))

    def peak(count):
        features = ColumnFeatures(impute="mean")
        tracemalloc.start()
        features.fit(chunks(count))
        rows = sum(len(part) for part in features.transform_chunks(chunks(count)))
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert rows == count * 2003
        return top

    peak(1)  # what is imported on first use
    assert peak(20) < 1.2 * peak(5)


def test_a_column_that_changes_its_type_between_chunks_is_understood_as_a_whole():
    chunks = [pd.DataFrame({"x": [1, 2, 1]}), pd.DataFrame({"x": ["b", "2", None]})]
    features = ColumnFeatures().fit(chunks)
    assert features.feature_names_out == ("x_1", "x_2", "x_b", "x_missing")
    late = [pd.DataFrame({"x": ["b", "1"]}), pd.DataFrame({"x": [1.0, np.nan]})]
    assert ColumnFeatures().fit(late).feature_names_out == ("x_1", "x_b", "x_missing")


def test_many_categories_are_hashed():
    frame = pd.DataFrame({"host": [f"h{i % 101}" for i in range(303)]})
    features = ColumnFeatures(n_hash=7).fit(frame)
    assert features.feature_names_out == tuple(f"host_hash{k}" for k in range(7))
    assert ColumnFeatures(max_categories=101).fit(frame)(frame).shape == (303, 101)


def test_unseen_categories_leave_no_trace_or_are_an_error():
    train, new = pd.DataFrame({"rack": list("aabb")}), pd.DataFrame({"rack": ["z", None]})
    assert not ColumnFeatures().fit(train)(new).any()
    with pytest.raises(ValueError, match=r"'rack'.*not seen in training.*'z'"):
        ColumnFeatures(handle_unknown="error").fit(train)(new)


def test_two_features_never_have_one_name():
    frame = pd.DataFrame({"a": ["b", "c"] * 5, "a_b": np.arange(10.0), "a_b_2": np.arange(10.0)})
    names = ColumnFeatures().fit(frame).feature_names_out
    assert names == ("a_b", "a_c", "a_b_2", "a_b_2_2")


def test_the_target_is_encoded_and_no_feature():
    frame = pd.DataFrame({"rack": list("aabb"), "x": [1, 2, 3, 4], "y": [1.0, 3.0, 5.0, None]})
    features = ColumnFeatures(target="y", categorical="target", smoothing=1.0, numeric="none")
    out = features.fit(frame).transform(frame.drop(columns="y"))
    assert out.columns.tolist() == ["rack_target", "x"]
    assert out["rack_target"].tolist() == [7 / 3, 7 / 3, 4.0, 4.0] or np.allclose(
        out["rack_target"], [7 / 3, 7 / 3, 4.0, 4.0]
    )


def test_missing_values_can_have_a_column_of_their_own():
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0], "c": [np.nan, 5.0, 5.0]})
    out = ColumnFeatures(indicate_missing=True).fit_transform(frame)
    assert out["x_missing"].tolist() == [0, 1, 0]
    assert out["c_missing"].tolist() == [1, 0, 0]


def test_infinity_counts_as_missing():
    frame = pd.DataFrame({"x": [1.0, np.inf, 3.0, -np.inf]})
    features = ColumnFeatures(numeric="none").fit(frame)
    assert features(frame).ravel().tolist() == [1, 2, 3, 2]
    assert features.report[0].missing == 0.5


def test_fields_of_structs_may_be_absent_later():
    frame = pd.DataFrame({"s": [{"a": 1.0, "b": {"c": 2.0}}, {"a": 3.0, "b": {"c": 5.0}}]})
    features = ColumnFeatures(numeric="none", impute="mean").fit(frame)
    assert features.feature_names_out == ("s.a", "s.b.c")
    new = pd.DataFrame({"s": [{"a": 7.0}, None]})
    assert features(new).tolist() == [[7.0, 3.5], [2.0, 3.5]]


def test_columns_may_come_in_another_order_and_others_beside_them():
    features = ColumnFeatures(target="y").fit(table())
    new = table(seed=1)
    shuffled = new[new.columns[::-1]].assign(extra="?")
    np.testing.assert_array_equal(features(shuffled), features(new))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns=["load", "place"]), r"Expected load, place too"),
        (lambda f: f.assign(load="high"), r"Column 'load' has another type.*number.*'high'"),
        (lambda f: f.assign(at="soon"), r"Column 'at' has another type.*time.*'soon'"),
    ],
)
def test_another_table_is_refused(change, said):
    features = ColumnFeatures(target="y").fit(table())
    with pytest.raises(ValueError, match=said):
        features.transform(change(table()))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.DataFrame({"x": []}), "nothing to learn from"),
        (pd.DataFrame({"x": [1, 1]}), "No column gives a feature.*every value is the same"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "Two columns have one name"),
        (pd.DataFrame({"s": [{"a": 1}], "s.a": [2]}), "a struct and a column have one name"),
        (np.zeros(3), r"Expected shape \(n, C\)"),
    ],
)
def test_wrong_training_data_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        ColumnFeatures().fit(data)


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="no table"):
        ColumnFeatures().fit(table()[["load"]]).transform([1, 2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"numeric": "scaled"}, "standard, robust, minmax, none"),
        ({"categorical": "label"}, "onehot, ordinal, hash, target"),
        ({"categorical": "target"}, "Expected target=COLUMN"),
        ({"impute": "mode"}, "median, mean"),
        ({"types": {"x": "number"}}, "Unknown type of a column"),
        ({"null_threshold": 1.5}, r"null_threshold in \[0, 1\]"),
    ],
)
def test_wrong_choices_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        ColumnFeatures(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": "z"}, "The target is not there.*'z'"),
        ({"types": {"z": "text"}}, "A column is not there.*'z'"),
    ],
)
def test_names_that_are_not_there_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        ColumnFeatures(**arguments).fit(table())


@pytest.mark.parametrize("use", ["transform", "forward"])
def test_unfitted_use_says_so(use):
    with pytest.raises(ValueError, match="not fitted"):
        getattr(ColumnFeatures(), use)(table())
    with pytest.raises(ValueError, match="not fitted"):
        _ = ColumnFeatures().feature_names_out


def test_gaps_are_filled_forward_within_each_key():
    """However keys are mixed and chunks are cut; a key's first gap gets the median."""
    rng = np.random.default_rng(7)
    rows, names = 211, np.array(["pump", "fan", "mill"])
    frame = pd.DataFrame(
        {
            "machine": names[rng.integers(0, 3, rows)],
            "load": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(5.0, 2.0, rows)),
            "heat": rng.normal(0.0, 1.0, rows),
        }
    )
    features = ColumnFeatures(impute="forward", numeric="none", key="machine").fit(frame)
    assert features.feature_names_out == ("load", "heat")
    assert set(features.columns_in) == {"machine", "load", "heat"}
    filled = frame.groupby("machine")["load"].ffill().fillna(frame["load"].median())
    np.testing.assert_allclose(features.transform(frame)["load"], filled, rtol=1e-6)
    for chunk_rows in (1, 13, 97):
        parts = list(features.transform_chunks(frame, chunk_rows=chunk_rows))
        np.testing.assert_array_equal(np.concatenate(parts), features(frame))
    again = ColumnFeatures.from_config(features.get_config())
    assert again.key == "machine"
    with pytest.raises(ValueError, match="key is not there"):
        features.transform(frame.drop(columns="machine"))


def test_a_key_is_no_feature_whatever_fills_the_gaps():
    frame = pd.DataFrame({"machine": [1, 2, 1, 2], "load": [1.0, np.nan, 3.0, 5.0]})
    features = ColumnFeatures(impute="mean", numeric="none", key="machine").fit(frame)
    assert features.transform(frame[["load"]])["load"].tolist() == [1.0, 3.0, 3.0, 5.0]
