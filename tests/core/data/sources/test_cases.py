"""Files shaped like those of public reports, each beside a generated twin of its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ember_core.data.sources import DataOptions, Dataset, read

Rows = list[tuple[str, float, float, float]]
START = datetime(2026, 1, 5, tzinfo=UTC)


def rows() -> Rows:
    """Times in ISO 8601 and three channels."""
    return [
        (
            f"{START + timedelta(minutes=5 * i):%Y-%m-%dT%H:%M:%SZ}",
            20 + i / 7,
            50 - i,
            1e3 + i,
        )
        for i in range(60)
    ]


def csv(lines: Iterable[Iterable[object]], head: str = "ts,temp,hum,pres", sep: str = ",") -> str:
    return "\n".join([head, *(sep.join(map(str, line)) for line in lines)]) + "\n"


def token_dash() -> str:
    lines = [list(row) for row in rows()]
    lines[30][1] = "-"
    return csv(lines)


def local_rows() -> str:
    zone = ZoneInfo("Europe/Berlin")
    begin = datetime(2025, 10, 25, 22, 0, tzinfo=UTC)
    times = [(begin + timedelta(minutes=5 * i)).astimezone(zone) for i in range(60)]
    return csv(
        (f"{time:%Y-%m-%d %H:%M:%S}", *row[1:]) for time, row in zip(times, rows(), strict=True)
    )


def json_lines(make: Callable[[int, tuple[str, float, float, float]], dict[str, Any]]) -> str:
    return "".join(json.dumps(make(i, row)) + "\n" for i, row in enumerate(rows()))


TWINS: dict[str, Callable[[], str]] = {
    "token-dash.csv": token_dash,
    "nbsp.csv": lambda: csv((t, *(f"\u00a0 {v}" for v in values)) for t, *values in rows()),
    "unnamed-index.csv": lambda: csv(
        ((i, *row) for i, row in enumerate(rows())), head=",ts,temp,hum,pres"
    ),
    "minute-precision-long.csv": lambda: csv(
        ((f"2026-01-05 00:{i // 12:02}", 20 + i, 50 - i) for i in range(60)), head="ts,temp,hum"
    ),
    "yyyymmdd.csv": lambda: csv(
        ((f"{datetime(2020, 1, 1) + timedelta(days=i):%Y%m%d}", i, -i) for i in range(60)),  # noqa: DTZ001
        head="date,sales,visits",
    ),
    "dst-naive.csv": local_rows,
    "grafana-sep.csv": lambda: "sep=,\n" + csv(rows(), head="Time,temp,hum,pres"),
    "nested.jsonl": lambda: json_lines(
        lambda i, r: {"ts": r[0], "id": "dev-1", "env": {"temp": r[1], "hum": r[2]}, "pres": r[3]}
    ),
    "bool.jsonl": lambda: json_lines(
        lambda i, r: {
            "ts": r[0], "values": {"temp": r[1], "hum": r[2], "door_open": i % 3 == 0}
        }
    ),
    "kcat.jsonl": lambda: json_lines(
        lambda i, r: {
            "topic": "telemetry", "partition": i % 4, "offset": 1000 + i, "tstype": "create",
            "ts": 1767571200000 + 300_000 * i, "broker": 1, "key": "dev-1",
            "payload": json.dumps({"ts": r[0], "values": {"temp": r[1], "hum": r[2]}}),
        }
    ),
}  # fmt: skip


@pytest.fixture(params=["recorded", pytest.param("twin", id="twin")])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Function that gives the file of a case: the recorded one, or its twin."""

    def path(name: str) -> Path:
        if request.param == "twin":
            twin = tmp_path / name
            twin.write_text(TWINS[name](), encoding="utf-8")
            return twin
        shared: Path = request.getfixturevalue("shared_cases")
        return shared / name

    return path


def kinds(data: Dataset) -> dict[str, int]:
    return {remark.kind: remark.count for remark in data.remarks}


def test_one_dash_costs_one_value_and_is_told(file: Callable[[str], Path]) -> None:
    path = file("token-dash.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    (number,) = [i for i, line in enumerate(lines) if ",-," in line]
    data = read([path])
    assert data.channels == ("temp", "hum", "pres")
    (table,) = data.tables
    assert np.isnan(table.values).sum() == 1
    (remark,) = data.remarks
    assert (remark.column, remark.count, remark.first_row) == ("temp", 1, number)


@pytest.mark.parametrize("chunk_rows", [7, 100_000])
def test_one_rule_holds_for_all_rows_of_a_file(tmp_path: Path, chunk_rows: int) -> None:
    """Wherever the odd cell stands, and whatever it says."""
    for row in (0, 29, 59):
        for cell in ("-", "--", "n/a", "Bad", "offline?", "<0.1", "#DIV/0!", "2026-01-05"):
            lines = [list(line) for line in rows()]
            lines[row][2] = cell
            path = tmp_path / "k.csv"
            path.write_text(csv(lines), encoding="utf-8")
            data = read([path], chunk_rows=chunk_rows)
            assert data.channels == ("temp", "hum", "pres")
            assert np.flatnonzero(np.isnan(data.tables[0].values[:, 1])).tolist() == [row]
            told = [(r.column, r.count, r.first_row) for r in data.remarks]
            assert told == ([] if cell == "n/a" else [("hum", 1, row + 1)])


def test_no_break_spaces_are_spaces(file: Callable[[str], Path]) -> None:
    data = read([file("nbsp.csv")])
    assert data.channels == ("temp", "hum", "pres")
    assert not np.isnan(data.tables[0].values).any()
    assert not data.remarks


def test_a_column_without_a_name_is_left_out_and_told(file: Callable[[str], Path]) -> None:
    data = read([file("unnamed-index.csv")])
    assert data.channels == ("temp", "hum", "pres")
    assert [(r.kind, r.column) for r in data.remarks] == [("row_numbers", "Unnamed: 0")]


def test_dates_as_numbers_are_days(file: Callable[[str], Path]) -> None:
    data = read([file("yyyymmdd.csv")])
    assert data.channels == ("sales", "visits")
    days = data.tables[0].time_us.astype("datetime64[us]")
    assert str(days[0])[:10] == "2020-01-01"
    assert (np.diff(days) == np.timedelta64(1, "D")).all()
    if len(days) > 60:
        assert str(days[-1])[:4] == "2022"


def test_an_hour_that_comes_twice_is_read_by_its_order(file: Callable[[str], Path]) -> None:
    path = file("dst-naive.csv")
    data = read([path], DataOptions(time_zone="Europe/Berlin"))
    steps = np.diff(data.tables[0].time_us)
    assert (steps == 300_000_000).all()
    assert kinds(data) == {"clock_change": 24}
    head = read([path], DataOptions(time_zone="Europe/Berlin", train_head="70%"))
    times = head.tables[0].time_us[head.rows(0, "train")]
    assert (
        len(np.unique(times))
        == len(times)
        == len(steps) * 7 // 10 + 1 * (len(steps) > 60) + (len(steps) == 59)
    )
    untold = read([path])
    assert (np.diff(untold.tables[0].time_us) < 0).sum() == 1
    assert kinds(untold) == {"repeated_hour": 12}
    assert "--time-zone" in untold.remarks[0].text


def test_a_line_that_names_the_separator_is_no_header(file: Callable[[str], Path]) -> None:
    data = read([file("grafana-sep.csv")])
    assert data.channels == ("temp", "hum", "pres")
    assert (np.diff(data.tables[0].time_us) == 300_000_000).all()


def test_nested_objects_are_channels(file: Callable[[str], Path]) -> None:
    data = read([file("nested.jsonl")])
    assert data.channels == ("env.temp", "env.hum", "pres")
    assert [(r.kind, r.column) for r in data.remarks] == [("text_column", "id")]


def test_truth_values_are_one_and_zero(file: Callable[[str], Path]) -> None:
    data = read([file("bool.jsonl")])
    assert data.channels == ("temp", "hum", "door_open")
    assert set(data.tables[0].values[:, 2]) == {0.0, 1.0}


def test_a_dump_of_a_topic_is_opened(file: Callable[[str], Path]) -> None:
    data = read([file("kcat.jsonl")])
    assert data.channels == ("temp", "hum")
    assert data.keys == (b"dev-1",)
    assert str(data.tables[0].time_us[:1].astype("datetime64[us]")[0])[:10] == "2026-01-05"


def test_rows_stamped_in_minutes_share_times(file: Callable[[str], Path]) -> None:
    """`ember train` tells how many, see tests/stream/test_training.py."""
    data = read([file("minute-precision-long.csv")], DataOptions(train_head="70%"))
    times = data.tables[0].time_us[data.rows(0, "train")]
    repeated = len(times) - len(np.unique(times))
    assert (len(times), repeated) in ((8_400, 7_700), (42, 38))
