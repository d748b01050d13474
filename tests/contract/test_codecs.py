"""Contract of all codecs, and the meaning of each format.

It is long because it is one contract: a codec is added to the table of codecs and every claim is
then held against it; the tables of formats stand beside the claims they are for.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import io
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ember_core.distribution import NAME
from stream.codecs import CODECS, Codec, encode_json, make_codec
from stream.records import MAX_ABS_VALUE, TIME_MAX_US, TIME_MIN_US, BadValue, Decoded, Reason
from tests.conftest import examples

CHANNELS = ("cpu", "mem.used", "disk")
T0 = 1_700_000_000_123_456
HAVE_AVRO = importlib.util.find_spec("fastavro") is not None
NEEDS = {"avro": "fastavro", "protobuf": "google.protobuf"}
NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(NEEDS.get(name, "json")) is None, reason="an extra is missing"
        ),
    )
    for name in CODECS
]


class Message(NamedTuple):
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


# -- writing each format -------------------------------------------------------------------------

AVRO_SCHEMA = {
    "type": "record",
    "name": "Telemetry",
    "fields": [
        {"name": "ts", "type": ["null", "long", "double", "string"]},
        {"name": "host", "type": ["null", "string"], "default": None},
        {
            "name": "values",
            "type": {"type": "map", "values": ["null", "double", "string", "boolean"]},
        },
    ],
}


@functools.cache
def protobuf_schema() -> dict[str, Any]:
    """Return the schema of a time, a host and a map of values, as a registry has it."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name="Telemetry")
    message.field.add(name="ts", number=1, label=1, type_name=".google.protobuf.Timestamp")
    message.field.add(name="host", number=2, label=1, type=9)
    message.field.add(name="values", number=3, label=3, type=11, type_name="ValuesEntry")
    entry = message.nested_type.add(name="ValuesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=1)
    return {"file": base64.b64encode(file.SerializeToString()).decode(), "dependencies": []}


def protobuf_record(time_us: int, values: dict[str, float]) -> bytes:
    """Message of `protobuf_schema`."""
    seconds, micros = divmod(time_us, 1_000_000)
    time = tag(1, 0) + varint(seconds % 2**64) + tag(2, 0) + varint(micros * 1000)
    entries = (
        chunk(3, chunk(1, channel) + tag(2, 1) + struct.pack("<d", value))
        for channel, value in values.items()
    )
    return chunk(1, time) + chunk(2, "web-1") + b"".join(entries)


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def chunk(number: int, body: bytes | str) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return tag(number, 2) + varint(len(raw)) + raw


def otlp_proto(points: Sequence[tuple[str, bytes]], host: str = "web-1") -> bytes:
    attribute = chunk(1, "host") + chunk(2, chunk(1, host))
    metrics = b"".join(
        chunk(2, chunk(1, name) + chunk(3, "1") + chunk(5, chunk(1, point)))
        for name, point in points
    )
    return chunk(1, chunk(1, chunk(1, attribute)) + chunk(2, chunk(1, chunk(1, "scope")) + metrics))


def write(name: str, time_us: int, values: dict[str, float]) -> bytes:
    """One message of one time; `prometheus` holds one value only."""
    time_ns = time_us * 1000
    unsigned_ns = time_ns % 2**64
    if name == "json":
        return encode_json(b"k", time_us, list(values), list(values.values()))
    if name == "telegraf":
        fields = {"cpu": "cpu", "mem.used": "used", "disk": "disk"}
        metrics = [
            {
                "name": "mem",
                "tags": {"host": "web-1"},
                "fields": {fields[channel]: value},
                "timestamp": time_ns,
            }
            for channel, value in values.items()
        ]
        return msgspec.json.encode({"metrics": metrics})
    if name == "influx":
        fields = {"cpu": "cpu", "mem.used": "used", "disk": "disk"}
        pairs = ",".join(f"{fields[channel]}={value!r}" for channel, value in values.items())
        return f"mem,host=web-1 {pairs} {time_ns}\n".encode()
    if name == "collectd":
        parts = {"cpu": ("cpu", "cpu"), "mem.used": ("mem", "used"), "disk": ("disk", "disk")}
        value_lists = [
            {
                "values": [value],
                "dsnames": ["value"],
                "time": time_us,
                "host": "web-1",
                "plugin": parts[channel][0],
                "type": parts[channel][1],
            }
            for channel, value in values.items()
        ]
        return msgspec.json.encode(value_lists)
    if name == "prometheus":
        [(channel, value)] = values.items()
        timestamp = np.datetime64(time_us, "us").item().isoformat() + "Z"
        return msgspec.json.encode(
            {"timestamp": timestamp, "value": repr(value), "name": channel, "labels": {"i": "1"}}
        )
    if name in ("otlp", "otlp_proto"):
        return otlp_proto(
            [
                (
                    channel,
                    tag(3, 1) + struct.pack("<Q", unsigned_ns) + tag(4, 1) + struct.pack("<d", x),
                )
                for channel, x in values.items()
            ]
        )
    if name == "otlp_json":
        metrics = [
            {
                "name": channel,
                "gauge": {"dataPoints": [{"timeUnixNano": str(time_ns), "asDouble": value}]},
            }
            for channel, value in values.items()
        ]
        return msgspec.json.encode({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    if name == "json_schema":
        return b"\x00\x00\x00\x00\x07" + write("json", time_us, values)
    if name == "protobuf":
        return b"\x00\x00\x00\x00\x07\x00" + protobuf_record(time_us, values)
    import fastavro

    body = io.BytesIO(b"\x00\x00\x00\x00\x07")
    body.seek(5)
    record = {"ts": ("double", time_us / 1e6), "host": "web-1", "values": values}
    if time_us % 1000 == 0:
        record["ts"] = ("long", time_us // 1000)
    fastavro.schemaless_writer(body, fastavro.parse_schema(AVRO_SCHEMA), record)
    return body.getvalue()


def build(name: str, channels: Sequence[str] = CHANNELS, **options: Any) -> Codec:
    schema = protobuf_schema() if name == "protobuf" else AVRO_SCHEMA
    return make_codec(
        name, channels, fetch_schema=lambda number: schema if number == 7 else None, **options
    )


# -- the contract --------------------------------------------------------------------------------


def check(decoded: Decoded, count: int) -> None:
    """Check the invariants of `Decoded` for a fetch of `count` messages."""
    n = len(decoded)
    assert decoded.time_us.shape == (n,)
    assert decoded.time_us.dtype == np.int64
    assert decoded.values.shape == (n, len(CHANNELS))
    assert decoded.values.dtype == np.float64
    assert decoded.message.shape == (n,)
    assert decoded.message.dtype == np.int32
    accepted = set(decoded.message.tolist())
    refused = [rejected.message for rejected in decoded.rejected]
    assert refused == sorted(set(refused))
    assert accepted.isdisjoint(refused)
    assert accepted | set(refused) == set(range(count))
    assert (np.diff(decoded.message) >= 0).all()
    assert ((decoded.time_us >= TIME_MIN_US) & (decoded.time_us < TIME_MAX_US)).all()
    assert not np.isinf(decoded.values).any()
    assert not (np.abs(decoded.values) > MAX_ABS_VALUE).any()
    assert not np.isnan(decoded.values).all(axis=1).any()
    assert all(isinstance(key, bytes) and len(key) <= 512 for key in decoded.keys)
    assert all(isinstance(r.reason, Reason) and r.detail for r in decoded.rejected)
    assert decoded.bad_values == sorted(decoded.bad_values)
    for message, channel, reason in decoded.bad_values:
        assert message in accepted
        assert channel in CHANNELS
        assert isinstance(reason, Reason)


def rows(decoded: Decoded, shift: int = 0) -> list[tuple[Any, ...]]:
    """Content of a `Decoded`, comparable bit for bit, message indices shifted by `shift`."""
    samples = zip(
        decoded.keys,
        decoded.time_us.tolist(),
        (row.tobytes() for row in decoded.values),
        decoded.message.tolist(),
        strict=True,
    )
    return [
        *((message + shift, key, time, cells) for key, time, cells, message in samples),
        *((message + shift, reason, detail) for message, reason, detail in decoded.rejected),
        *(
            (message + shift, "lost", column, reason)
            for message, column, reason in decoded.bad_values
        ),
    ]


def snippets(name: str) -> st.SearchStrategy[bytes | None]:
    """Good messages, garbage, and good messages that were cut."""
    values = st.dictionaries(
        st.sampled_from(CHANNELS),
        st.floats(allow_nan=False, allow_infinity=name not in ("json", "json_schema", "otlp_json")),
        min_size=1,
        max_size=1 if name == "prometheus" else 3,
    )
    good = st.builds(write, st.just(name), st.integers(TIME_MIN_US, TIME_MAX_US - 1), values)

    def bite(whole: bytes, start: int, length: int, filling: bytes) -> bytes:
        start %= len(whole) + 1
        return whole[:start] + filling + whole[start + length :]

    bitten = st.builds(bite, good, st.integers(0, 10_000), st.integers(0, 4), st.binary(max_size=3))
    words = [
        b'{"ts":1,"cpu":2}',
        b'{"ts":1,"values":{"cpu":2}}',
        b'{"ts":1,"values":null,"cpu":null,"disk":1}',
        b'{"ts":1,"x":[{}',
        b"{}]}",
        b'{"values":{"cpu":1}}{"ts":1}',
        b'{"ts":1}\n{"ts":2}',
        b"{}",
        b"[]",
        b"null",
        b" ",
        b"",
        b'{"ts":"2024-01-01","host":"x","cpu":1e999}',
        b'{"ts":1.5,"values":7,"disk":1}',
        b'{"metrics":[]}',
        b'{"metrics":[{}]}',
        b'{"resourceMetrics":[{}]}',
    ]
    return st.one_of(st.none(), st.binary(max_size=40), st.sampled_from(words), good, bitten)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["", "host", 'tags.host + "/" + name'])
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_end_in_exactly_one_place(name: str, key: str, data: st.DataObject) -> None:
    """Nothing raises, nothing is lost or invented, and neighbours do not matter."""
    keys = st.one_of(st.none(), st.binary(max_size=6), st.just(b"\x00ember.meta"))
    fetch = data.draw(st.lists(st.builds(Message, keys, snippets(name)), max_size=12))
    unit = data.draw(st.sampled_from(["auto", "s", "ms", "us", "ns", "iso8601"]))
    codec = build(name, key=key, time_unit=unit)
    batch = codec.decode(fetch)
    check(batch, len(fetch))
    alone = [
        row
        for i, message in enumerate(fetch)
        for row in rows(build(name, key=key, time_unit=unit).decode([message]), i)
    ]
    assert sorted(rows(batch), key=repr) == sorted(alone, key=repr)
    assert rows(codec.decode(fetch)) == rows(batch)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(60), deadline=None)
@given(
    records=st.lists(
        st.tuples(
            st.integers(0, TIME_MAX_US // 1000 - 1),
            st.floats(-MAX_ABS_VALUE, MAX_ABS_VALUE, allow_nan=False),
        ),
        min_size=1,
        max_size=7,
    )
)
def test_float64_and_time_survive_exactly(name: str, records: list[tuple[int, float]]) -> None:
    """Encoded samples are decoded bit for bit, in order of arrival."""
    # A number of twelve digits may be a date: 190001010000 is the year 1900.
    records = [(max(time_ms, 10**12), x) for time_ms, x in records]
    if name not in ("json", "json_schema", "avro", "protobuf"):
        records = [(time_ms, x + 0.0) for time_ms, x in records]
    fetch = [Message(b"k", write(name, ms * 1000, {"mem.used": x})) for ms, x in records]
    decoded = build(name).decode(fetch)
    check(decoded, len(fetch))
    assert decoded.rejected == []
    assert decoded.time_us.tolist() == [time_ms * 1000 for time_ms, _ in records]
    expected = np.array([x for _, x in records])
    assert decoded.values[:, 1].tobytes() == expected.tobytes()
    assert np.isnan(decoded.values[:, [0, 2]]).all()


@pytest.mark.parametrize("name", NAMES)
def test_null_large_and_key_limits_hold_for_every_codec(name: str) -> None:
    """`EMPTY`, `TOO_LARGE`, `BAD_KEY` and `NO_KEY` come before the format matters."""
    good = write(name, T0 // 1000 * 1000, {"cpu": 1.5})
    codec = build(name, max_message_bytes=len(good), max_key_bytes=7)
    fetch = [
        Message(b"k", good),
        Message(b"k", None),
        Message(b"k", good + b" "),
        Message(b"12345678", good),
        Message(b"\x00ember.meta"[:7] + b"", good),
        Message(None, good),
        Message(b"", good),
    ]
    decoded = codec.decode(fetch)
    check(decoded, len(fetch))
    assert decoded.keys == [b"k"]
    assert [(r.message, r.reason) for r in decoded.rejected] == [
        (1, Reason.EMPTY),
        (2, Reason.TOO_LARGE),
        (3, Reason.BAD_KEY),
        (4, Reason.BAD_KEY),
        (5, Reason.NO_KEY),
        (6, Reason.NO_KEY),
    ]
    assert "input.key" in decoded.rejected[-1].detail


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_fetch_gives_empty_columns(name: str) -> None:
    """No messages, no samples, right shapes."""
    check(build(name).decode([]), 0)


def test_an_unknown_codec_is_named() -> None:
    """The error lists the codecs."""
    with pytest.raises(Exception, match="json, influx"):
        make_codec("jsno", CHANNELS)


# -- JSON ----------------------------------------------------------------------------------------

GOOD = b'{"ts":1700000000,"values":{"cpu":1.5,"mem.used":2,"disk":-3e2}}'
DEEP = 250_000


def verdict(value: bytes | None, kafka_key: bytes | None = b"k", **options: Any) -> Reason | None:
    """Return the outcome of one message, which must be the same among good neighbours."""
    codec = make_codec("json", CHANNELS, **options)
    alone = codec.decode([Message(kafka_key, value)])
    check(alone, 1)
    crowd = [Message(b"a", GOOD)] * 3 + [Message(kafka_key, value)] + [Message(b"b", GOOD)] * 2
    decoded = codec.decode(crowd)
    check(decoded, len(crowd))
    assert set(range(6)) - {3} <= set(decoded.message.tolist())
    assert [bad._replace(message=3) for bad in alone.bad_values] == decoded.bad_values
    if alone.rejected:
        assert decoded.rejected == [alone.rejected[0]._replace(message=3)]
        return alone.rejected[0].reason
    assert decoded.rejected == []
    return None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"nope", Reason.NOT_JSON),
        (b"", Reason.NOT_JSON),
        (b"  ", Reason.NOT_JSON),
        (b"\xff\xfe", Reason.NOT_JSON),
        (GOOD + b"}", Reason.NOT_JSON),
        (GOOD + b" x", Reason.NOT_JSON),
        (GOOD + GOOD, Reason.NOT_JSON),
        (GOOD + b"\n" + GOOD[:-1], Reason.NOT_JSON),
        (b"\x00\x00\x00\x00\x07" + GOOD, Reason.NOT_JSON),
        (GOOD[:-1], Reason.NOT_JSON),
        (b'{"ts":1,"values":{"cpu":0x10}}', Reason.NOT_JSON),
        (b'{"ts":1,"values":{"cpu":01}}', Reason.NOT_JSON),
        (b'{"ts":1,"values":{"cpu":1},"x":"\n"}', Reason.NOT_JSON),
        (b"[1]", Reason.WRONG_TYPE),
        (b'"text"', Reason.WRONG_TYPE),
        (b'{"ts":1,"values":{"cpu":"high"}}', Reason.WRONG_TYPE),
        (b'{"ts":1,"values":{"cpu":"1_0"}}', Reason.WRONG_TYPE),
        (b'{"ts":1,"values":{"cpu":[1]}}', Reason.WRONG_TYPE),
        (b'{"ts":1,"values":{"cpu":{}}}', Reason.WRONG_TYPE),
        (b'{"ts":1,"cpu":"0x1"}', Reason.WRONG_TYPE),
        (b'{"ts":1,"cpu":"1e999"}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":NaN}}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":-Infinity}}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":" n/a"}}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":""}}', Reason.NO_CHANNELS),
        (b'{"values":{"cpu":null}}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":1e308}}', Reason.OUT_OF_RANGE),
        (b'{"ts":1,"values":{"cpu":-1.1e150}}', Reason.OUT_OF_RANGE),
        (b'{"ts":1,"values":{"cpu":1e999}}', Reason.OUT_OF_RANGE),
        (b'{"ts":1,"values":{"cpu":1' + b"0" * 5000 + b"}}", Reason.OUT_OF_RANGE),
        (b'{"values":{"cpu":1}}', Reason.NO_TIME),
        (b'{"ts":null,"values":{"cpu":1}}', Reason.NO_TIME),
        (b'{"ts":"yesterday","values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":true,"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":[1],"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":1e400,"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":1e300,"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":99999999999999999999,"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":9214646400,"values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":"1899-12-31T23:59:59Z","values":{"cpu":1}}', Reason.BAD_TIME),
        (b'{"ts":1}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{}}', Reason.NO_CHANNELS),
        (b'{"ts":1,"values":{"cpu":null,"other":1}}', Reason.NO_CHANNELS),
        (None, Reason.EMPTY),
        (b'{"ts":1,"x":' + b"[" * DEEP + b"]" * DEEP + b',"cpu":1}', Reason.TOO_DEEP),
        (b'{"ts":1,"x":' + b'{"a":' * (DEEP // 2), Reason.TOO_DEEP),
        (b'{"ts":1,"x":' + b"[" * 250 + b"]" * 250 + b',"cpu":1}', Reason.TOO_DEEP),
        (b'{"ts":1,"x":"' + b"x" * 1_048_576 + b'"}', Reason.TOO_LARGE),
    ],
    ids=lambda value: repr(value)[:48],
)
def test_bad_json_has_a_named_fate(value: bytes | None, reason: Reason) -> None:
    """Every defect has its reason, whatever the neighbours are."""
    assert verdict(value) == reason


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        b"\n" + GOOD.replace(b",", b",\n") + b"\r\n\n",
        b'{"ts":1,"values":{"cpu":1},"note":"}\\n{"}',
        b'{"ts":1,"values":{"cpu":1},"x":"' + b"[{" * 1000 + b'"}',
        b'{"ts":1,"values":{"cpu":1},"x":"\\"' + b"[" * 1000 + b'"}',
        b'{"ts":1,"x":' + b"[" * 249 + b"]" * 249 + b',"cpu":1}',
        b'{"ts":1,"values":{"cpu":null,"disk":1}}',
        b'{"ts":1,"cpu":1}',
        b'{"ts":1,"values":[3],"cpu":1}',
        b'{"ts":1,"values":null,"cpu":1}',
        b'{"ts":"2026-01-31T10:00:00+02:00","cpu":1}',
        b'{"ts":-1.5,"cpu":1}',
        b'{"ts":1,"values":{"cpu":1e150}}',
        b'{"ts":1,"values":{"other":1},"cpu":1}',
        b'{"ts":1,"values":{"cpu":true}}',
        b'{"ts":1,"values":{"cpu":" 21.5 "}}',
        b'{"ts":1,"values":{"cpu":1,"disk":NaN}}',
        b'{"ts":1,"values":{"cpu":1,"disk":"broken"}}',
        b'{"ts":1,"values":{"cpu":1,"disk":1e999}}',
        b'{"ts":1,"values":{"cpu":1,"disk":1' + b"0" * 5000 + b"}}",
        b'{"ts":1,"mem":{"used":1}}',
        b"\xef\xbb\xbf" + GOOD,
        b"[" + GOOD + b"," + GOOD + b"]",
        GOOD + b"\n" + GOOD + b"\n",
    ],
    ids=lambda value: repr(value)[:48],
)
def test_unusual_json_is_accepted(value: bytes) -> None:
    """Pretty-printed, flat, nested or with braces in texts: it is all JSON."""
    assert verdict(value) is None


def test_a_message_cannot_swallow_or_inject_another() -> None:
    """Halves that would be one document when joined, and doubles that would keep the count."""
    codec = make_codec("json", CHANNELS)
    fetch = [
        Message(b"a", b'{"ts":1,"x":[{}'),
        Message(b"b", b'{}],"values":{"cpu":666}}'),
        Message(b"c", GOOD + GOOD),
        Message(b"d", b'{"ts":1,"values":{"cpu":1},"x":"}'),
        Message(b"e", b'{","values":{"cpu":666}}'),
        Message(b"f", GOOD + b"\n" + GOOD[1:]),
        Message(b"g", GOOD),
    ]
    decoded = codec.decode(fetch)
    check(decoded, len(fetch))
    assert decoded.keys == [b"g"]
    assert {r.reason for r in decoded.rejected} == {Reason.NOT_JSON}


def test_wrong_type_names_the_place() -> None:
    """The refusal names the JSON path."""
    decoded = make_codec("json", CHANNELS).decode(
        [Message(b"k", b'{"ts":1,"values":{"mem.used":"x"}}')]
    )
    assert "got 'x' - at `$.values.mem.used`" in decoded.rejected[0].detail


def test_shapes_may_be_mixed_and_change() -> None:
    """A stream may change from nested to flat, also within a fetch."""
    codec = make_codec("json", ["cpu"])
    nested, flat = b'{"ts":1,"values":{"cpu":1}}', b'{"ts":2,"cpu":2}'
    for values in ([nested] * 3, [flat] * 3, [flat, nested, nested], [nested, flat] * 300):
        decoded = codec.decode([Message(b"k", value) for value in values])
        assert decoded.rejected == []
        assert decoded.values[:, 0].tolist() == [
            1.0 if value is nested else 2.0 for value in values
        ]
        assert decoded.time_us.tolist() == [1_000_000 if v is nested else 2_000_000 for v in values]


def test_fields_and_paths_can_be_elsewhere() -> None:
    """`input.values`, `input.fields`, `input.time` and `input.key` point into the record."""
    codec = make_codec(
        "json",
        CHANNELS,
        key='payload.tags["the host"] + "/" + site',
        time="payload.at",
        values="payload",
        fields={"cpu": "CPU Load"},
    )
    value = b'{"payload":{"at":5,"CPU Load":1.5,"disk":2,"tags":{"the host":"h"}},"site":9}'
    decoded = codec.decode([Message(None, value), Message(b"own", value)])
    assert decoded.rejected == []
    assert decoded.keys == [b"h/9", b"own"]
    assert decoded.time_us.tolist() == [5_000_000, 5_000_000]
    assert decoded.values[0, [0, 2]].tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, Reason.NO_KEY),
        ({"host": None}, Reason.NO_KEY),
        ({"host": ""}, Reason.NO_KEY),
        ({"host": 1.5}, Reason.BAD_KEY),
        ({"host": True}, Reason.BAD_KEY),
        ({"host": ["a"]}, Reason.BAD_KEY),
        ({"host": "\0ember.meta"}, Reason.BAD_KEY),
        ({"host": "x" * 513}, Reason.BAD_KEY),
        ({"host": 7}, None),
    ],
)
def test_keys_from_fields(record: dict[str, Any], reason: Reason | None) -> None:
    """Only texts and integers make keys."""
    value = json.dumps({"ts": 1, "cpu": 1, **record}).encode()
    assert verdict(value, None, key="host") == reason


@pytest.mark.parametrize(
    "text", ["a b", "a.", '"open', "a[b]", 'a["b"', "a + ", "+ a", "a ++ b", "f(x)", "a..b", "[0]"]
)
def test_a_key_that_is_no_expression_stops_the_start(text: str) -> None:
    """The error names the position and shows a valid expression."""
    with pytest.raises(Exception, match=r"input\.key.*tags\.host"):
        make_codec("json", CHANNELS, key=text)


@pytest.mark.parametrize(
    ("unit", "text", "time_us"),
    [
        ("auto", "1700000000", 1_700_000_000_000_000),
        ("auto", "1700000000.123456", 1_700_000_000_123_456),
        ("auto", "1700000000123", 1_700_000_000_123_000),
        ("auto", "1700000000123456", 1_700_000_000_123_456),
        ("auto", "1700000000123456789", 1_700_000_000_123_456),
        ("auto", "99999999999", None),
        ("auto", "100000000000", 100_000_000_000_000),
        ("auto", "-1", -1_000_000),
        ("auto", "-9223372036854775808", None),
        ("auto", '"2023-11-14T22:13:20.123456789Z"', 1_700_000_000_123_456),
        ("auto", '"2023-11-14 22:13:20"', 1_700_000_000_000_000),
        ("iso8601", '"2023-11-15T00:13:20+02:00"', 1_700_000_000_000_000),
        ("iso8601", "1700000000", None),
        ("s", "1700000000.5", 1_700_000_000_500_000),
        ("s", "1700000000123", None),
        ("s", '"2023-11-14T22:13:20Z"', None),
        ("ms", "1700000000123.5", 1_700_000_000_123_500),
        ("us", "1700000000123456", 1_700_000_000_123_456),
        ("us", "12", 12),
        ("ns", "1999", 1),
        ("ns", "-1", -1),
        ("ns", "1700000000123456789", 1_700_000_000_123_456),
    ],
)
def test_time_units(unit: Any, text: str, time_us: int | None) -> None:
    """Numbers are read by unit or magnitude, texts as ISO 8601; others are refused."""
    codec = make_codec("json", ["cpu"], time_unit=unit)
    decoded = codec.decode([Message(b"k", b'{"ts":%s,"cpu":1}' % text.encode())])
    if time_us is None:
        assert [r.reason for r in decoded.rejected] == [Reason.BAD_TIME]
    else:
        assert decoded.time_us.tolist() == [time_us]


@settings(max_examples=examples(300), deadline=None)
@given(
    time_us=st.integers(TIME_MIN_US, TIME_MAX_US - 1),
    values=st.lists(st.floats(width=64), min_size=3, max_size=3),
    key=st.binary(max_size=8),
)
def test_encode_json_reads_back_exactly(time_us: int, values: list[float], key: bytes) -> None:
    """Every time and every float survives encoding and the unit `auto`."""
    value = encode_json(key, time_us, CHANNELS, values)
    assert b"\n" not in value
    decoded = make_codec("json", CHANNELS).decode([Message(b"k", value)])
    if all(math.isnan(x) for x in values):
        assert [r.reason for r in decoded.rejected] == [Reason.NO_CHANNELS]
    elif not any(abs(x) <= MAX_ABS_VALUE for x in values):
        assert [r.reason for r in decoded.rejected] == [Reason.OUT_OF_RANGE]
    else:
        assert decoded.time_us.tolist() == [time_us]
        huge = sorted(c for c, x in zip(CHANNELS, values, strict=True) if abs(x) > MAX_ABS_VALUE)
        assert decoded.bad_values == [BadValue(0, c, Reason.OUT_OF_RANGE) for c in huge]
        used = np.abs(values) <= MAX_ABS_VALUE
        expected = np.where(used, np.array(values), np.nan)
        assert decoded.values[0].tobytes() == expected.tobytes()


# -- the other formats ---------------------------------------------------------------------------


def one(codec: Codec, value: bytes | dict[str, Any], key: bytes | None = b"k") -> Decoded:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    decoded = codec.decode([Message(key, raw)])
    return decoded


def test_telegraf_fields_are_channels() -> None:
    """`name.field` before `field`; other fields may hold anything; seconds by default."""
    codec = make_codec("telegraf", ["mem.used", "load"], key="tags.host")
    metric = {
        "name": "mem",
        "tags": {"host": "web-1"},
        "fields": {"used": 3, "load": 0.5, "uptime_format": "7 days", "ok": True},
        "timestamp": 1458229140,
    }
    decoded = one(codec, metric, key=None)
    assert decoded.keys == [b"web-1"]
    assert decoded.time_us.tolist() == [1_458_229_140_000_000]
    assert decoded.values.tolist() == [[3.0, 0.5]]


def test_a_bad_record_of_a_batch_costs_itself() -> None:
    """A batch has several rows; it is refused, with the place, where all of them are wrong."""
    codec = make_codec("telegraf", ["load"])
    metric = {"name": "system", "tags": {}, "fields": {"load": 1.0}, "timestamp": 1}
    unknown_metric = {"name": "net", "tags": {}, "fields": {"drops": "?"}, "timestamp": 1}
    decoded = one(codec, {"metrics": [metric, unknown_metric, {**metric, "timestamp": 2}]})
    assert decoded.message.tolist() == [0, 0]
    assert decoded.time_us.tolist() == [1_000_000, 2_000_000]
    wrong = {**metric, "fields": {"load": "high"}}
    late = {**metric, "timestamp": "then"}
    decoded = one(codec, {"metrics": [wrong, metric, late]})
    assert decoded.values.tolist() == [[1.0]]
    assert set(decoded.bad_values) == {
        BadValue(0, "load", Reason.WRONG_TYPE),
        BadValue(0, "load", Reason.BAD_TIME),
    }
    decoded = one(codec, {"metrics": [unknown_metric, wrong, late]})
    assert len(decoded) == 0
    assert decoded.bad_values == []
    assert decoded.rejected[0].reason == Reason.WRONG_TYPE
    assert "$.metrics[1].fields.load" in decoded.rejected[0].detail


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("9876543210", None),
        ("1.5e-3", None),
        (2, None),
        (" 1", None),
        (True, None),
        ("NaN", Reason.NO_CHANNELS),
        ("+Inf", Reason.NO_CHANNELS),
        ("1e200", Reason.OUT_OF_RANGE),
        ("1_0", Reason.WRONG_TYPE),
        ("", Reason.NO_CHANNELS),
        ("1" * 100_000 + "x", Reason.WRONG_TYPE),
        (None, Reason.NO_CHANNELS),
    ],
)
def test_prometheus_values_are_texts(value: Any, reason: Reason | None) -> None:
    """The adapter's text is read as a number and nothing else."""
    codec = make_codec("prometheus", ["up"], key='labels.job + "/" + labels["instance"]')
    record = {
        "timestamp": "1970-01-01T00:00:00Z",
        "value": value,
        "name": "up",
        "labels": {"__name__": "up", "job": "node", "instance": "web-1:9100"},
    }
    decoded = one(codec, record, key=None)
    assert [r.reason for r in decoded.rejected] == ([reason] if reason else [])
    assert decoded.keys == ([] if reason else [b"node/web-1:9100"])


def test_a_channel_may_select_by_label() -> None:
    """`name{label="value"}` matches its labels, the plain name all others."""
    channels = ["cpu", 'cpu{mode="idle"}', 'cpu{mode="idle",cpu="0"}']
    codec = make_codec("prometheus", channels)
    for labels, column in (
        ({}, 0),
        ({"mode": "user"}, 0),
        ({"mode": "idle", "cpu": "1"}, 1),
        ({"mode": "idle", "cpu": "0"}, 2),
    ):
        record = {"timestamp": 1, "value": "1", "name": "cpu", "labels": labels}
        assert np.flatnonzero(one(codec, record).values[0] == 1.0).tolist() == [column]


def double_point(value: float, time_ns: int = T0 * 1000, extra: bytes = b"") -> bytes:
    return tag(3, 1) + struct.pack("<Q", time_ns) + tag(4, 1) + struct.pack("<d", value) + extra


def int_point(value: int) -> bytes:
    return tag(3, 1) + struct.pack("<Q", T0 * 1000) + tag(6, 1) + struct.pack("<q", value)


def test_otlp_protobuf_points() -> None:
    """Doubles and integers of known metrics, one row each, keyed by a resource attribute."""
    codec = make_codec("otlp_proto", CHANNELS, key='resource["host"] + "/" + attributes.core')
    core = chunk(7, chunk(1, "core") + chunk(2, tag(3, 0) + varint(3)))
    points = [
        ("cpu", double_point(0.25, extra=core)),
        ("unknown", double_point(1.0)),
        ("disk", int_point(-5) + core),
        ("disk", double_point(math.nan, extra=core)),
        ("disk", double_point(1.0, extra=core + tag(8, 0) + varint(1))),
    ]
    decoded = one(codec, otlp_proto(points, "web-2"), key=None)
    assert decoded.rejected == []
    assert decoded.keys == [b"web-2/3", b"web-2/3"]
    assert decoded.time_us.tolist() == [T0, T0]
    assert decoded.values[0, 0] == 0.25
    assert decoded.values[1, 2] == -5.0


def test_otlp_json_points() -> None:
    """64-bit integers come as texts; `otlp` tells JSON from protobuf."""
    attributes = [{"key": "host", "value": {"stringValue": "web-1"}}]
    point = {"timeUnixNano": str(T0 * 1000), "asInt": "-7", "attributes": attributes}
    request = {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes},
                "scopeMetrics": [
                    {
                        "scope": {"name": "s"},
                        "metrics": [
                            {"name": "disk", "sum": {"dataPoints": [point], "isMonotonic": True}},
                            {"name": "cpu", "histogram": {"dataPoints": [{"count": "1"}]}},
                        ],
                    }
                ],
            }
        ]
    }
    for name in ("otlp", "otlp_json"):
        codec = make_codec(name, CHANNELS, key="attributes.host + scope")
        decoded = one(codec, request, key=None)
        assert decoded.keys == [b"web-1s"]
        assert decoded.values[0, 2] == -7.0
    refused = one(make_codec("otlp_proto", CHANNELS), request).rejected
    assert refused[0].reason == Reason.NOT_JSON


def test_otlp_without_a_time_or_with_an_infinite_value_is_refused() -> None:
    """Protobuf writes a missing time as zero."""
    codec = make_codec("otlp", CHANNELS)
    for point, reason in (
        (double_point(1.0, time_ns=0), Reason.NO_TIME),
        (double_point(1.0, time_ns=2**64 - 1), Reason.BAD_TIME),
        (double_point(math.inf), Reason.NO_CHANNELS),
        (double_point(1e200), Reason.OUT_OF_RANGE),
    ):
        assert one(codec, otlp_proto([("cpu", point)])).rejected[0].reason == reason


needs_avro = pytest.mark.skipif(not HAVE_AVRO, reason="fastavro is not there")


def avro(schema: Any, record: Any, schema_id: int = 1) -> bytes:
    import fastavro

    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return b"\x00" + schema_id.to_bytes(4, "big") + body.getvalue()


@needs_avro
def test_avro_flat_records_and_logical_times() -> None:
    """The schema's own timestamps need no unit; schemas are fetched once."""
    schema = {
        "type": "record",
        "name": "Flat",
        "fields": [
            {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "host", "type": "string"},
            {"name": "cpu", "type": "float"},
            {"name": "disk", "type": ["null", "long"]},
        ],
    }
    requests = []

    def fetch(schema_id: int) -> Any:
        requests.append(schema_id)
        return schema

    codec = make_codec("avro", CHANNELS, key="host", fetch_schema=fetch)
    value = avro(schema, {"ts": T0, "host": "web-1", "cpu": 0.5, "disk": None})
    decoded = codec.decode([Message(None, value)] * 3)
    assert decoded.rejected == []
    assert decoded.keys == [b"web-1"] * 3
    assert decoded.time_us.tolist() == [T0] * 3
    assert decoded.values[0, 0] == 0.5
    assert requests == [1]


def test_avro_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command that installs the package."""
    import sys

    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(Exception, match=rf"{NAME}\[avro\]"):
        make_codec("avro", CHANNELS, fetch_schema=lambda schema_id: None)


def answer_with(body: bytes, status: int = 200) -> Callable[[], Any]:
    """Registry that answers every request alike."""
    import contextlib
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.seen.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    @contextlib.contextmanager
    def run() -> Any:
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            server.seen = []  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
            finally:
                server.shutdown()
                thread.join()

    return run


def test_the_registry_is_asked_by_http() -> None:
    """The client sends path and credentials, and interprets the answers."""
    from stream.codecs import RegistryUnavailable
    from stream.codecs._registry import SchemaRegistry

    with answer_with(json.dumps({"schema": '{"type":"long"}'}).encode())() as (url, requests):
        assert SchemaRegistry(url + "/", "u", "p").schema(7) == {"type": "long"}
        assert requests == [("/schemas/ids/7", "Basic dTpw")]
    with answer_with(b'{"schema":"message X {}","schemaType":"PROTOBUF"}')() as (url, _):
        assert SchemaRegistry(url).schema(7) is None
    with answer_with(b"{}", 404)() as (url, _):
        assert SchemaRegistry(url).schema(7) is None
    for body, status in ((b"{}", 500), (b"<html>", 200), (b"{}", 200), (b"[" * 99_999, 200)):
        with (
            answer_with(body, status)() as (url, _),
            pytest.raises(RegistryUnavailable, match="schema 7"),
        ):
            SchemaRegistry(url).schema(7)
    with pytest.raises(RegistryUnavailable, match="nothing is lost"):
        SchemaRegistry(url).schema(7)
