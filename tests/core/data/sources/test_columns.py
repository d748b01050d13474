"""Which column is what, and what is said where one is missing or holds the wrong thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ember_core.data.sources import DataError, DataOptions, open_sources, read

ROWS = "when,host,part,cpu,load,note,bad\n" + "".join(
    f"{t},{'ab'[t % 2]},{'train' if t < 4 else 'test'},{t / 4},{t * t},n{t},{int(t == 6)}\n"
    for t in range(7)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "web-1.csv"
    file.write_text(ROWS, encoding="utf-8")
    return file


def test_every_number_that_is_not_named_is_a_channel(path: Path) -> None:
    options = DataOptions(time="when", split="part", label="bad")
    data = read([path], options)
    assert data.keys == (b"web-1",)
    assert data.channels == ("cpu", "load")
    (table,) = data.tables
    assert table.values[:, 1].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert table.is_train.tolist() == [True] * 4 + [False] * 3
    assert table.label is not None
    assert table.label.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert table.label.dtype == np.int8
    assert data.rows(0, "train").tolist() == [0, 1, 2, 3]
    assert data.rows(0, "scored").tolist() == [4, 5, 6]
    assert data.rows(0, "all").tolist() == list(range(7))


def test_named_channels_keep_their_order_and_dropped_ones_are_gone(path: Path) -> None:
    assert read([path], DataOptions(time="when", channels=("load", "cpu"))).channels == (
        "load",
        "cpu",
    )
    dropped = read([path], DataOptions(time="when", drop=("load", "bad")))
    assert dropped.channels == ("cpu",)


def test_without_division_all_rows_are_trained_on_and_scored(path: Path) -> None:
    data = read([path], DataOptions(time="when"))
    for which in ("train", "scored", "all"):
        assert data.rows(0, which).tolist() == list(range(7))  # type: ignore[arg-type]
    assert data.tables[0].label is None


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_a_key_column_makes_a_table_per_key(path: Path, chunk_rows: int) -> None:
    data = read([path], DataOptions(time="when", key="host"), chunk_rows=chunk_rows)
    assert data.keys == (b"a", b"b")
    assert [table.time_text.tolist() for table in data.tables] == [
        ["0", "2", "4", "6"],
        ["1", "3", "5"],
    ]


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("head", "expected"), [("2", [2, 2]), ("50%", [2, 1]), ("100%", [4, 3]), ("99", [4, 3])]
)
def test_a_training_head_is_taken_of_each_key(
    path: Path, head: str, expected: list[int], chunk_rows: int
) -> None:
    options = DataOptions(time="when", key="host", train_head=head)
    data = read([path], options, chunk_rows=chunk_rows)
    assert [data.rows(i, "train").tolist() for i in range(2)] == [list(range(n)) for n in expected]
    (source,) = open_sources([path], options, chunk_rows=chunk_rows)
    marked: dict[bytes, list[bool]] = {b"a": [], b"b": []}
    for chunk in source.chunks():
        for index, train in zip(chunk.key_index.tolist(), chunk.is_train.tolist(), strict=True):
            marked[chunk.keys[index]].append(train)
    assert [sum(marked[key]) for key in (b"a", b"b")] == expected


def test_rows_are_counted_per_key_where_there_is_no_time(path: Path) -> None:
    options = DataOptions(key="host", time_unit="index")
    data = read([path], options, chunk_rows=3)
    assert data.tables[1].time_us.tolist() == [0, 60_000_000, 120_000_000]
    assert data.tables[1].time_text.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_a_column_is_settled_by_all_rows(tmp_path: Path, chunk_rows: int) -> None:
    """Half of the cells that are there must be numbers; where they stand does not matter."""
    file = tmp_path / "k.csv"
    file.write_text(
        "ts,late,half,text,never,mixed\n1,,a,b,,1\n2,,3,c,,2\n3,5,4,7,,six\n4,6,d,e,-,3\n",
        encoding="utf-8",
    )
    data = read([file], chunk_rows=chunk_rows)
    assert data.channels == ("late", "half", "mixed")
    np.testing.assert_array_equal(
        data.tables[0].values,
        [[np.nan, np.nan, 1], [np.nan, 3, 2], [5, 4, np.nan], [6, np.nan, 3]],
    )
    told = {(r.kind, r.column): (r.count, r.first_row, r.example) for r in data.remarks}
    assert told == {
        ("unreadable", "half"): (2, 1, "a"),
        ("text_column", "text"): (0, 1, "b"),
        ("empty_column", "never"): (0, 0, ""),
        ("unreadable", "mixed"): (1, 3, "six"),
    }
    (source,) = open_sources([file], chunk_rows=chunk_rows)
    chunks = list(source.chunks())
    assert {chunk.channels for chunk in chunks} == {data.channels}
    np.testing.assert_array_equal(
        np.concatenate([chunk.values for chunk in chunks]), data.tables[0].values
    )


def test_truth_values_are_channels(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    file.write_text("ts,up,door,unit,pg,x\n1,True,yes,f,t,5\n2,False,no,f,f,6\n", encoding="utf-8")
    data = read([file])
    assert data.channels == ("up", "door", "pg", "x")  # one letter alone has another meaning
    assert data.tables[0].values[:, :3].tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    named = read([file], DataOptions(channels=("unit",)))
    assert named.tables[0].values[:, 0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"time": "whem"}, r"no column 'whem'.*--time whem.*mean 'when'"),
        ({"time": "when", "key": "hots"}, r"no column 'hots'.*--key hots.*mean 'host'"),
        ({"time": "when", "split": "parts"}, r"'parts'.*Expected one of: 'when', 'host'.*--split"),
        ({"time": "when", "channels": ("cpuu",)}, r"'cpuu'.*--channels cpuu.*mean 'cpu'"),
        ({"time": "when", "channels": ("cpu", "lod")}, r"'lod'.*--channels lod.*mean 'load'"),
        ({"time": "when", "drop": ("note", "zzz")}, r"'zzz'.*--drop zzz\.$"),
        ({"time": "when", "label": "badd"}, r"'badd'.*--label badd.*mean 'bad'"),
        ({}, r"no column that is plainly the time.*'when', 'host'.*--time COL"),
        ({"time": "note"}, r"row 1 has no readable time.*a number or ISO 8601.*'note'.*'n0'"),
        ({"time": "when", "time_unit": "iso8601"}, r"row 1 has no readable time.*'0'"),
        ({"time": "when", "channels": ("cpu", "note")}, r"row 1 has no number.*'note'.*'n0'"),
        ({"time": "when", "label": "note"}, r"row 1 has no label.*'note'.*'n0'"),
        ({"time": "when", "drop": ("cpu", "load", "bad")}, r"no numeric channel.*'when', 'host'"),
    ],
)
def test_errors_name_the_column_the_row_and_the_mend(
    path: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read([path], DataOptions(**options))  # type: ignore[arg-type]


def test_an_error_in_a_later_chunk_has_the_row_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    rows = "".join(f"{t},h,1\n" for t in range(10))
    file.write_text(f"ts,host,x\n{rows}soon,h,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 11 .*'soon'"):
        read([file], chunk_rows=4)
    file.write_text(f"ts,host,x\n{rows}11,,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 11 has no key.*'host'"):
        read([file], DataOptions(key="host"), chunk_rows=4)
