"""Known incidents as an operator names them: windows, files and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ember_core.data.cells import TimeReader
from ember_core.pipeline.fit import Incident
from stream.engine import WindowSpec
from stream.errors import UserError
from stream.incidents import labelled, on_rows, read_incidents, require_keys, window_of
from stream.training import train
from tests.stream.engine.conftest import SMALL, signal
from tests.stream.test_training import SECOND, dataset

START, END = "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z"
START_US, END_US = 1_769_853_600 * SECOND, 1_769_857_200 * SECOND
UTC = TimeReader()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{}..{}", None),
        ("*@{}..{}", None),
        ("web-1@{}..{}", b"web-1"),
        ("user@host@{}..{}", b"user@host"),
        ("a..b@{}..{}", b"a..b"),
        (r"rack\xff7@{}..{}", b"rack\xff7"),
        ("web-1 @ {} .. {} ", b"web-1"),
    ],
)
def test_a_window_names_a_key_or_all_of_them(text: str, key: bytes | None) -> None:
    assert window_of(text.format(START, END), UTC) == Incident(key, START_US, END_US)


def test_times_of_a_window_are_read_as_those_of_the_data() -> None:
    """Their zone, and record numbers, as the options of the data have them."""
    berlin = TimeReader(zone="Europe/Berlin")
    local = window_of("2026-01-31 11:00..2026-01-31 12:00", berlin)
    assert (local.start_us, local.end_us) == (START_US, END_US)
    numbers = window_of("7..9", TimeReader("index"))
    assert numbers.end_us - numbers.start_us == 2 * 60 * SECOND


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2026-01-31", r"Expected \[KEY@\]START\.\.END"),
        ("web-1", r"Expected \[KEY@\]START\.\.END"),
        ("web-1@yesterday..2026-01-31", "The start of an incident is no time"),
        ("web-1@2026-01-31..", "The end of an incident is no time"),
        (f"{END}..{START}", "ends before it starts"),
    ],
)
def test_a_window_that_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        window_of(text, UTC)
    assert text in caught.value.message


LINE = f'{{"key": "web-1", "start": "{START}", "end": "{END}", "severity": 3.2}}'


@pytest.mark.parametrize(
    "text",
    [
        f"key,start,end\nweb-1,{START},{END}\n",
        f"\ufeffEnd;Start;Key;note\n{END};{START};web-1;disk full\n",
        f"start\tend\tkey\n{START}\t{END}\tweb-1\n",
        f"{LINE}\n\n",
        f"[{LINE}]",
        f'{{"key": "web-1", "start": {START_US // SECOND}, "end": {END_US // 1000}}}',
    ],
)
def test_a_file_of_incidents_is_csv_or_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "incidents"
    path.write_text(text, encoding="utf-8")
    assert read_incidents(path, UTC) == [Incident(b"web-1", START_US, END_US)]


@pytest.mark.parametrize("cell", ["", "*"])
def test_an_incident_without_a_key_concerns_all(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "incidents.csv"
    path.write_text(f"key,start,end\n{cell},{START},{END}\n")
    assert [i.key for i in read_incidents(path, UTC)] == [None]
    path.write_text(f"start,end\n{START},{END}\n")
    assert [i.key for i in read_incidents(path, UTC)] == [None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("host,begin,end\na,1,2\n", "line 2 is no incident.*Received: host, begin, end"),
        (f"start,end\n{START}\n", "The end of an incident is no time"),
        (f"start,end\n{START},{END}\n{END},{START}\n", "ends before it starts.*line 3"),
        ('{"start": 1', "line 1 is no JSON"),
        (f"{LINE}\nnull\n", "line 2 is no incident"),
        ("[3]", "entry 1 is no incident"),
    ],
)
def test_a_line_that_is_no_incident_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "incidents"
    path.write_text(text)
    with pytest.raises(UserError, match=complaint) as caught:
        read_incidents(path, UTC)
    assert str(path) in caught.value.message


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_incidents(tmp_path / "none.csv", UTC)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00start")
    with pytest.raises(UserError, match="not UTF-8"):
        read_incidents(tmp_path / "bytes", UTC)


def test_an_unknown_key_is_refused_with_one_that_is_close() -> None:
    window = Incident(b"web-l", 0, 1)
    with pytest.raises(UserError, match=r"such as 'web-1'.*Received: 'web-l'"):
        require_keys([window], [b"db-1", b"web-1"])
    require_keys([replace(window, key=None), replace(window, key=b"db-1")], [b"db-1"])


def test_runs_of_labelled_training_records_are_incidents() -> None:
    """In order of time, whatever their order in the file; labels of scored records are not read."""
    label = np.array([0, 1, 1, 0, 0, 1, 0, 1], dtype=np.int8)
    times = np.array([0, 20, 10, 30, 40, 50, 60, 70]) * SECOND
    data = dataset(np.ones((8, 1)), times, np.arange(8) < 7, label)
    assert labelled(data) == [
        Incident(b"a", 10 * SECOND, 20 * SECOND),
        Incident(b"a", 50 * SECOND, 50 * SECOND),
    ]
    with pytest.raises(UserError, match="Expected --label COLUMN"):
        labelled(dataset(np.ones((8, 1))))


def test_an_interval_that_an_incident_begins_in_belongs_to_it() -> None:
    window = Incident(None, 25 * SECOND, 31 * SECOND)
    assert on_rows([window], WindowSpec()) == [window]
    spec = WindowSpec("time", interval_us=10 * SECOND)
    assert on_rows([window], spec) == [replace(window, start_us=20 * SECOND)]


def test_labels_are_left_out_only_if_asked() -> None:
    values, label = signal(400, 2, 0), np.zeros(400, dtype=np.int8)
    values[200:204] += 40.0
    label[200:204] = 1
    data = dataset(values, label=label)
    without = train(dataset(values), epochs=1, **SMALL)
    plain = train(data, epochs=1, **SMALL)
    marked = train(data, epochs=1, exclude_labelled=True, **SMALL)
    window = Incident(b"a", 200 * 10 * SECOND, 203 * 10 * SECOND)
    same = train(dataset(values), epochs=1, incidents=[window], **SMALL)
    assert plain.report == without.report
    assert marked.report == same.report
    assert marked.report["incidents"]["rows"] == 14
    assert marked.report["on"] != plain.report["on"]


def test_incidents_of_other_keys_only_are_refused() -> None:
    data = dataset(signal(300, 2, 0))
    with pytest.raises(UserError, match="Received: 'b'"):
        train(data, epochs=1, incidents=[Incident(b"b", 0, 1)], **SMALL)
    windows = [Incident(b"b", 0, 1), Incident(None, 0, 1)]
    model = train(data, epochs=1, incidents=windows, **SMALL)
    assert model.report["incidents"]["outside"] == 1
