"""One row of a key as the messages that each program would send of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stream.codecs import encode_json
from stream.records import rfc3339

_FIELDS: Final = 2  # of one metric: Telegraf's plugins write some fields together

Row = tuple[bytes, int, Sequence[str], Sequence[float]]
"""Key, event time in microseconds, channels and their values."""


class Format(NamedTuple):
    """Format of a program: its codec, the key's field, and the messages of a row."""

    codec: str
    key: str
    messages: Callable[[Row], Iterator[bytes]]


def _json(row: Row) -> Iterator[bytes]:
    key, time_us, channels, values = row
    yield encode_json(key, time_us, channels, values)


def _groups(row: Row) -> Iterator[tuple[str, dict[str, float]]]:
    _, _, channels, values = row
    for begin in range(0, len(channels), _FIELDS):
        part = slice(begin, begin + _FIELDS)
        yield f"plugin{begin}", dict(zip(channels[part], values[part], strict=True))


def _telegraf(row: Row) -> Iterator[bytes]:
    host, seconds = row[0].decode(), row[1] // 1_000_000
    for name, fields in _groups(row):
        metric = {"fields": fields, "name": name, "tags": {"host": host}, "timestamp": seconds}
        yield json.dumps(metric).encode()


def _influx(row: Row) -> Iterator[bytes]:
    for name, fields in _groups(row):
        text = ",".join(f"{field}={value}" for field, value in fields.items())
        yield f"{name},host={row[0].decode()} {text} {1000 * row[1]}\n".encode()


def _prometheus(row: Row) -> Iterator[bytes]:
    key, time_us, channels, values = row
    for channel, value in zip(channels, values, strict=True):
        labels = {"__name__": channel, "instance": key.decode(), "job": "fleet"}
        time = rfc3339(time_us // 1_000_000 * 1_000_000)
        sample = {"labels": labels, "name": channel, "timestamp": time, "value": str(value)}
        yield json.dumps(sample).encode()


def _collectd(row: Row) -> Iterator[bytes]:
    key, time_us, channels, values = row
    for channel, value in zip(channels, values, strict=True):
        value_list = {
            "values": [value],
            "dstypes": ["gauge"],
            "dsnames": ["value"],
            "time": time_us / 1e6,
            "interval": 10.0,
            "host": key.decode(),
            "plugin": "fleet",
            "plugin_instance": "",
            "type": channel,
            "type_instance": "",
        }
        yield json.dumps([value_list]).encode()


def _otlp(row: Row) -> Iterator[bytes]:
    key, time_us, channels, values = row
    metrics = [
        _block(2, _block(1, channel.encode()) + _block(5, _block(1, _point(1000 * time_us, value))))
        for channel, value in zip(channels, values, strict=True)
    ]
    host = _block(1, _block(1, b"host.name") + _block(2, _block(1, key)))
    yield _block(1, _block(1, host) + _block(2, b"".join(metrics)))


def _point(time_ns: int, value: float) -> bytes:
    """Encode a data point: fields 3 and 4 have eight bytes each."""
    return b"\x19" + struct.pack("<Q", time_ns) + b"\x21" + struct.pack("<d", value)


def _block(number: int, content: bytes) -> bytes:
    """Encode a field of protobuf with bytes in it."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


FORMATS: Final[Mapping[str, Format]] = {
    "json": Format("json", "", _json),
    "telegraf": Format("telegraf", "tags.host", _telegraf),
    "influx": Format("influx", "tags.host", _influx),
    "collectd": Format("collectd", "host", _collectd),
    "prometheus": Format("prometheus", "labels.instance", _prometheus),
    "otlp": Format("otlp", 'resource["host.name"]', _otlp),
}
"""Formats by name; `json` is the wide one, with a row in a message."""
