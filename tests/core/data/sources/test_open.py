"""Files, directories, queries and schemes."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ember_core.data.sources import DataError, DataOptions, open_sources, read
from ember_core.distribution import NAME


def csv(path: Path, text: str = "ts,x\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_directory_is_searched_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", "sub/c.csv", ".hidden/d.csv", "notes.txt", "labels.json"):
        csv(tmp_path / name, '{"ts":1,"x":2}\n' if "json" in name else "ts,x\n1,2\n")
    assert read([tmp_path]).keys == (b"a", b"b", b"c")


def test_a_directory_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data"):
        read([tmp_path])


def test_a_missing_file_and_no_file_are_refused() -> None:
    with pytest.raises(DataError, match=r"no file 'nowhere.csv'"):
        read(["nowhere.csv"])
    with pytest.raises(DataError, match="No data is named"):
        read([])


def test_two_files_of_one_name_are_refused_unless_a_column_is_the_key(tmp_path: Path) -> None:
    first = csv(tmp_path / "web.1.csv", "ts,host,x\n1,a,2\n")
    second = csv(tmp_path / "web.2.csv", "ts,host,x\n2,a,3\n")
    with pytest.raises(DataError, match=r"the key 'web'.*web\.1\.csv and .*web\.2\.csv.*--key"):
        read([first, second])
    (table,) = read([first, second], DataOptions(key="host", train_head="1")).tables
    assert table.values[:, 0].tolist() == [2.0, 3.0]
    assert table.is_train.tolist() == [True, False]


def test_channels_are_those_of_all_files_and_missing_ones_are_nan(tmp_path: Path) -> None:
    first = csv(tmp_path / "a.csv", "ts,x,y\n1,2,3\n")
    second = csv(tmp_path / "b.csv", "ts,z,y,bad\n1,4,5,1\n")
    data = read([first, second], DataOptions(label="bad"))
    assert data.channels == ("x", "y", "z")
    np.testing.assert_array_equal(data.tables[1].values, [[np.nan, 5.0, 4.0]])
    assert data.tables[0].label is None
    assert data.tables[1].label is not None
    named = read([first, second], DataOptions(channels=("z", "y")))
    np.testing.assert_array_equal(named.tables[0].values, [[np.nan, 3.0]])


def test_a_file_with_none_of_the_named_channels_is_refused(tmp_path: Path) -> None:
    files = [csv(tmp_path / "a.csv", "ts,x\n1,2\n"), csv(tmp_path / "b.csv", "ts,z\n1,4\n")]
    with pytest.raises(DataError, match=r"b.csv has no column 'x'"):
        read(files, DataOptions(channels=("x",)))


def test_duckdb_reads_a_database_and_files(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    base = tmp_path / "plant.duckdb"
    with duckdb.connect(str(base)) as database:
        database.execute(
            "CREATE TABLE m AS SELECT range::BIGINT AS ts, 'k' || range % 2 AS host, "
            "range * 0.1 AS x, NULL::INTEGER AS gone FROM range(5000)"
        )
    spec = f"duckdb:{base}?SELECT * FROM m WHERE ts <> 7 ORDER BY ts"
    data = read([spec], DataOptions(key="host"), chunk_rows=2048)
    assert data.keys == (b"k0", b"k1")
    assert data.channels == ("x",)
    assert [len(table.values) for table in data.tables] == [2500, 2499]
    assert read([spec]).keys == (b"plant",)
    rows = csv(tmp_path / "a.csv", "ts,x\n1,2\n")
    for query in ("duckdb:?SELECT * FROM", "SELECT * FROM", " with t as (select 1) select * from"):
        assert read([f"{query} '{rows}'"]).tables[0].values.tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("duckdb:plant.db", r"needs a query.*duckdb:PATH\?SELECT"),
        ("duckdb:plant.db?", "needs a query"),
        ("duckdb:nowhere.db?SELECT 1", "no database 'nowhere.db'"),
        ("SELECT nothing FROM nowhere", "refused the query.*nowhere"),
        ("bigquery:a.b", "bigquery:project.dataset.table"),
        ("bigquery:a.b.c`; DROP", "bigquery:project.dataset.table"),
        ("kafka:telemetry", "A Kafka topic cannot be read here.*kafka:telemetry"),
    ],
)
def test_wrong_queries_are_refused(spec: str, said: str) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(DataError, match=said):
        read([spec])


@pytest.mark.parametrize(
    ("module", "spec", "extra"),
    [
        ("duckdb", "duckdb:?SELECT 1", "frames"),
        ("google.cloud.bigquery", "bigquery:a.b.c", "bigquery"),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, spec: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=rf'pip install "{NAME}\[{extra}\]"'):
        read([spec])


def test_bigquery_is_read_page_by_page_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    asked: list[object] = []

    class Client:
        def get_table(self, table: str) -> object:
            asked.append(table)
            names = ("timestamp", "host", "x")
            return SimpleNamespace(schema=[SimpleNamespace(name=name) for name in names])

        def query(self, query: str) -> object:
            asked.append(query)
            return self

        def result(self, page_size: int) -> object:
            asked.append(page_size)
            return self

        def to_dataframe_iterable(self) -> object:
            for start in (0, 2):
                stamps = pandas.to_datetime([start, start + 1], unit="s", utc=True)
                yield pandas.DataFrame({"timestamp": stamps, "host": "h", "x": [start, None]})

    module = ModuleType("google.cloud.bigquery")
    module.Client = Client  # type: ignore[attr-defined]
    for name in ("google", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", module)
    data = read(["bigquery:p.d.metrics"], DataOptions(), chunk_rows=2)
    assert asked == ["p.d.metrics", "SELECT * FROM `p.d.metrics` ORDER BY `timestamp`", 2]
    assert data.keys == (b"metrics",)
    assert data.tables[0].time_us.tolist() == [0, 1_000_000, 2_000_000, 3_000_000]
    np.testing.assert_array_equal(data.tables[0].values[:, 0], [0, np.nan, 2, np.nan])


def test_errors_of_the_vendor_become_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotFound(Exception):
        __module__ = "google.api_core.exceptions"

    class Client:
        def __init__(self) -> None:
            raise NotFound("no such\n table")

    module = ModuleType("google.cloud.bigquery")
    module.Client = Client  # type: ignore[attr-defined]
    for name in ("google", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", module)
    with pytest.raises(DataError, match=r"bigquery:p\.d\.t cannot be read.*no such table"):
        read(["bigquery:p.d.t"])


def test_a_scheme_of_the_callers_own_is_opened_by_it(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv")
    opened: list[str] = []

    def opener(rest: str, options: DataOptions) -> object:
        opened.append(rest)
        return open_sources([path], options)[0]

    data = read(["kafka:topic"], schemes={"kafka": opener})  # type: ignore[dict-item]
    assert opened == ["topic"]
    assert data.keys == (b"a",)


@pytest.mark.data
def test_the_shared_sets_read_as_their_readme_says(shared_data: Path) -> None:
    options = DataOptions(time="t", time_unit="index", split="split", label="label")
    asd = read([shared_data / "asd"], options)
    assert asd.keys == tuple(f"omi-{i}".encode() for i in range(1, 7))
    assert asd.channels == tuple(f"c{i:02}" for i in range(19))
    assert {asd.rows(i, "train").size for i in range(6)} == {8640}
    assert {asd.rows(i, "scored").size for i in range(6)} == {4320}
    nab = read([shared_data / "nab" / "data"])
    assert len(nab.keys) == 35
    assert nab.channels == ("value",)
    skab = DataOptions(time="datetime", label="anomaly", drop=("changepoint",), train_head="400")
    valve = read([shared_data / "skab"], skab)
    assert len(valve.keys) == 17
    assert len(valve.channels) == 8


def test_files_laid_out_as_the_shared_sets_read_as_they_should(tmp_path: Path) -> None:
    """Twin of the recorded sets: their layouts, with figures of no meaning."""
    for key in ("omi-2", "omi-1"):
        rows = [f"{t},{'train' if t < 13 else 'test'},0.5,0.25,{int(t > 15)}" for t in range(20)]
        with gzip.open(tmp_path / f"{key}.csv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(["t,split,c00,c01,label", *rows]) + "\n")
    options = DataOptions(time="t", time_unit="index", split="split", label="label")
    asd = read([tmp_path], options)
    assert asd.keys == (b"omi-1", b"omi-2")
    assert asd.channels == ("c00", "c01")
    assert [(asd.rows(i, "train").size, asd.rows(i, "scored").size) for i in (0, 1)] == [
        (13, 7)
    ] * 2
    nab = tmp_path / "nab"
    for folder in ("realAWSCloudwatch", "artificialNoAnomaly"):
        csv(nab / folder / f"{folder}_1.csv", "timestamp,value\n2014-04-01 00:00:00,20.5\n")
    series = read([nab])
    assert len(series.keys) == 2
    assert series.channels == ("value",)
    valve = (
        "datetime;Pressure;Temperature;anomaly;changepoint\n2020-03-09 10:14:33;0.1;70.2;0.0;0.0\n"
    )
    csv(tmp_path / "skab" / "valve1" / "0.csv", valve)
    skab = DataOptions(time="datetime", label="anomaly", drop=("changepoint",), train_head="400")
    assert read([tmp_path / "skab"], skab).channels == ("Pressure", "Temperature")
