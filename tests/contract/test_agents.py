"""Formats of agents: InfluxDB line protocol and collectd's JSON, as their programs write them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream.codecs import make_codec
from stream.errors import UserError
from stream.records import Decoded, Reason

T0 = 1_700_000_000


class Message(NamedTuple):
    value: bytes
    key: bytes | None = None
    timestamp: int = T0 * 1000
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def influx(text: str, channels: list[str], **options: Any) -> Decoded:
    return make_codec("influx", channels, key="tags.host", **options).decode(
        [Message(text.encode())]
    )


def test_fields_of_a_line_are_channels() -> None:
    text = f"cpu,cpu=cpu1,host=web-1 usage_user=19.8,usage_idle=66i,up=t {T0}000000000\n"
    decoded = influx(text, ["cpu.usage_user", "usage_idle", "up", "cpu.absent"])
    assert decoded.keys == [b"web-1"]
    assert decoded.time_us.tolist() == [T0 * 1_000_000]
    assert decoded.values[0, :3].tolist() == [19.8, 66.0, 1.0]
    assert math.isnan(decoded.values[0, 3])


def test_tags_select_a_channel() -> None:
    channels = ['cpu.usage{cpu="cpu0"}', 'cpu.usage{cpu="cpu1"}']
    text = f"cpu,host=a,cpu=cpu1 usage=2 {T0}000000000\ncpu,host=a,cpu=cpu0 usage=1 {T0}000000000"
    decoded = influx(text, channels)
    assert decoded.values[0, 1] == 2.0
    assert decoded.values[1, 0] == 1.0


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("m,host=a x=1 1700000000000000000", 1.0),
        ("m,host=a x=-1.5e-3 1700000000000000000", -1.5e-3),
        ("m,host=a x=.5 1700000000000000000", 0.5),
        ("m,host=a x=18446744073709551615u 1700000000000000000", 2.0**64),
        ("m,host=a x=TRUE 1700000000000000000", 1.0),
        ("m,host=a x=false 1700000000000000000", 0.0),
        ("# a comment\n\nm,host=a x=3 1700000000000000000", 3.0),
        ('m,host=a text="a b, c=1 \\" d\n",x=4 1700000000000000000', 4.0),
        ("m,host=a,path=/a\\ b\\,c\\=d x=5 1700000000000000000\r\n", 5.0),
        ("my\\ metric,host=a x=6 1700000000000000000", 6.0),
        ("m,host=a x=7 1700000000", 7.0),
        ("m,host=a x=8", 8.0),
        ("m,host=a x=1e300,y=1 1700000000\nm,host=a x=9 1700000000", 9.0),
    ],
)
def test_unusual_lines_are_read(line: str, value: float) -> None:
    decoded = influx(line, ["x"])
    assert decoded.rejected == []
    assert decoded.values.tolist() == [[value]]
    assert decoded.time_us.tolist() == [T0 * 1_000_000]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Reason.NOT_JSON),
        ('{"name": "cpu"}', Reason.NOT_JSON),
        ("m,host=a", Reason.NOT_JSON),
        ("m,host=a x= 1700000000000000000", Reason.NOT_JSON),
        ("m,host=a x=1 1700000000000000000 2", Reason.NOT_JSON),
        ('m,host=a x="never closed 1700000000000000000', Reason.NOT_JSON),
        ("m,host=a x=1 -9223372036854775808", Reason.BAD_TIME),
        ("m,host=a x=1e300 1700000000000000000", Reason.OUT_OF_RANGE),
        ("m,host=a x=abc 1700000000000000000", Reason.WRONG_TYPE),
        ("m x=1 1700000000000000000", Reason.NO_KEY),
        ("m,host=a y=1 1700000000000000000", Reason.NO_CHANNELS),
        ('m,host=a x="text" 1700000000000000000', Reason.NO_CHANNELS),
        ("m,host=a x=NaN 1700000000000000000", Reason.NO_CHANNELS),
    ],
)
def test_other_lines_have_a_named_outcome(line: str, reason: Reason) -> None:
    decoded = influx(line, ["x"])
    assert [rejected.reason for rejected in decoded.rejected] == [reason]


def test_a_refusal_names_the_line() -> None:
    decoded = influx("m,host=a x=1 1700000000000000000\n\nm,host=a x", ["x"])
    assert "Line 3" in decoded.rejected[0].detail


def collectd(value_lists: list[dict[str, Any]], channels: list[str]) -> Decoded:
    codec = make_codec("collectd", channels, key="host")
    return codec.decode([Message(json.dumps(value_lists).encode())])


OCTETS = {
    "values": [10, 20.5],
    "dstypes": ["derive", "derive"],
    "dsnames": ["rx", "tx"],
    "time": T0 + 0.066,
    "interval": 1.0,
    "host": "edge-1",
    "plugin": "interface",
    "plugin_instance": "eth0",
    "type": "if_octets",
    "type_instance": "",
}


def test_data_sources_are_channels_and_instances_select() -> None:
    channels = ['interface.if_octets.rx{plugin_instance="eth0"}', "if_octets.tx"]
    decoded = collectd([OCTETS, OCTETS | {"plugin_instance": "lo", "values": [1, None]}], channels)
    assert decoded.keys == [b"edge-1"]
    assert decoded.values.tolist() == [[10.0, 20.5]]
    assert decoded.time_us.tolist() == [T0 * 1_000_000 + 66_000]


def test_a_single_data_source_needs_no_name() -> None:
    entry = OCTETS | {"plugin": "load", "type": "load", "dsnames": ["value"], "values": [2]}
    assert collectd([entry], ["load.load"]).values.tolist() == [[2.0]]


def test_values_and_names_must_be_as_many() -> None:
    decoded = collectd([OCTETS | {"values": [1]}], ["if_octets.rx"])
    assert [rejected.reason for rejected in decoded.rejected] == [Reason.WRONG_TYPE]


RECORDS: dict[str, tuple[str, bytes, bytes]] = {
    "json": ("host", b'{"ts": 1700000000, "host": "web-1", "x": 1}', b'{"ts": 1700000000, "x": 1}'),
    "influx": ("tags.host", b"m,host=web-1 x=1 1700000000", b"m x=1 1700000000"),
    "telegraf": (
        "tags.host",
        b'{"name": "m", "tags": {"host": "web-1"}, "fields": {"x": 1}, "timestamp": 1700000000}',
        b'{"name": "m", "tags": {}, "fields": {"x": 1}, "timestamp": 1700000000}',
    ),
}
"""Expression of the key, a record that has its field, and one that lacks it."""

HASH = bytes(range(16))


def keys_of(name: str, value: bytes, kafka_key: bytes | None, **options: Any) -> list[Any]:
    """Return the keys of one message, or the reasons of its refusal."""
    decoded = make_codec(name, ["x"], key=RECORDS[name][0], **options).decode(
        [Message(value, kafka_key)]
    )
    return [*decoded.keys, *(rejected.reason for rejected in decoded.rejected)]


@pytest.mark.parametrize("name", RECORDS)
def test_the_records_key_can_come_before_kafkas(name: str) -> None:
    """A hash or a random number as Kafka key is not the key of a machine."""
    _, with_host, without_host = RECORDS[name]
    assert keys_of(name, with_host, HASH) == [HASH]
    assert keys_of(name, with_host, HASH, key_from="record") == [b"web-1"]
    assert keys_of(name, with_host, HASH, key_from="auto") == [b"web-1"]
    assert keys_of(name, without_host, HASH, key_from="record") == [Reason.NO_KEY]
    assert keys_of(name, without_host, HASH, key_from="auto") == [HASH]
    assert keys_of(name, without_host, None, key_from="auto") == [Reason.NO_KEY]


@pytest.mark.parametrize("name", RECORDS)
def test_a_kafka_key_of_zero_bytes_is_no_key(name: str) -> None:
    _, with_host, without_host = RECORDS[name]
    assert keys_of(name, with_host, b"") == [b"web-1"]
    assert keys_of(name, without_host, b"") == [Reason.NO_KEY]
    assert keys_of(name, without_host, b"", key_from="auto") == [Reason.NO_KEY]


@pytest.mark.parametrize("key_from", ["record", "auto"])
def test_a_key_of_the_record_needs_an_expression(key_from: Any) -> None:
    with pytest.raises(UserError, match=r"input\.key=''.*Set input\.key, for example to `host`"):
        make_codec("collectd", ["x"], key_from=key_from)


TELEGRAF = ["cpu.usage_idle", "system.load1", "mem.used", "swap.used", "processes.running"]
OTEL = ["system.cpu.time", "system.memory.usage", 'system.disk.io{direction="read"}']
HOST_NAME = 'resource["host.name"]'
CAPTURED = {
    "telegraf-influx": ("influx", "tags.host", TELEGRAF),
    "telegraf-json": ("telegraf", "tags.host", TELEGRAF),
    "telegraf-json-nokey": ("telegraf", "tags.host", TELEGRAF),
    "collectd-json": ("collectd", "host", ["memory.memory", "cpu.cpu", "if_octets.rx"]),
    "otelcol-otlp-proto": ("otlp", HOST_NAME, OTEL),
    "otelcol-otlp-proto-keyed": ("otlp", HOST_NAME, OTEL),
    "otelcol-otlp-json": ("otlp", HOST_NAME, OTEL),
    "prometheus-kafka-adapter": (
        "prometheus",
        "labels.instance",
        ["node_cpu_seconds_total", "go_goroutines", "process_open_fds"],
    ),
}


@pytest.mark.data
@pytest.mark.parametrize("name", CAPTURED)
def test_captured_records_are_read(name: str, shared_data: Path) -> None:
    """A record either gives samples of its own host, or has none of these channels."""
    codec_name, key, channels = CAPTURED[name]
    path = shared_data.parent / "payloads" / name / "records.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    messages = [Message(_value(record)) for record in records]
    decoded = make_codec(codec_name, channels, key=key).decode(messages)
    assert {rejected.reason for rejected in decoded.rejected} <= {Reason.NO_CHANNELS}
    assert {re.sub(rb"[-.:\d]+$", b"", key) for key in decoded.keys} <= {
        b"web",
        b"edge",
        b"app",
        b"",
    }
    assert decoded.bad_values == []
    assert len(decoded)


def _value(record: dict[str, Any]) -> bytes:
    return bytes.fromhex(record["value_hex"]) if "value_hex" in record else record["value"].encode()


@pytest.mark.data
def test_stale_series_have_no_value(shared_data: Path) -> None:
    """A marker of staleness is no reading, and no fault of the producer."""
    path = shared_data.parent / "payloads" / "prometheus-kafka-adapter" / "stale-nan.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = sorted({json.loads(record["value"])["name"] for record in records})
    decoded = make_codec("prometheus", names, key="labels.instance").decode(
        [Message(_value(record)) for record in records]
    )
    assert [r.reason for r in decoded.rejected] == [Reason.NO_CHANNELS] * len(records)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "channels", "first"),
    [
        ("nested", ["env.temp", "env.hum", "pres"], [21.0, 53.8, 1013.0]),
        ("bool", ["temp", "hum", "door_open"], [21.0, 53.8, 1.0]),
    ],
)
def test_cases_are_read_as_in_training(
    name: str, channels: list[str], first: list[float], shared_data: Path
) -> None:
    path = shared_data.parent / "cases" / f"{name}.jsonl"
    messages = [Message(line.encode(), b"k") for line in path.read_text("utf-8").splitlines()]
    decoded = make_codec("json", channels).decode(messages)
    assert decoded.rejected == []
    assert decoded.values[0].tolist() == first
