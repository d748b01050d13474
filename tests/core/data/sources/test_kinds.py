"""Files as people have them: layouts, encodings, spellings of numbers and times."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pandas as pd
import pytest

from ember_core.data.sources import DataError, DataOptions, Dataset, read

EXPECTED = [[1234.5, 7.0], [0.25, 8.0], [-3.0, 9.0]]
TIMES = [1_767_571_200_000_000 + 300_000_000 * i for i in range(3)]  # 5 January 2026


def written(folder: Path, text: str | bytes, name: str = "k.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def table(folder: Path, text: str | bytes, name: str = "k.csv", **options: Any) -> Dataset:
    return read([written(folder, text, name)], DataOptions(**options))


PLAIN = """ts,temp,hum
2026-01-05T00:00:00Z,1234.5,7
2026-01-05T00:05:00Z,0.25,8
2026-01-05T00:10:00Z,-3,9
"""


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r\n\r\n"),
        PLAIN.replace("\n", ",\n"),
        "ts,temp,hum\n" + PLAIN.partition("\n")[2].replace("\n", ",\n"),
        "sep=,\n" + PLAIN,
        '"sep=;"\n' + PLAIN.replace(",", ";"),
        "sep=\t\r\n" + PLAIN.replace(",", "\t"),
        "# a logger, version 3\n#\n\n" + PLAIN,
        "# ts,temp,hum\n" + PLAIN.partition("\n")[2],
        PLAIN.replace("\n2026-01-05T00:10", "\n# restarted\n2026-01-05T00:10"),
        PLAIN.replace("hum\n", "hum\n,degC,%\n"),
        PLAIN.replace("hum\n", "hum\nUTC,°C,%\n"),
        PLAIN.replace(",", " , "),
        PLAIN.replace(",", " | "),
        PLAIN.replace("T", " ").replace("Z", "").replace(",", ";"),
        PLAIN.replace("Z", "").replace(",", "  "),
        PLAIN + ",,\n,,\n",
        PLAIN.replace("1234.5", '"1234.5"').replace("ts,temp", '"ts","temp"'),
        PLAIN.replace("1234.5", '"1,234.5"'),
        PLAIN.replace("1234.5", "1 234.5").replace("-3", "\u22123"),
        PLAIN.replace(",", ";").replace("1234.5", "1234,5").replace("0.25", "0,25"),
        PLAIN.replace(",", ";").replace("1234.5", "1.234,5").replace("0.25", "0,25"),
        PLAIN.replace(",", "\t").replace("1234.5", "1\u202f234,5").replace("0.25", "0,25"),
        PLAIN.replace("1234.5", '"1234,5"').replace("0.25", '"0,25"'),
        PLAIN.replace("ts,", ",ts,").replace("\n2026", "\n0,2026"),
        PLAIN.replace("ts,", "Unnamed: 0,ts,").replace("\n2026", "\n4,2026"),
        PLAIN.replace("ts,", "index,ts,")
        .replace("\n2026-01-05T00:00", "\n0,2026-01-05T00:00")
        .replace("\n2026-01-05T00:05", "\n1,2026-01-05T00:05")
        .replace("\n2026-01-05T00:10", "\n2,2026-01-05T00:10"),
        PLAIN.replace("ts,", ","),
        PLAIN.replace("ts,", "Time,"),
        PLAIN.replace("ts,", "TIMESTAMP,"),
        PLAIN.replace("ts,", "@timestamp,"),
        PLAIN.replace("hum", "hum,note").replace("7\n", "7,ok\n"),
    ],
)
def test_layouts_of_one_table(tmp_path: Path, text: str) -> None:
    data = table(tmp_path, text)
    assert data.channels == ("temp", "hum")
    assert data.tables[0].values.tolist() == EXPECTED
    assert data.tables[0].time_us.tolist() == TIMES


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_encodings_are_seen(tmp_path: Path, encoding: str) -> None:
    data = table(tmp_path, PLAIN.replace("temp", "Außen °C").encode(encoding))
    assert data.channels == ("Außen °C", "hum")
    assert data.tables[0].values.tolist() == EXPECTED
    assert not data.remarks


def test_an_encoding_of_windows_is_told_and_others_are_named(tmp_path: Path) -> None:
    text = PLAIN.replace("temp", "Außen °C")
    data = table(tmp_path, text.encode("cp1252"))
    assert data.channels == ("Außen °C", "hum")
    assert [remark.kind for remark in data.remarks] == ["encoding"]
    cyrillic = PLAIN.replace("temp", "темп").encode("koi8-r")
    assert table(tmp_path, cyrillic, encoding="koi8-r").channels == ("темп", "hum")
    with pytest.raises(DataError, match="unknown encoding: klingon"):
        DataOptions(encoding="klingon")


def test_lines_with_too_few_cells_are_told(tmp_path: Path) -> None:
    data = table(tmp_path, PLAIN.replace("0.25,8", "0.25"))
    (remark,) = data.remarks
    assert (remark.kind, remark.count) == ("short_line", 1)
    assert "first line 3" in remark.text
    assert not table(tmp_path, PLAIN.replace("0.25,8", "0.25,")).remarks


def test_the_only_column_of_dates_is_the_time_and_told(tmp_path: Path) -> None:
    data = table(tmp_path, PLAIN.replace("ts,", "Zeit,"))
    assert data.tables[0].time_us.tolist() == TIMES
    assert [(r.kind, r.column) for r in data.remarks] == [("time_column", "Zeit")]
    with pytest.raises(DataError, match="no column that is plainly the time"):
        table(tmp_path, "a,b,x\n2026-01-05,2026-01-06,1\n")


@pytest.mark.parametrize("ending", ["gz", "zst", "zip"])
def test_packed_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"k.csv.{ending}"
    if ending == "gz":
        path.write_bytes(gzip.compress(PLAIN.encode()))
    elif ending == "zst":
        path.write_bytes(bytes(cramjam.zstd.compress(PLAIN.encode())))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("k.csv", PLAIN)
    assert read([path]).tables[0].values.tolist() == EXPECTED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN.replace("-3,9", "-3,9,4"), "line 4"),
        (PLAIN.replace("0.25,8", "0.25,8,6,7"), "line 3"),
        (PLAIN.replace("2026-01-05T00:05:00Z", ""), "row 2 has no readable time.*''"),
        (PLAIN.replace("2026-01-05T00:05:00Z", "total"), "row 2 has no readable time.*'total'"),
        ("ts,x\n46027,1\n46028,2\n", "--time-unit excel"),
        ("ts,x\n46027.5,1\n46027.6,2\n", "--time-unit excel"),
        ("ts,x\n01/02/2026,1\n02/02/2026,2\n", r"row 1 .*'01/02/2026'.*--time-format"),
        ("ts,x\n13/02/2026,1\n02/13/2026,2\n", r"'13/02/2026' and '02/13/2026'.*--time-format"),
        (
            "ts;x;y\n1;1,234;2\n2;2,345;3\n",
            r"row 1 has a comma.*'1,234'.*--decimal",
        ),
        ("ts;x;y\n1;1,25;2\n2;1,234,567;3\n", "two meanings.*--decimal"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        table(tmp_path, text)


def test_commas_in_a_column_of_text_mean_nothing(tmp_path: Path) -> None:
    text = PLAIN.replace("hum\n", "hum,code\n").replace("7\n", '7,"12,345"\n')
    text = text.replace("8\n", "8,A4\n").replace("9\n", "9,B5\n")
    data = table(tmp_path, text)
    assert data.channels == ("temp", "hum")
    assert data.tables[0].values.tolist() == EXPECTED


@pytest.mark.parametrize("late", [False, True])
def test_a_convention_is_told_by_all_rows(tmp_path: Path, late: bool) -> None:
    """The row that decides may be the last of many."""
    lines = [f"{i % 12 + 1:02}/{i % 12 + 1:02}/2026 00:{i % 60:02};1,{i:03}" for i in range(600)]
    decided = "31/12/2026 23:59;2,5"
    lines = [*lines, decided] if late else [decided, *lines]
    path = written(tmp_path, "ts;x\n" + "\n".join(lines) + "\n")
    data = read([path], chunk_rows=100)
    assert data.tables[0].values[-1 if late else 0, 0] == 2.5
    newest = data.tables[0].time_us.max().astype("datetime64[us]")
    assert str(newest) == "2026-12-31T23:59:00.000000"
    assert {"decimal", "day_first"} <= {remark.kind for remark in data.remarks}


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (
            ("05/01/2026 00:00", "05/01/2026 00:05", "05/01/2026 00:10"),
            {"time_format": "%d/%m/%Y %H:%M"},
        ),
        (
            ("1/5/2026 12:00 AM", "1/5/2026 12:05 AM", "1/5/2026 12:10 AM"),
            {"time_format": "%m/%d/%Y %I:%M %p"},
        ),
        (("46027", "46027.003472222", "46027.006944444"), {"time_unit": "excel"}),
        (("202601050000", "202601050005", "202601050010"), {}),
        (("20260105000000", "20260105000500", "20260105001000"), {}),
        (("1767571200", "1767571500", "1767571800"), {}),
        (("1767571200.0", "1767571500.0", "1767571800.0"), {}),
        (("1767571200000", "1767571500000", "1767571800000"), {}),
        (("1.7675712e9", "1.7675715e9", "1.7675718e9"), {}),
        (("2026/01/05 00:00", "2026/01/05 00:05", "2026/01/05 00:10"), {}),
        (("2026-01-05T01:00:00+0100", "2026-01-05T00:05:00+00", "2026-01-05T00:10:00Z"), {}),
        (
            ("2026-01-05 01:00", "2026-01-05 01:05", "2026-01-05 01:10"),
            {"time_zone": "Europe/Berlin"},
        ),
        (("2026-01-04 24:00", "2026-01-05 00:04:60", "2026-01-05 00:10,000"), {}),
        (("05.01.2026 00:00", "05.01.2026 00:05", "05.01.2026 00:10"), {}),
        (("5 Jan 2026 00:00", "5 Jan 2026 00:05", "5 Jan 2026 00:10"), {}),
        (("05-Jan-26 00:00:00", "05-Jan-26 00:05:00", "05-JAN-2026 00:10"), {}),
        (("Jan 5 2026 00:00:00", "Jan 5 2026 00:05:00", "Jan 5 2026 00:10:00"), {}),
    ],
)
def test_times_of_one_table(tmp_path: Path, cells: tuple[str, ...], options: Any) -> None:
    text = "ts;x\n" + "".join(f"{cell};{i}.5\n" for i, cell in enumerate(cells))
    data = table(tmp_path, text, **options)
    assert data.tables[0].time_us.tolist() == TIMES


@pytest.mark.parametrize(
    ("head", "pairs", "options"),
    [
        ("date,time", ("2026-01-05,00:00", "2026-01-05,00:05:00", "2026-01-05,00:10"), {}),
        ("Date,Time", ("05.01.2026,00:00", "05.01.2026,00:05", "05.01.2026,0:10"), {}),
        ("day,at", ("20260105,0", "20260105,500", "20260105,001000"), {"time": "day+at"}),
        (
            "d,t",
            ("05/01/2026,00:00", "05/01/2026,00:05", "05/01/2026,00:10"),
            {"time": "d+t", "time_format": "%d/%m/%Y %H:%M"},
        ),
        (
            "date,clock",
            ("2026-01-05 00:00:00,12:00 AM", "2026-01-05,0:05", "2026-01-05,00:10"),
            {"time": "date+clock"},
        ),
    ],
)
def test_date_and_time_in_two_columns(
    tmp_path: Path, head: str, pairs: tuple[str, ...], options: Any
) -> None:
    text = f"{head},x\n" + "".join(f"{pair},{i}\n" for i, pair in enumerate(pairs))
    data = table(tmp_path, text, **options)
    assert data.channels == ("x",)
    expected = [*TIMES[:1], TIMES[1], TIMES[2]]
    if "20260105,500" in pairs:  # 500 is five o'clock, or five minutes past: four digits
        expected[1] = TIMES[0] + 5 * 3_600_000_000
    assert data.tables[0].time_us.tolist() == expected


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("-9999", {"missing": "-9999"}),
        ("-9999.0", {"missing": ("-9999",)}),
        ("Sensor Off", {"missing": "sensor off,-1"}),
        ("No Data", {}),
        ("#N/A", {}),
        ("\\N", {}),
        ("inf", {}),
        ("broken", {}),
    ],
)
def test_words_and_numbers_for_no_value(tmp_path: Path, word: str, options: Any) -> None:
    data = table(tmp_path, PLAIN.replace("0.25", word), **options)
    np.testing.assert_array_equal(data.tables[0].values[:, 0], [1234.5, np.nan, -3.0])
    if options or word in ("#N/A", "\\N"):  # asked for, or written by a program for an empty cell
        assert not data.remarks
    else:
        (remark,) = data.remarks
        assert (remark.column, remark.count, remark.first_row) == ("temp", 1, 2)


def test_a_second_column_of_a_name_is_told(tmp_path: Path) -> None:
    data = table(tmp_path, PLAIN.replace("hum", "temp"))
    assert data.channels == ("temp", "temp.1")
    assert [(r.kind, r.column) for r in data.remarks] == [("duplicate_column", "temp")]
    frame = pd.DataFrame([[1, 2.0, 3.0], [2, 4.0, 5.0]], columns=["ts", "x", "x"])
    assert read([frame]).channels == ("x", "x.1")


def test_the_newest_rows_may_come_first(tmp_path: Path) -> None:
    head, *lines = PLAIN.splitlines()
    data = table(tmp_path, "\n".join([head, *lines[::-1]]) + "\n", train_head="1")
    assert data.tables[0].time_us.tolist() == TIMES
    assert data.tables[0].values.tolist() == EXPECTED
    assert data.rows(0, "train").tolist() == [0]
    assert [remark.kind for remark in data.remarks] == ["newest_first"]


def test_clocks_that_go_back_in_a_file_of_hours_or_with_the_newest_first(tmp_path: Path) -> None:
    hours = ["00", "01", "02", "02", "03", "04"]
    lines = [f"2025-10-26 {hour}:00,{i}" for i, hour in enumerate(hours)]
    for rows in (lines, lines[::-1]):
        data = table(tmp_path, "ts,x\n" + "\n".join(rows) + "\n", time_zone="Europe/Berlin")
        assert (np.diff(data.tables[0].time_us) == 3_600_000_000).all()
        assert data.tables[0].values[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_clocks_that_go_back_are_resolved_for_each_key_and_across_chunks(tmp_path: Path) -> None:
    times = pd.date_range("2025-10-25T22:00Z", periods=60, freq="5min").tz_convert("Europe/Berlin")
    lines = [f"{t:%Y-%m-%d %H:%M},{host},{i}" for i, t in enumerate(times) for host in "ab"]
    path = written(tmp_path, "ts,host,x\n" + "\n".join(lines) + "\n")
    options = DataOptions(key="host", time_zone="Europe/Berlin")
    for chunk_rows in (1, 7, 1000):
        for key_table in read([path], options, chunk_rows=chunk_rows).tables:
            assert (np.diff(key_table.time_us) == 300_000_000).all()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0, 2.0]}, index=pd.DatetimeIndex(["2026-01-05", "2026-01-06"])),
        pd.DataFrame(
            {"x": [1.0, 2.0]}, index=pd.DatetimeIndex(["2026-01-05", "2026-01-06"], name="when")
        ),
        pd.DataFrame(
            {"x": [1.0, 2.0]}, index=pd.PeriodIndex(["2026-01-05", "2026-01-06"], freq="D")
        ),
        pd.DataFrame({"ts": ["2026-01-05", "2026-01-06"], "x": [1.0, 2.0]}, index=[7, 9]),
        pd.DataFrame({"ts": ["2026-01-05", "2026-01-06"], "x": [1.0, 2.0]}).set_index("ts"),
    ],
)
def test_the_time_may_be_the_index_of_a_frame(frame: pd.DataFrame, tmp_path: Path) -> None:
    options = DataOptions(time="when" if frame.index.name == "when" else "")
    sources: list[Any] = [frame]
    if not isinstance(frame.index, pd.PeriodIndex):
        frame.to_parquet(tmp_path / "k.parquet")
        sources.append(tmp_path / "k.parquet")
    if frame.index.name is None and isinstance(frame.index, pd.DatetimeIndex):
        frame.to_csv(tmp_path / "k.csv")
        sources.append(tmp_path / "k.csv")
    for source in sources:
        data = read([source], options)
        assert data.channels == ("x",)
        assert (np.diff(data.tables[0].time_us) == 86_400_000_000).all()


def test_keys_and_times_may_be_the_index_of_a_frame() -> None:
    index = pd.MultiIndex.from_product(
        [["a", "b"], pd.to_datetime(["2026-01-05", "2026-01-06"])], names=["host", None]
    )
    data = read([pd.DataFrame({"x": [1, 2, 3, 4]}, index=index)], DataOptions(key="host"))
    assert data.keys == (b"a", b"b")
    assert data.tables[1].values.tolist() == [[3.0], [4.0]]


RECORDS = [
    {"ts": t // 1_000_000, "temp": a, "hum": b} for t, (a, b) in zip(TIMES, EXPECTED, strict=True)
]


@pytest.mark.parametrize(
    "text",
    [
        "".join(json.dumps(record) + "\n" for record in RECORDS),
        "\r\n\r\n".join(json.dumps(record) for record in RECORDS),
        "".join(json.dumps(record) + ",\n" for record in RECORDS),
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2),
        "\n".join(json.dumps(record, indent=2) for record in RECORDS),
        "[\n" + ",\n".join(json.dumps(record) for record in RECORDS) + "\n]\n",
        json.dumps(RECORDS[:2]) + "\n" + json.dumps(RECORDS[2:]),
        "\ufeff" + "\n".join(json.dumps(record) for record in RECORDS),
        "\n".join(json.dumps({**r, "temp": str(r["temp"]), "ts": str(r["ts"])}) for r in RECORDS),
        "\n".join(json.dumps({"ts": r["ts"], "values": {**r, "ts": 0}}) for r in RECORDS),
        "\n".join(
            json.dumps({"partition": 0, "offset": 1, "key": "k", "value": json.dumps(r)})
            for r in RECORDS
        ),
        "\n".join(
            json.dumps({"partition": 0, "offset": 1, "key": "k", "payload": r}) for r in RECORDS
        ),
        json.dumps({"topic": "t", "partition": 0, "offset": 1, "payload": json.dumps(RECORDS)}),
        "\n".join(
            json.dumps({"partition": 0, "offset": i, "payload": p})
            for i, p in enumerate([*map(json.dumps, RECORDS), None])
        ),
    ],
)
def test_records_of_one_table(tmp_path: Path, text: str) -> None:
    data = table(tmp_path, text, "k.json")
    assert data.keys == (b"k",)
    assert data.channels == ("temp", "hum")
    assert data.tables[0].values.tolist() == EXPECTED
    assert data.tables[0].time_us.tolist() == TIMES


def test_a_payload_that_is_no_json_names_the_codec(tmp_path: Path) -> None:
    line = json.dumps({"partition": 0, "offset": 1, "payload": "cpu,host=a usage=1 5"})
    with pytest.raises(DataError, match=r"line 1 payload is not JSON.*--codec"):
        table(tmp_path, line, "k.jsonl")


def test_a_record_is_read_by_itself(tmp_path: Path) -> None:
    """On a topic no other record tells the order of day and month, or the decimal sign."""
    text = '{"ts": "31/01/2026", "x": 1}\n'
    with pytest.raises(DataError, match=r"row 1 has no readable time.*--time-format"):
        table(tmp_path, text, "k.jsonl")
    assert table(tmp_path, text, "k.jsonl", time_format="%d/%m/%Y").channels == ("x",)
    text = '{"ts": 1, "x": "21,5", "y": 2}\n{"ts": 2, "x": "22,5", "y": 3}\n'
    data = table(tmp_path, text, "k.jsonl")
    assert data.channels == ("y",)
    assert "--decimal" in data.remarks[0].text
    assert table(tmp_path, text, "k.jsonl", decimal=",").channels == ("x", "y")


def test_objects_in_a_table_are_columns_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ts": [1, 2], "env": [{"temp": 21.0, "in": {"hum": 5}}, {"temp": 22.0}]})
    frame.to_parquet(tmp_path / "k.parquet")
    for source in (frame, tmp_path / "k.parquet"):
        data = read([source])
        assert data.channels == ("env.temp", "env.in.hum")
        np.testing.assert_array_equal(data.tables[0].values, [[21.0, 5.0], [22.0, np.nan]])
