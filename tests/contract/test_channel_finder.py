"""Channels found in records: under names that the codec finds them by again."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from ember_core.data.sources import DataOptions
from stream.codecs import ChannelFinder, Guess, guess_format, make_codec

NOW = 1_700_000_000


def message(value: object, key: bytes | None = None) -> Any:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return SimpleNamespace(key=key, value=data, timestamp=0, offset=0, headers=())


def channels(codec: str, values: list[Any], **options: Any) -> list[str]:
    """Channels found, each of which the codec then reads in these very records."""
    finder = ChannelFinder(codec, **options)
    messages = [message(value) for value in values]
    finder.show(messages)
    names = finder.channels()
    if names:
        decoded = make_codec(codec, names, **options).decode(messages)
        assert (decoded.values == decoded.values).any(axis=0).all()
        assert not decoded.rejected
    return names


def collectd(host: str, instance: str, kind: str) -> dict[str, Any]:
    return {
        "values": [1.5],
        "dstypes": ["gauge"],
        "dsnames": ["value"],
        "time": NOW + 0.1,
        "interval": 1.0,
        "host": host,
        "plugin": "cpu",
        "plugin_instance": instance,
        "type": "cpu",
        "type_instance": kind,
    }


def test_labels_that_differ_within_a_key_become_part_of_the_name() -> None:
    lines = [
        f"cpu,cpu=cpu{n},host={host} idle=1 {NOW}000000000".encode()
        for n in (0, 1)
        for host in "ab"
    ]
    assert channels("influx", lines, key="tags.host") == [
        'cpu.idle{cpu="cpu0"}',
        'cpu.idle{cpu="cpu1"}',
    ]


def test_labels_that_only_differ_between_keys_do_not() -> None:
    lines = [
        f"disk,host={host},device={disk} used=1 {NOW}000000000".encode()
        for host, disk in ("ax", "by")
    ]
    assert channels("influx", lines, key="tags.host") == ["disk.used"]


def test_of_labels_that_say_the_same_the_shortest_is_taken() -> None:
    lines = [
        f"docker,host=a,container_name=c{n},container_id={n:064x} mem=1 {NOW}000000000".encode()
        for n in range(3)
    ]
    names = channels("influx", lines, key="tags.host")
    assert names == [f'docker.mem{{container_name="c{n}"}}' for n in range(3)]


def test_one_label_is_not_enough() -> None:
    values = [[collectd("edge", n, kind)] for n in "01" for kind in ("idle", "user")]
    names = channels("collectd", values, key="host")
    assert len(names) == 4
    assert 'cpu.cpu{plugin_instance="0",type_instance="idle"}' in names


def test_a_measurement_with_and_one_without_the_label() -> None:
    lines = [
        b"net,host=a bytes=1 %d000000000" % NOW,
        b"net,host=a,interface=eth0 bytes=1 %d000000000" % NOW,
    ]
    assert channels("influx", lines, key="tags.host") == [
        'net.bytes{interface=""}',
        'net.bytes{interface="eth0"}',
    ]


def test_fields_without_numbers_are_no_channels() -> None:
    lines = [b'procstat,host=a status="sleep",threads=3i %d000000000' % NOW]
    assert channels("influx", lines, key="tags.host") == ["procstat.threads"]


def test_metrics_of_otlp() -> None:
    point = {"timeUnixNano": f"{NOW}000000000", "asInt": "1"}
    attributes = [{"key": "state", "value": {"stringValue": "idle"}}]
    other = [{"key": "state", "value": {"stringValue": "user"}}]
    metrics = [
        {
            "name": "cpu",
            "sum": {"dataPoints": [{**point, "attributes": a} for a in (attributes, other)]},
        },
        {"name": "load", "gauge": {"dataPoints": [point]}},
    ]
    resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "a"}}]}
    value = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
    names = channels("otlp", [value], key='resource["host.name"]')
    assert names == ['cpu{state="idle"}', 'cpu{state="user"}', "load"]


def test_fields_of_json_behind_the_id_of_a_schema() -> None:
    value = b"\x00\x00\x00\x00\x01" + json.dumps({"ts": NOW, "id": "a", "cpu": 1}).encode()
    assert channels("json_schema", [value], key="id") == ["cpu"]


def test_fields_of_json_beside_key_and_time() -> None:
    flat = {"ts": NOW, "host": "a", "cpu": 0.5, "note": "x", "mem": None}
    assert channels("json", [flat, {**flat, "mem": 2}], key="host") == ["cpu", "mem"]
    nested = {"ts": NOW, "id": 7, "values": {"cpu": 1}}
    assert channels("json", [nested], key="id") == ["cpu"]


def test_a_channel_has_its_own_name_where_fields_are_mapped() -> None:
    value = {"ts": NOW, "host": "a", "CPU_Pct": 1.0}
    assert channels("json", [value], key="host", fields={"cpu": "CPU_Pct"}) == ["cpu"]


def test_patterns_choose_and_leave_out() -> None:
    finder = ChannelFinder("influx", key="tags.host")
    finder.show(
        [
            message(
                b"cpu,cpu=a,host=h idle=1,user=2 1\ncpu,cpu=b,host=h idle=1 1\nmem,host=h free=1 1"
            )
        ]
    )
    assert finder.channels(["cpu.*"], ["cpu.user"]) == ['cpu.idle{cpu="a"}', 'cpu.idle{cpu="b"}']
    assert finder.channels(['cpu.idle{cpu="a"}', "mem.free"]) == ['cpu.idle{cpu="a"}', "mem.free"]


def test_names_with_labels_are_not_cut_at_the_commas_within() -> None:
    options = DataOptions(channels=('up,cpu{a="1",b="2"},mem',))
    assert options.channels == ("up", 'cpu{a="1",b="2"}', "mem")


def test_what_cannot_be_read_is_left_out() -> None:
    finder = ChannelFinder("telegraf", key="tags.host")
    finder.show([message(b"not json"), message(b"")])
    assert finder.channels() == []


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        (b"weather,city=Z\xc3\xbcrich temp=3.5", "influx"),
        (b'{"metrics":[{"name":"m","tags":{},"fields":{"a":1},"timestamp":1}]}', "telegraf"),
        (b'{"name":"m","tags":{},"fields":{"a":1},"timestamp":1}\n', "telegraf"),
        (b'[{"ts":1,"cpu":2},{"ts":2,"cpu":3}]', "json"),
        (b'{"ts":1,"cpu":2}\n{"ts":2,"cpu":3}\n', "json"),
        (b"\xef\xbb\xbf" + b'{"ts":1}', "json"),
        (b'\x00\x00\x00\x00\x01{"ts":1}', "json_schema"),
        (b"\x00\x00\x00\x00\x01\x00\x08\x05\x12\x01a", "protobuf"),
        (b"\x00\x00\x00\x00\x01\x0cpump-1\x00\x00\x00\x00\x00\x00\x0c@", "avro"),
        (b"\x0a\x00", None),
        (b"plain words", None),
        (b"", None),
    ],
)
def test_formats_of_single_values(value: bytes, codec: str | None) -> None:
    guess = guess_format([value])
    assert (guess.codec if guess else None) == codec


def test_the_most_frequent_format_counts() -> None:
    assert guess_format([b"{", None, b'{"ts":1}', b'{"ts":2}', b"cpu v=1 1"]) == Guess(
        "json", "JSON"
    )


def test_key_and_time_in_an_object_within_an_object_are_no_channels() -> None:
    """As Debezium writes a row, within the envelope of Kafka Connect."""
    row = {"id": 7, "ts": NOW * 10**6, "temp": 3.5}
    value = {"schema": {}, "payload": {"before": None, "after": row, "ts_ms": NOW * 1000}}
    options = {"values": "payload.after", "key": "payload.after.id", "key_from": "record"}
    for time, names in (("payload.after.ts", ["temp"]), ("payload.ts_ms", ["temp", "ts"])):
        finder = ChannelFinder("json", time=time, **options)
        finder.show([message(value)])
        assert finder.channels() == names


def test_statistics_of_histograms_and_quantiles_of_summaries() -> None:
    point = {"timeUnixNano": f"{NOW}000000000", "count": "3", "sum": 6.0}
    histogram = {**point, "explicitBounds": [1, 5], "bucketCounts": ["1", "1", "1"]}
    summary = {**point, "quantileValues": [{"quantile": 0.5, "value": 2.0}]}
    metrics = [
        {"name": "delta", "histogram": {"dataPoints": [histogram], "aggregationTemporality": 1}},
        {"name": "total", "histogram": {"dataPoints": [histogram], "aggregationTemporality": 2}},
        {"name": "gc", "summary": {"dataPoints": [summary]}},
    ]
    resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "a"}}]}
    value = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
    assert channels("otlp", [value], key='resource["host.name"]') == [
        *("delta.count", "delta.mean", "delta.p50", "delta.p99", "delta.sum"),
        *("gc", "gc.count", "gc.sum"),
        *("total.count", "total.sum"),
    ]


def test_labels_with_quotes_and_backslashes() -> None:
    paths = ("C:\\", 'say "hi"')
    values = [
        {
            "name": "disk",
            "labels": {"instance": "a", "path": path},
            "value": "1",
            "timestamp": "2026-01-01T00:00:00Z",
        }
        for path in paths
    ]
    assert len(channels("prometheus", values, key="labels.instance")) == len(paths)


@pytest.mark.parametrize("key", [{}, {"key": "host"}])
def test_records_of_one_shape_are_read_once_with_the_same_channels(
    key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts count by what they say, numbers by whether they can be used."""
    numbers, others = ("1", "-2.5", "true", '"4"'), ("3e200", "null", '"x"', '""', '{"deep": 1}')
    chance = random.Random(3)
    messages = []
    for number in range(400):
        cells = {"a": numbers, "b": (*numbers * 2, *others), "c": (*numbers, *others * 5)}
        names = chance.sample(sorted(cells), 2)
        fields = ",".join(f'"{name}": {chance.choice(cells[name])}' for name in names)
        time = chance.choice(('"2026-01-01T00:00:00Z"', str(1_767_225_600 + number)))
        host = chance.choice(("", '"host": "web-1",', '"host": "web-2",'))
        value = f'{{"ts": {time}, {host} "values": {{{fields}}}}}'.encode()
        messages.append(message(value, chance.choice((None, b"web-1"))))
    messages += [message(value) for value in (b"", b"[]", b"no JSON", b'{"ts": 1}')]
    found, expected = ChannelFinder("json", **key), ChannelFinder("json", **key)
    monkeypatch.setattr(expected._codec, "shape", lambda _message: None)
    found.show(messages)
    expected.show(messages)
    assert found.channels() == expected.channels() == ["a", "b", "b.deep", "c.deep"]
