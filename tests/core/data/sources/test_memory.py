"""Tables in memory and chunks of them are sources like files."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ember_core.data.sources import (
    BigQueryFrames,
    DataError,
    DataOptions,
    DuckDBFrames,
    open_frames,
    open_sources,
    read,
)
from ember_core.distribution import NAME

COLUMNS = {
    "ts": [1.7e9 + t for t in range(7)],
    "host": list("abababa"),
    "load": [1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0],
}
MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


@pytest.fixture(params=MAKERS)
def table(request):
    return MAKERS[request.param](COLUMNS)


def test_a_table_of_any_kind_is_read_like_a_file(table, tmp_path):
    pd.DataFrame(COLUMNS).to_csv(tmp_path / "frame.csv", index=False)
    options = DataOptions(key="host")
    file, frame = read([tmp_path / "frame.csv"], options), read([table], options, chunk_rows=3)
    assert frame.keys == file.keys == (b"a", b"b")
    for got, wanted in zip(frame.tables, file.tables, strict=True):
        np.testing.assert_array_equal(got.values, wanted.values)
        np.testing.assert_array_equal(got.time_us, wanted.time_us)


def test_a_table_comes_in_slices(table):
    parts = list(open_frames(table, chunk_rows=3).frames())
    assert [len(part) for part in parts] == [3, 3, 1]
    joined = pd.concat(parts, ignore_index=True)
    assert joined["host"].tolist() == COLUMNS["host"]


def test_a_table_without_a_key_has_one_of_its_own(table):
    data = read([table], DataOptions(drop="host"))
    assert data.keys == (b"frame",)
    assert data.channels == ("load",)


def test_chunks_from_a_function_can_be_read_again():
    calls = []

    def chunks():
        calls.append(1)
        yield pl.DataFrame(COLUMNS)[:4]
        yield pd.DataFrame(COLUMNS)[4:]

    options = DataOptions(key="host", train_head="50%")  # a share needs two passes
    (source,) = open_sources([chunks], options)
    marked = np.concatenate([chunk.is_train for chunk in source.chunks()])
    assert marked.tolist() == [True, True, True, False, False, False, False]
    assert len(calls) == 2


def test_an_iterator_is_read_once_and_says_so():
    frames = open_frames(iter([pd.DataFrame(COLUMNS)]))
    assert len(list(frames.frames())) == 1
    with pytest.raises(DataError, match=r"only once.*Pass the function itself"):
        list(frames.frames())


def test_tables_follow_each_other(tmp_path):
    pd.DataFrame(COLUMNS).to_csv(tmp_path / "a.csv", index=False)
    frames = open_frames([tmp_path / "a.csv", pl.DataFrame(COLUMNS)])
    assert sum(len(part) for part in frames.frames()) == 14


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (17, "no known kind"),
        ([], "No data is named"),
        ("nowhere.csv", "no file 'nowhere.csv'"),
        (pl.LazyFrame(COLUMNS), "Call its collect"),
        (lambda: [3], r"Chunk 0 is no table.*builtins\.int"),
    ],
)
def test_what_is_no_table_is_refused(data, said):
    with pytest.raises(DataError, match=said):
        list(open_frames(data).frames())


def test_narwhals_is_named_where_it_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    assert len(list(open_frames(pd.DataFrame(COLUMNS)).frames())) == 1
    with pytest.raises(DataError, match=rf'needs narwhals.*pip install "{NAME}\[frames\]"'):
        list(open_frames(pl.DataFrame(COLUMNS)).frames())


@pytest.mark.parametrize(
    ("query", "parameters"),
    [("SELECT ? AS x", ["it's"]), ("SELECT $name AS x", {"name": "it's"})],
)
def test_duckdb_binds_parameters(query, parameters):
    (frame,) = DuckDBFrames(f"?{query}", parameters=parameters).frames()
    assert frame["x"].tolist() == ["it's"]


class Client:
    """A BigQuery client that answers with a recorded table, page by page."""

    def __init__(self, rows=7):
        self.asked = []
        self.rows = rows

    def get_table(self, _table):
        names = ("ts", "host", "load", "odd name")
        return SimpleNamespace(schema=[SimpleNamespace(name=name) for name in names])

    def query(self, text, job_config=None):
        self.asked.append((text, job_config))
        return self

    def result(self, page_size):
        self.page_size = page_size
        return self

    def to_dataframe_iterable(self):
        frame = pd.DataFrame(COLUMNS)
        for start in range(0, self.rows, self.page_size):
            yield frame.iloc[start : start + self.page_size]


@pytest.fixture
def bigquery(monkeypatch):
    """The vendor's module, as far as it is used: what describes bound values."""
    module = SimpleNamespace(
        QueryJobConfig=lambda query_parameters: query_parameters,
        ScalarQueryParameter=lambda name, kind, value: (name, kind, value),
        ArrayQueryParameter=lambda name, kind, values: (name, kind, values),
    )
    for name in ("google", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", module)


@pytest.mark.usefixtures("bigquery")
def test_bigquery_quotes_names_and_binds_values():
    client = Client()
    frames = BigQueryFrames(
        "p.d.t",
        chunk_rows=3,
        columns=["ts", "odd name"],
        where="host IN UNNEST(@hosts) AND load > @least",
        parameters={"hosts": ["a'; DROP TABLE t"], "least": 2.0},
        order_by=["ts", "host"],
        limit=7,
        client=client,
    )
    assert [len(frame) for frame in frames.frames()] == [3, 3, 1]
    ((text, bound),) = client.asked
    assert text == (
        "SELECT `ts`, `odd name` FROM `p.d.t` WHERE host IN UNNEST(@hosts) AND load > @least "
        "ORDER BY `ts`, `host` LIMIT 7"
    )
    assert bound == [("hosts", "STRING", ["a'; DROP TABLE t"]), ("least", "FLOAT64", 2.0)]


@pytest.mark.usefixtures("bigquery")
def test_bigquery_reads_only_the_channels_that_are_asked_for():
    client = Client()
    options = DataOptions(key="host", channels="load")
    data = read([BigQueryFrames("p.d.t", options, 2, client=client)], options)
    assert client.asked == [("SELECT `ts`, `host`, `load` FROM `p.d.t` ORDER BY `ts`", None)]
    assert data.keys == (b"a", b"b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"where": "x > @least"}, "parameter for each @name"),
        ({"parameters": {"least": 3}}, "parameter for each @name"),
        ({"limit": -1}, "no negative"),
    ],
)
def test_bigquery_refuses_what_cannot_be_asked(arguments, said):
    with pytest.raises(DataError, match=said):
        BigQueryFrames("p.d.t", **arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"columns": ["heat"]}, "no column 'heat'"),
        ({"order_by": ["time"]}, "no column 'time'"),
        ({"where": "x = @x", "parameters": {"x": object()}}, "no SQL type"),
    ],
)
@pytest.mark.usefixtures("bigquery")
def test_bigquery_says_what_the_table_lacks(arguments, said):
    with pytest.raises(DataError, match=said):
        list(BigQueryFrames("p.d.t", client=Client(), **arguments).frames())


def test_a_name_that_would_leave_its_quotes_is_refused():
    with pytest.raises(DataError, match="cannot be called so"):
        BigQueryFrames("p.d.t", columns=["a` b"]).query(["a` b"])
