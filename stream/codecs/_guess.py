"""Guess of the format of a topic from the bytes of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from stream.types import CodecName

from . import _otlp_proto
from ._influx import parse_lines
from ._refused import Refused
from ._wire import WireError, fields

_EXAMINED = 200
"""Records that are looked at."""
_FRAME_BYTES = 5
_LARGEST_FIELD = 500
"""Field numbers of real schemas are small; those read from other bytes are not."""
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "LZ4"}


class Guess(NamedTuple):
    """Format of a record.

    Attributes:
        codec: Codec that reads it; None where none does.
        name: The format, in words.
        values: Value of `input.values` that it needs; empty where the default serves.
    """

    codec: CodecName | None
    name: str
    values: str = ""


OTLP_JSON = Guess("otlp", "OTLP JSON")
OTLP_PROTO = Guess("otlp", "OTLP protobuf")
INFLUX = Guess("influx", "InfluxDB line protocol")
TELEGRAF = Guess("telegraf", "Telegraf JSON")
PROMETHEUS = Guess("prometheus", "JSON of prometheus-kafka-adapter")
COLLECTD = Guess("collectd", "collectd JSON")
JSON = Guess("json", "JSON")
CONNECT = Guess("json", "JSON of Kafka Connect with its schema", "payload")
FRAMED_JSON = Guess("json_schema", "JSON in Confluent's wire format")
FRAMED_PROTOBUF = Guess("protobuf", "protobuf in Confluent's wire format")
FRAMED_AVRO = Guess("avro", "Avro in Confluent's wire format")


def guess_format(values: Iterable[bytes | None]) -> Guess | None:
    """Return the most frequent format of some values; None where none is recognised.

    Args:
        values: Values of Kafka records; the first 200 that are not empty are looked at.

    Examples:
        >>> guess_format([b"cpu,host=web-1 usage=0.5 1700000000000000000"])
        Guess(codec='influx', name='InfluxDB line protocol', values='')
        >>> guess_format([b'{"schema":{},"payload":{"cpu":1}}']).values
        'payload'
    """
    examined = islice((value for value in values if value), _EXAMINED)
    counts = Counter(guess for value in examined if (guess := guess_one(value)) is not None)
    return counts.most_common(1)[0][0] if counts else None


def guess_one(value: bytes) -> Guess | None:
    """Return the format of one value; None where it is not recognised."""
    for magic, name in _PACKED.items():
        if value.startswith(magic):
            return Guess(None, f"compressed with {name} by the program itself, not by Kafka")
    if value[:1] == b"\x00" and len(value) > _FRAME_BYTES:
        return _framed(value[_FRAME_BYTES:])
    text = value.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        try:
            return _document(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _lines(text)
    if _is_otlp(value):
        return OTLP_PROTO
    if _is_influx(value):
        return INFLUX
    return None


def _framed(body: bytes) -> Guess:
    """Return the format of the bytes behind the id of a schema."""
    if body[:1] in (b"{", b"["):
        return FRAMED_JSON
    return FRAMED_PROTOBUF if _is_protobuf(body) else FRAMED_AVRO


def _is_protobuf(body: bytes) -> bool:
    """Tell if a message follows on the index of its type: a zero byte stands for the first."""
    # Other types have a list of numbers, of which each is below ten in all but odd schemas.
    begin = 1 if body[:1] == b"\x00" else 1 + (body[0] >> 1)
    message = memoryview(body)[begin:]
    try:
        numbers = [number for number, _, _ in fields(message)]
    except WireError:
        return False
    return bool(numbers) and max(numbers) < _LARGEST_FIELD


def _lines(text: bytes) -> Guess | None:
    """Return the format of several JSON documents, one a line."""
    try:
        first, *_ = msgspec.json.Decoder().decode_lines(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    return _document(first)


def _document(document: Any) -> Guess | None:
    if isinstance(document, list):
        if document and all(isinstance(item, Mapping) for item in document):
            return _member(document[0])
        return None
    if not isinstance(document, Mapping):
        return None
    metrics = document.get("metrics")
    if isinstance(metrics, list) and metrics and isinstance(metrics[0], Mapping):
        return TELEGRAF if "fields" in metrics[0] else JSON
    return _member(document)


def _member(record: Mapping[str, Any]) -> Guess:
    if isinstance(record.get("resourceMetrics"), list):
        return OTLP_JSON
    if isinstance(record.get("dsnames"), list) and isinstance(record.get("values"), list):
        return COLLECTD
    if isinstance(record.get("fields"), Mapping) and isinstance(record.get("name"), str):
        return TELEGRAF
    if isinstance(record.get("labels"), Mapping) and {"name", "value"} <= record.keys():
        return PROMETHEUS
    if record.keys() == {"schema", "payload"}:
        return CONNECT
    return JSON


def _is_otlp(value: bytes) -> bool:
    try:
        point = next(_otlp_proto.read_points(value, bool), None)
    except (WireError, ValueError):
        return False
    return point is not None and bool(point.metric) and point.metric.isprintable()


def _is_influx(value: bytes) -> bool:
    try:
        return next(parse_lines(value.decode()), None) is not None
    except (Refused, UnicodeDecodeError):
        return False
