"""Records of a schema registry: Avro, JSON Schema and protobuf as Kafka Connect writes them."""

from __future__ import annotations

import base64
import io
import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from stream.codecs import Codec, make_codec
from stream.codecs._registry import SchemaRegistry
from stream.records import Decoded, Reason
from tests.contract.test_codecs import Message, chunk, tag, varint

pytest.importorskip("google.protobuf")
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
pytest.importorskip("proto_schema_parser")
fastavro = pytest.importorskip("fastavro")

HEADER = b"\x00\x00\x00\x00\x07"
T0 = 1_700_000_000

PROTO = """
syntax = "proto3";
package plant.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/decimal.proto";
import "units.proto";

// A reading of a machine.
message Envelope {
  message Reading {
    optional double load = 1;
    double flow = 2;
    map<string, double> temps = 3;
    repeated double phases = 4;
    bool open = 5;
  }
  google.protobuf.Timestamp at = 1;
  string machine = 2;
  Reading reading = 3;
  oneof extra { google.protobuf.DoubleValue boost = 4; string note = 5; }
  google.type.Decimal price = 6;
  plant.units.Level level = 7;
}
message Batch { repeated Envelope envelopes = 1; string site = 2; }
"""
UNITS = 'syntax = "proto3"; package plant.units; enum Level { LOW = 0; HIGH = 2; }'
CHANNELS = ["load", "flow", "temps.a", "phases.1", "open", "boost", "price", "level"]


def double(number: int, value: float) -> bytes:
    return tag(number, 1) + struct.pack("<d", value)


READING = (
    double(1, 0.5)
    + chunk(3, chunk(1, "a") + double(2, 21.5))
    + chunk(4, struct.pack("<2d", 7.0, 8.0))
    + tag(5, 0)
    + b"\x01"
)
ENVELOPE = (
    chunk(1, tag(1, 0) + varint(T0) + tag(2, 0) + varint(500_000_000))
    + chunk(2, "press-1")
    + chunk(3, READING)
    + chunk(4, double(1, 3.0))
    + chunk(6, chunk(1, "19.90"))
    + tag(7, 0)
    + b"\x02"
)


def codec(name: str, schema: Any, channels: list[str] = CHANNELS, **options: Any) -> Codec:
    return make_codec(name, channels, fetch_schema={7: schema}.get, **options)


def one(reader: Codec, value: bytes, timestamp: int = 0) -> Decoded:
    return reader.decode([Message(None, value, timestamp)])


def protobuf(**options: Any) -> Codec:
    schema = {"file": PROTO, "dependencies": [{"name": "units.proto", "file": UNITS}]}
    return codec("protobuf", schema, key="machine", **options)


def test_protobuf_records_are_nested_objects() -> None:
    """Well-known types are times and numbers; a field without presence is 0."""
    reader = protobuf(time="at", values="reading")
    for index in (b"\x00", b"\x02\x00"):  # the short form of the first type, and the long one
        decoded = one(reader, HEADER + index + ENVELOPE)
        assert decoded.rejected == []
        assert decoded.keys == [b"press-1"]
        assert decoded.time_us.tolist() == [T0 * 1_000_000 + 500_000]
        assert decoded.values.tolist() == [[0.5, 0.0, 21.5, 8.0, 1.0, 3.0, 19.9, 2.0]]


def test_protobuf_records_may_be_in_a_list() -> None:
    """The path of indexes names the type; key and time may stand beside the list."""
    reader = codec(
        "protobuf",
        {"file": PROTO, "dependencies": [{"name": "units.proto", "file": UNITS}]},
        key="site",
        time="at",
        values="reading",
        records="envelopes",
    )
    body = chunk(1, ENVELOPE) + chunk(1, ENVELOPE) + chunk(2, "north")
    decoded = one(reader, HEADER + b"\x02\x02" + body)
    assert decoded.keys == [b"north", b"north"]
    nested = one(protobuf(time=""), HEADER + b"\x04\x00\x00" + READING, timestamp=5)
    assert [r.reason for r in nested.rejected] == [Reason.NO_KEY]


def test_a_field_with_presence_is_missing_where_it_is_not_sent() -> None:
    """Without presence a field that is not sent cannot be told from its zero."""
    body = chunk(2, "press-1") + chunk(3, b"")
    decoded = one(protobuf(time="", values="reading"), HEADER + b"\x00" + body, timestamp=5)
    assert decoded.time_us.tolist() == [5000]
    np.testing.assert_array_equal(
        decoded.values, [[np.nan, 0.0, np.nan, np.nan, 0.0, np.nan, np.nan, 0.0]]
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x08",
        b"\x01",
        b"\x02\x08" + ENVELOPE,
        b"\x02\x01" + ENVELOPE,
        b"\x04\x00\x08",
        b"\x00\x0a\x7f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00" + chunk(2, b"\xff\xfe"),
        b"\x00" + b"\x1a\xff\xff\xff\xff\x0f",
    ],
)
def test_bytes_that_are_no_such_message_are_refused(body: bytes) -> None:
    decoded = one(protobuf(time="at"), HEADER + body)
    assert [r.reason for r in decoded.rejected] == [Reason.NOT_JSON]


def serialized(text: str) -> str:
    from stream.codecs._protobuf_text import parse_proto

    return base64.b64encode(parse_proto(text).SerializeToString()).decode()


@pytest.mark.parametrize("form", [str, serialized])
def test_the_registry_gives_descriptors_with_their_imports(form: Any) -> None:
    """References are followed, the deepest first; a text is read where there are no descriptors."""
    replies = {
        "/schemas/ids/7?format=serialized": {
            "schemaType": "PROTOBUF",
            "schema": form(PROTO),
            "references": [{"name": "units.proto", "subject": "units/value", "version": 3}],
        },
        "/subjects/units%2Fvalue/versions/3?format=serialized": {
            "schemaType": "PROTOBUF",
            "schema": form(UNITS),
        },
    }
    registry = Replies(replies)
    reader = make_codec(
        "protobuf", CHANNELS, key="machine", time="at", fetch_schema=registry.protobuf_schema
    )
    assert one(reader, HEADER + b"\x00" + ENVELOPE).keys == [b"press-1"]
    missing = Replies({next(iter(replies)): replies[next(iter(replies))]})
    assert missing.protobuf_schema(7) is None
    assert missing.protobuf_schema(8) is None


class Replies(SchemaRegistry):
    """Registry whose answers are given; a path without one is not there."""

    def __init__(self, replies: dict[str, Any]) -> None:
        super().__init__("http://registry")
        self._replies = replies

    def _get(self, schema_id: int, path: str) -> dict[str, Any] | None:
        return self._replies.get(path)


def test_circular_references_end() -> None:
    loop = [{"name": "a", "subject": "a", "version": 1}]
    reply = {"schemaType": "PROTOBUF", "schema": "", "references": loop}
    paths = ("/schemas/ids/7", "/subjects/a/versions/1")
    registry = Replies({f"{path}?format=serialized": reply for path in paths})
    assert registry.protobuf_schema(7)["dependencies"] == [{"name": "a", "file": ""}]


AVRO = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "machine", "type": ["null", {"type": "string", "logicalType": "uuid"}]},
        {"name": "env", "type": {"type": "record", "name": "Env", "fields": [
            {"name": "temp", "type": ["null", "float", "string"]},
        ]}},
        {"name": "price", "type": {
            "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2,
        }},
        {"name": "mode", "type": {"type": "enum", "name": "Mode", "symbols": ["A", "B"]}},
        {"name": "raw", "type": "bytes"},
        {"name": "open", "type": "boolean"},
    ],
}  # fmt: skip


def avro_record() -> bytes:
    import uuid

    body = io.BytesIO()
    record = {
        "at": datetime.fromtimestamp(T0, UTC),
        "machine": uuid.UUID(int=7),
        "env": {"temp": 21.5},
        "price": Decimal("19.90"),
        "mode": "B",
        "raw": b"\xff",
        "open": True,
    }
    fastavro.schemaless_writer(body, fastavro.parse_schema(AVRO), record)
    return HEADER + body.getvalue()


def test_avro_types_are_numbers_where_they_can_be() -> None:
    """Bytes and symbols are no numbers: they cost themselves."""
    reader = codec(
        "avro", AVRO, ["env.temp", "price", "open", "raw", "mode"], time="at", key="machine"
    )
    decoded = one(reader, avro_record())
    assert decoded.keys == [b"00000000-0000-0000-0000-000000000007"]
    assert decoded.time_us.tolist() == [T0 * 1_000_000]
    np.testing.assert_array_equal(decoded.values, [[21.5, 19.9, 1.0, np.nan, np.nan]])
    assert [bad.channel for bad in decoded.bad_values] == ["mode", "raw"]


def test_avro_schemas_may_refer_to_others() -> None:
    """A type of another subject is fetched with the schema that names it."""
    env = {"type": "record", "name": "Env", "namespace": "plant", "fields": AVRO_ENV}
    outer = {"type": "record", "name": "Reading", "namespace": "plant", "fields": [
        {"name": "ts", "type": "long"}, {"name": "env", "type": "plant.Env"},
    ]}  # fmt: skip
    references = [{"name": "plant.Env", "subject": "env", "version": 1}]
    registry = Replies(
        {
            "/schemas/ids/7": {"schema": json.dumps(outer), "references": references},
            "/subjects/env/versions/1": {"schema": json.dumps(env)},
        }
    )
    body = io.BytesIO()
    complete = {**outer, "fields": [outer["fields"][0], {"name": "env", "type": env}]}
    fastavro.schemaless_writer(
        body, fastavro.parse_schema(complete), {"ts": T0, "env": {"temp": 21.5}}
    )
    reader = make_codec("avro", ["env.temp"], fetch_schema=registry.schema)
    decoded = reader.decode([Message(b"k", HEADER + body.getvalue())])
    assert decoded.values.tolist() == [[21.5]]


AVRO_ENV = [{"name": "temp", "type": "double"}]


@pytest.mark.parametrize("header", [HEADER, b""])
def test_json_schema_is_json_behind_a_header(header: bytes) -> None:
    value = b'{"ts": 1700000000, "machine": "press-1", "env": {"temp": 21.5}}'
    reader = make_codec("json_schema", ["env.temp"], key="machine")
    decoded = one(reader, header + value)
    assert decoded.keys == [b"press-1"]
    assert decoded.values.tolist() == [[21.5]]


def test_plain_json_names_the_header() -> None:
    """The refusal says which codecs read it."""
    decoded = one(make_codec("json", ["x"]), HEADER + b'{"ts":1,"x":2}')
    assert [r.reason for r in decoded.rejected] == [Reason.NOT_JSON]
    assert "json_schema" in decoded.rejected[0].detail
