"""CSV, JSON lines and Parquet: the same records whatever the format."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.sources import DataError, DataOptions, read
from ember_core.distribution import NAME

ROWS = "ts,host,cpu,note\n10,a,0.5,x\n11,b,,y\n12,a,2,z\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def values(path: Path | str, **options: object) -> np.ndarray:
    (table,) = read([path], DataOptions(**options)).tables  # type: ignore[arg-type]
    return table.values


@given(
    numbers=st.lists(
        st.floats(allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False, places=25),
        min_size=1,
        max_size=7,
    )
)
def test_csv_numbers_are_exactly_what_python_reads(
    numbers: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spelled = [str(number) for number in numbers]
    lines = "".join(f"{i},{text}\n" for i, text in enumerate(spelled))
    path = write(tmp_path_factory.mktemp("exact") / "k.csv", f"ts,x\n{lines}")
    expected = [float(text) if np.isfinite(float(text)) else np.nan for text in spelled]
    if np.isnan(expected).all():
        return  # a column without a value is no channel
    np.testing.assert_array_equal(values(path)[:, 0], expected)


@pytest.mark.parametrize(
    ("ending", "opener"),
    [("", open), (".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_files_read_like_plain_ones(
    tmp_path: Path, ending: str, opener: object, kind: str
) -> None:
    text = ROWS if kind == "csv" else '{"ts":10,"cpu":0.5}\n{"ts":11}\n\n{"ts":12,"cpu":2}\n'
    path = tmp_path / f"web.1.{kind}{ending}"
    with opener(path, "wt", encoding="utf-8") as file:  # type: ignore[operator]
        file.write(text)
    data = read([path])
    assert data.keys == (b"web",)
    assert data.channels == ("cpu",)
    np.testing.assert_array_equal(data.tables[0].values[:, 0], [0.5, np.nan, 2.0])
    assert data.tables[0].time_us.tolist() == [10_000_000, 11_000_000, 12_000_000]


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_told_from_the_header(tmp_path: Path, sep: str) -> None:
    path = write(tmp_path / "k.csv", "ts,a,b c\n1,2,3\n".replace(",", sep))
    assert values(path).tolist() == [[2.0, 3.0]]
    assert values(path, sep=sep).tolist() == [[2.0, 3.0]]


def test_byte_order_mark_and_blanks_after_commas_are_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_bytes(b"\xef\xbb\xbfts, cpu\n1, 0.5\n")
    assert read([path]).channels == ("cpu",)


def test_time_and_key_are_kept_as_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "k.csv", "ts,host,x\n007,NA,1\n8.50,null,2\n9,01,3\n")
    data = read([path], DataOptions(key="host", time_unit="s"))
    assert data.keys == (b"NA", b"null", b"01")
    assert [table.time_text.tolist() for table in data.tables] == [["007"], ["8.50"], ["9"]]


@pytest.mark.parametrize("word", ["", "NA", "NaN", "null", "None", "n/a"])
def test_words_for_nothing_are_missing_values(tmp_path: Path, word: str) -> None:
    path = write(tmp_path / "k.csv", f"ts,x,y\n1,{word},1\n2,3,2\n")
    np.testing.assert_array_equal(values(path)[:, 0], [np.nan, 3.0])


def test_integers_beyond_64_bits_are_numbers_and_infinities_are_missing(tmp_path: Path) -> None:
    rows = "1,123456789012345678901234567890,inf\n2,1,-inf\n3,2,5\n"
    found = values(write(tmp_path / "k.csv", f"ts,x,y\n{rows}"))
    assert found[:, 0].tolist() == [1.2345678901234568e29, 1.0, 2.0]
    np.testing.assert_array_equal(found[:, 1], [np.nan, np.nan, 5.0])


def test_json_values_and_nested_objects_become_columns(tmp_path: Path) -> None:
    records = [
        {"key": "a", "ts": 1, "values": {"x": 1, "y": 0.1}, "tags": {"rack": 7}},
        {"key": "b", "ts": 2, "values": {"y": 2, "z": True}, "tags": {"rack": 8}, "list": [1]},
    ]
    path = write(tmp_path / "k.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    data = read([path], DataOptions(key="key"))
    assert data.keys == (b"a", b"b")
    assert data.channels == ("x", "y", "tags.rack", "z", "list.0")
    np.testing.assert_array_equal(data.tables[1].values, [[np.nan, 2.0, 8.0, 1.0, 1.0]])


def test_json_times_beyond_53_bits_are_exact_beside_gaps(tmp_path: Path) -> None:
    lines = '{"ts":1583748873000000999,"x":1}\n{"ts":1583748873000001000,"x":null}\n'
    (table,) = read([write(tmp_path / "k.ndjson", lines)]).tables
    assert table.time_us.tolist() == [1_583_748_873_000_000, 1_583_748_873_000_001]
    assert table.time_text.tolist() == ["1583748873000000999", "1583748873000001000"]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    csv = write(tmp_path / "k.csv", ROWS)
    pandas.read_csv(csv).to_parquet(tmp_path / "k.parquet")
    plain, packed = read([csv]), read([tmp_path / "k.parquet"])
    assert packed.channels == plain.channels
    np.testing.assert_array_equal(packed.tables[0].values, plain.tables[0].values)
    assert packed.tables[0].time_text.tolist() == ["10", "11", "12"]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquet_timestamps_are_times_with_or_without_zone(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    times = arrow.array([1_583_748_873, None, 7], arrow.int64())
    stamps = arrow.compute.multiply(times, {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit])
    stamps = stamps.cast(arrow.timestamp(unit, zone))
    path = tmp_path / "k.parquet"
    whole = stamps.filter(stamps.is_valid())
    parquet.write_table(arrow.table({"ts": whole, "x": [0.5, 2.0]}), path)
    assert read([path]).tables[0].time_us.tolist() == [1_583_748_873_000_000, 7_000_000]
    parquet.write_table(arrow.table({"ts": stamps, "x": [0.5, 1.0, 2.0]}), path)
    with pytest.raises(DataError, match="row 2 has no readable time"):
        read([path])


def test_parquet_without_its_extra_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = write(tmp_path / "k.parquet", "")
    with pytest.raises(DataError, match=rf'pip install "{NAME}\[frames\]"'):
        read([path])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("k.csv", b"", "k.csv is empty"),
        ("k.csv", b"ts,x\n", "k.csv is empty"),
        ("k.csv", b"ts,x\n1,2\n3,4,5\n", "k.csv cannot be read.*Expected 2 fields in line 3"),
        ("k.csv", b"ts,x\n1,2,9\n3,4,5\n", "k.csv cannot be read.*header"),
        ("k.csv", b"1,2\n3,4\n", "k.csv has no header line.*'1,2'"),
        ("k.csv.gz", b"ts,x\n1,2\n", "k.csv.gz cannot be read.*gzip"),
        ("k.jsonl", b"", "k.jsonl is empty"),
        ("k.jsonl", b'{"ts":1,"x":2}\n{"ts":1,\n', "k.jsonl line 2 is not JSON"),
        ("k.json", b'[{"ts":1,"x":2}, 3]\n', "k.json line 1 is not an object.*3"),
        ("k.csv.zst", b"ts,x\n1,2\n", "k.csv.zst cannot be read"),
        ("k.csv.zip", b"ts,x\n1,2\n", "k.csv.zip cannot be read.*zip"),
        ("k.jsonl", b"[" * 99_999, "k.jsonl line 1 is not JSON"),
        ("k.parquet", b"PAR0", "k.parquet cannot be read"),
        ("k.xlsx", b"", r"k.xlsx is of no known kind.*\.csv, \.tsv"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read([path])
