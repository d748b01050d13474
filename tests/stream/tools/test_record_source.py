"""Records of dumps and topics as data to train on."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ember_core.data.sources import DataError, DataOptions, read
from stream.cli.data_options import read_data
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.key_sample import KeySample
from stream.tools.log_record import LogRecord, read_dump
from stream.tools.record_source import Progress, RecordReading, RecordSource

NOW = 1_700_000_000


def dump(folder: Path, payloads: list[str], **more: Any) -> str:
    """A dump as `kcat -C -J` writes it; returns its address."""
    path = folder / "dump.jsonl"
    with path.open("w", encoding="utf-8", errors="surrogateescape") as file:
        for offset, payload in enumerate(payloads):
            record: dict[str, Any] = {
                "topic": "t",
                "partition": 0,
                "offset": offset,
                "tstype": "create",
                "ts": (NOW + offset) * 1000,
            }
            record |= {"broker": 1, "key": None, "payload": payload, **more}
            file.write(json.dumps(record, ensure_ascii=False))
            file.write("\n")
    return f"kcat:{path}"


def settings(**source: Any) -> Settings:
    return Settings.load(input=source)


def lines(count: int = 3) -> list[str]:
    return [f"cpu,host=web-{i % 2} idle={i},user=1 {NOW + i}000000000" for i in range(count)]


def test_a_dump_is_decoded_by_the_codec_of_the_settings(tmp_path: Path) -> None:
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, lines())], DataOptions(), lambda: known)
    assert data.channels == ("cpu.idle", "cpu.user")
    assert data.keys == (b"web-0", b"web-1")
    assert np.array_equal(data.tables[0].values, [[0.0, 1.0], [2.0, 1.0]])
    assert data.tables[0].time_us.tolist() == [NOW * 10**6, (NOW + 2) * 10**6]
    assert data.tables[0].texts(np.array([0])) == ["2023-11-14T22:13:20Z"]


def test_channels_are_chosen_by_patterns(tmp_path: Path) -> None:
    known = settings(codec="influx", key="tags.host")
    options = DataOptions(channels="cpu.*", drop="*.user")  # type: ignore[arg-type]
    assert read_data([dump(tmp_path, lines())], options, lambda: known).channels == ("cpu.idle",)


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ({"codec": "json"}, {}, "look like InfluxDB line protocol: set input.codec to 'influx'"),
        ({"codec": "influx"}, {}, "input.key is not set"),
        ({"codec": "influx", "key": "tags.host"}, {"channels": "mem"}, "cpu.idle, cpu.user"),
        ({"codec": "influx", "key": "tags.host"}, {"key": "host"}, "Set input.key"),
        ({"codec": "influx", "key": "tags.host"}, {"label": "fault"}, "without --label"),
    ],
)
def test_records_that_give_nothing_are_explained(
    tmp_path: Path, source: dict[str, str], options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        read_data([dump(tmp_path, lines())], DataOptions(**options), lambda: settings(**source))


def test_an_empty_dump_and_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no record"):
        read_data([dump(tmp_path, [])], DataOptions(), settings)
    with pytest.raises(UserError, match="cannot be read"):
        read_data([f"kcat:{tmp_path / 'none.jsonl'}"], DataOptions(), settings)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"ts": 1, "cpu": 2}\n')
    with pytest.raises(UserError, match="line 1 is no record of a dump"):
        read_data([f"kcat:{path}"], DataOptions(), settings)


def test_settings_are_loaded_for_records_only(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    path.write_text("ts,cpu\n1,2\n")

    def refuse() -> Settings:
        raise AssertionError

    assert read_data([str(path)], DataOptions(), refuse).channels == ("cpu",)


def test_metrics_of_one_time_become_one_sample(tmp_path: Path) -> None:
    payloads = [
        f"{metric},host=web-{host} value={host}{number} {NOW + second}000000000"
        for second in range(3)
        for host in (1, 2)
        for number, metric in enumerate(("cpu", "mem", "swap"))
    ]
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    for host, table in zip((1, 2), data.tables, strict=True):
        assert table.values.tolist() == [[10.0 * host, 10.0 * host + 1, 10.0 * host + 2]] * 3


def test_two_values_of_a_channel_at_one_time_stay_apart(tmp_path: Path) -> None:
    payloads = [f"cpu,host=a idle={value} {NOW}000000000" for value in (1, 2)]
    payloads += [f"{metric},host=a idle=3 {NOW + 1}000000000" for metric in ("cpu", "gpu")]
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    assert data.tables[0].values[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert data.tables[0].values[2].tolist() == [3.0, 3.0]


def test_the_kind_of_otlp_points_is_kept(tmp_path: Path) -> None:
    point = {"startTimeUnixNano": f"{NOW}000000000", "timeUnixNano": f"{NOW + 1}000000000"}
    metrics = [
        {
            "name": "requests",
            "sum": {
                "dataPoints": [{**point, "asInt": "5"}],
                "isMonotonic": True,
                "aggregationTemporality": 2,
            },
        },
        {
            "name": "errors",
            "sum": {
                "dataPoints": [{**point, "asInt": "2"}],
                "isMonotonic": True,
                "aggregationTemporality": 2,
            },
        },
        {"name": "load", "gauge": {"dataPoints": [{**point, "asDouble": 0.5}]}},
    ]
    resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "a"}}]}
    scope = [{"metrics": metrics}]
    value = {"resourceMetrics": [{"resource": resource, "scopeMetrics": scope}]}
    known = settings(codec="otlp", key='resource["host.name"]')
    data = read_data([dump(tmp_path, [json.dumps(value)])], DataOptions(), lambda: known)
    (table,) = data.tables
    assert table.temporality is not None
    assert table.start_us is not None
    # The two sums are one sample, the gauge another.
    assert sorted(table.temporality.tolist()) == [0, 2]
    assert table.start_us.tolist() == [NOW * 10**6] * 2
    assert np.nansum(table.values, axis=0).tolist() == [2.0, 0.5, 5.0]


@pytest.mark.parametrize(
    "line",
    [
        {"topic": "t", "partition": 0, "offset": 1, "ts": 5, "key": "k", "payload": "{}"},
        {"topic": "t", "partition": 0, "offset": 1, "ts": 5, "key": "k", "payload": {}},
        {"topic": "t", "partition": 0, "offset": 1, "timestamp": 5, "key": "k", "value": "{}"},
    ],
)
def test_lines_of_kcat_and_rpk(tmp_path: Path, line: dict[str, Any]) -> None:
    path = tmp_path / "dump.jsonl"
    path.write_text(json.dumps(line))
    assert list(read_dump(path)) == [LogRecord(b"k", b"{}", 5, 1, 0, topic="t")]


def test_with_a_codec_files_are_dumps(tmp_path: Path) -> None:
    path = dump(tmp_path, lines()).removeprefix("kcat:")
    known = settings(codec="influx", key="tags.host")
    data = read_data([path], DataOptions(), lambda: known, dumps=True)
    assert data.channels == ("cpu.idle", "cpu.user")


def test_a_re_keyed_log_is_read_by_its_own_form(tmp_path: Path) -> None:
    """Whatever the codec of the input is: key, time and kinds of points are in the records."""
    values = [
        msgspec.msgpack.encode(
            {"channels": ["a.b"], "ts": NOW * 10**6 + n, "values": [n + 0.5], "temporality": 2}
        )
        for n in range(3)
    ]
    texts = [value.decode("utf-8", "surrogateescape") for value in values]
    headers = ["ember.source", "in:0:7:0"]
    known = settings(codec="influx", key="tags.host", rekey=True)
    address = dump(tmp_path, texts, key="web-1", headers=headers)
    data = read_data([address], DataOptions(), lambda: known)
    assert (data.channels, data.keys) == (("a.b",), (b"web-1",))
    assert data.tables[0].time_us.tolist() == [NOW * 10**6 + n for n in range(3)]
    assert data.tables[0].values.tolist() == [[0.5], [1.5], [2.5]]


def test_binary_values_of_a_dump_are_kept(tmp_path: Path) -> None:
    """kcat prints bytes as they are, but for quotes, backslashes and control characters."""
    value = bytes(range(256)) + "ü".encode()
    text = value.decode("utf-8", "surrogateescape")
    path = dump(tmp_path, [text], key=text).removeprefix("kcat:")
    [record] = read_dump(Path(path))
    assert (record.key, record.value) == (value, value)


@pytest.mark.parametrize(
    "headers", [["a", "b", "c", None], [{"key": "a", "value": "b"}, {"key": "c"}]]
)
def test_headers_of_a_dump(tmp_path: Path, headers: list[Any]) -> None:
    path = dump(tmp_path, ["{}"], headers=headers).removeprefix("kcat:")
    [record] = read_dump(Path(path))
    assert record.headers == (("a", b"b"), ("c", b""))


def test_records_that_are_left_out_are_told(tmp_path: Path) -> None:
    payloads = [*lines(), "not influx", 'cpu,host=a text="x" 1', "cpu idle=1 1"]
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    without, refused = data.remarks
    assert "1 of 6 records have none of these channels" in without.sentence()
    assert "2 of 6 records were refused: 1 not_json, 1 no_key" in refused.sentence()


@pytest.mark.parametrize("rekey", [True, False])
def test_records_of_several_partitions_are_in_the_order_of_the_stream(
    tmp_path: Path, *, rekey: bool
) -> None:
    """Re-keying merges partitions by Kafka's timestamps; a late record stays late."""
    path = tmp_path / "dump.jsonl"
    #            partition, Kafka's timestamp, event time
    log = [(1, 1, 1), (1, 4, 3), (0, 0, 0), (0, 2, 4), (0, 3, 2)]
    rows = [
        {"topic": "t", "partition": p, "offset": at, "ts": (NOW + stamp) * 1000}
        | {"key": None, "payload": f"cpu,host=a idle={second} {NOW + second}000000000"}
        for at, (p, stamp, second) in enumerate(log)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    known = settings(codec="influx", key="tags.host", rekey=rekey)
    options = DataOptions(train_head="40%")
    data = read_data([f"kcat:{path}"], options, lambda: known)
    (table,) = data.tables
    assert table.values[:, 0].tolist() == ([0, 1, 4, 2, 3] if rekey else [0, 4, 2, 1, 3])
    assert table.is_train.tolist() == [True, True, False, False, False]


def test_falling_times_of_a_topic_are_not_turned_round(tmp_path: Path) -> None:
    """In a file the newest rows may come first; in a topic they are late, as in the stream."""
    payloads = [f"cpu,host=a idle={s} {NOW + s}000000000" for s in range(9, -1, -1)]
    address = dump(tmp_path, payloads, ts=(NOW + 10) * 1000)
    known = settings(codec="influx", key="tags.host")
    data = read_data([address], DataOptions(), lambda: known)
    assert data.tables[0].values[:, 0].tolist() == list(range(9, -1, -1))


def test_event_times_after_kafkas_are_refused_as_in_the_stream(tmp_path: Path) -> None:
    """Refused with all the samples of their record."""
    late = [f"cpu,host=a idle=7 {NOW + 9}000000000\ncpu,host=a idle=8 {NOW + 9999}000000000"]
    known = settings(codec="influx", key="tags.host", future_seconds=60)
    data = read_data([dump(tmp_path, lines() + late)], DataOptions(), lambda: known)
    assert sum(len(table.values) for table in data.tables) == 3
    (refused,) = data.remarks
    assert "1 of 4 records were refused: 1 future" in refused.sentence()
    with pytest.raises(DataError, match=r"no record that can be used.*1 future.*input.future_sec"):
        read_data([dump(tmp_path, late)], DataOptions(), lambda: known)


def test_in_mode_count_records_of_one_time_stay_apart(tmp_path: Path) -> None:
    """The stream makes a row of the first, and the others are late."""
    payloads = [f"{metric},host=a value=1 {NOW}000000000" for metric in ("cpu", "mem")]
    known = Settings.load(input={"codec": "influx", "key": "tags.host"}, window={"mode": "count"})
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    assert len(data.tables[0].values) == 2
    (remark,) = data.remarks
    assert "1 of 2 samples have the time of the one before" in remark.sentence()
    assert "window.mode" in remark.sentence()


def test_only_neighbours_of_one_time_are_put_together(tmp_path: Path) -> None:
    """Else the values of a channel would change their order, and sums their last bit."""
    moments = [("cpu", 1), ("mem", 2), ("mem", 1), ("disk", 1)]
    payloads = [f"{metric},host=a value={s} {NOW + s}000000000" for metric, s in moments]
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    columns = [data.channels.index(f"{name}.value") for name in ("cpu", "mem", "disk")]
    nan = np.nan
    expected = [[1, nan, nan], [nan, 2, nan], [nan, 1, 1]]
    assert np.array_equal(data.tables[0].values[:, columns], expected, equal_nan=True)


def test_records_that_were_re_keyed_twice_count_once(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    rows = []
    for at, number in enumerate((0, 1, 0, 1, 2)):
        value = msgspec.msgpack.encode({"channels": ["a"], "ts": NOW * 10**6, "values": [number]})
        row = {"topic": "g-rekey", "partition": 0, "offset": at, "ts": NOW * 1000, "key": "web-1"}
        headers = ["ember.source", f"in:0:7:{number}", "ember.sequence", "in:0"]
        row |= {"payload": value.decode("utf-8", "surrogateescape"), "headers": headers}
        rows.append(json.dumps(row, ensure_ascii=False))
    path.write_text("\n".join(rows), encoding="utf-8", errors="surrogateescape")
    data = read_data([f"kcat:{path}"], DataOptions(), settings)
    assert data.tables[0].values[:, 0].tolist() == [0, 1, 2]


def test_a_sample_of_keys_is_the_same_in_whatever_order() -> None:
    keys = [b"host-%d" % number for number in range(50)]

    def chosen(order: list[bytes]) -> set[bytes]:
        sample = KeySample(7)
        for key in order:
            sample.choose([key, order[0]])
        return {key for key, is_in in zip(order, sample.choose(order), strict=True) if is_in}

    assert len(chosen(keys)) == 7
    assert chosen(keys) == chosen(keys[::-1]) == chosen(keys[25:] + keys[:25])


def test_progress_tells_records_rows_and_keys(tmp_path: Path) -> None:
    told: list[Progress] = []
    known = settings(codec="influx", key="tags.host")
    reading = RecordReading(progress=told.append)
    path = Path(dump(tmp_path, lines()).removeprefix("kcat:"))
    source = RecordSource("x", read_dump(path), known, DataOptions(), reading, total=3)
    assert sum(len(chunk.time_us) for chunk in source.chunks()) == 3
    assert told == [Progress("x", "fetched", 3, 3), Progress("x", "decoded", 3, 3, 3, 2)]


def test_memory_does_not_follow_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records and columns are on disk: what grows is a few bytes a row that say where."""
    for name, size in {"record_source._BATCH": 200, "record_spool._BLOCK": 50}.items():
        monkeypatch.setattr(f"stream.tools.{name}", size)
    monkeypatch.setattr("stream.tools.record_columns.CHUNK_ROWS", 500)
    names = [f"c{number}" for number in range(20)]

    def peak(count: int) -> int:
        def records() -> Iterator[LogRecord]:
            for at in range(count):
                values = dict.fromkeys(names, at + 0.5)
                value = msgspec.json.encode({"ts": NOW + at // 8, "values": values})
                yield LogRecord(b"h%d" % (at % 8), value, (NOW + at) * 1000, at, at % 4, (), "t")

        source = RecordSource("t", records(), settings(), DataOptions())
        tracemalloc.start()
        try:
            data = read(["x:"], schemes={"x": lambda _address, _options: source}, on_disk=True)
            assert sum(len(table.values) for table in data.tables) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 2_000, 7_000
    peak(few)  # modules, and tuples that the interpreter keeps for later
    # In memory the values alone take 160 bytes a row, and the records 500.
    assert (peak(many) - peak(few)) / (many - few) < 80


def test_a_backtest_asks_for_the_channels_of_the_model(tmp_path: Path) -> None:
    """As the stream does: a label that tells devices apart today is no other channel."""
    payloads = [
        f"cpu,host=a,cpu=cpu{number} idle={number} {NOW + number}000000000" for number in (0, 1)
    ]
    payloads.append(f"mem,host=a free=1 {NOW + 2}000000000")
    known = settings(codec="influx", key="tags.host")
    found = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known)
    assert found.channels == ('cpu.idle{cpu="cpu0"}', 'cpu.idle{cpu="cpu1"}', "mem.free")
    reading = RecordReading(channels=("cpu.idle", "gone"))
    data = read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known, reading)
    assert data.channels == ("cpu.idle", "gone")
    assert data.tables[0].values[:, 0].tolist() == [0.0, 1.0]
    texts = [remark.sentence() for remark in data.remarks]
    assert any("1 of 3 records have none of these channels" in text for text in texts)
    assert any("1 channels left out, unknown to the model: 'mem.free'" in text for text in texts)
    none = RecordReading(channels=("gone",))
    with pytest.raises(DataError, match=r"none of the model's channels. Expected some of: gone."):
        read_data([dump(tmp_path, payloads)], DataOptions(), lambda: known, none)


def test_only_the_records_of_a_key_are_read(tmp_path: Path) -> None:
    known = settings(codec="influx", key="tags.host")
    address = dump(tmp_path, lines(7))
    reading = RecordReading(only=frozenset((b"web-1",)))
    data = read_data([address], DataOptions(), lambda: known, reading)
    assert data.keys == (b"web-1",)
    assert data.tables[0].values[:, 0].tolist() == [1.0, 3.0, 5.0]
    reading = RecordReading(only=frozenset((b"db-1",)))
    with pytest.raises(DataError, match=r"no record of this key.*such as web-0, web-1.*db-1"):
        read_data([address], DataOptions(), lambda: known, reading)
