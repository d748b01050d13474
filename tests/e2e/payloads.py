"""Captured records of real programs, and longer histories of the same form."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.kafka_client import Send
from tests.conftest import SHARED, lacking
from tests.e2e.service import ROOT

PAYLOADS = SHARED / "payloads"
PAGE = ROOT / "docs" / "from-other-programs.md"
KEYS = {
    "telegraf-influx": ["web-1"],
    "telegraf-json": ["web-1", "web-2", "web-3", "web-4"],
    "telegraf-json-nokey": ["web-1", "web-2"],
    "otelcol-otlp-proto": ["app-1", "app-2", "app-3"],
    "otelcol-otlp-proto-keyed": ["app-1", "app-2", "app-3"],
    "otelcol-otlp-json": ["app-1"],
    "prometheus-kafka-adapter": ["127.0.0.1:19100", "127.0.0.1:19101", "127.0.0.1:19102"],
    "collectd-json": ["edge-1"],
}
"""Hosts of each set, in words that the programs' users know them by."""

_NANOSECONDS = re.compile(rb"\b(1[6-9]\d{17})\b")
_OTLP_TIME = re.compile(rb'("timeUnixNano":")(\d{19})')
_SECONDS = re.compile(rb'("time(?:stamp)?":)(1[6-9]\d{8})')
_ISO = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_PROTO_TIME = re.compile(rb"\x19(.{7}\x18)", re.DOTALL)
"""Field 3 of a data point: nanoseconds whose highest byte is that of the years 2024 to 2026."""


def settings_of_page() -> dict[str, dict[str, Any]]:
    """Settings of each set of records that the page names above a block."""
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- records: (.*?) -->\n```toml\n(.*?)```", page, re.DOTALL)
    return {name: tomllib.loads(text) for names, text in blocks for name in names.split(", ")}


def captured(name: str, file: str = "records.jsonl") -> list[Send]:
    """The records of a set as they lay in Kafka; skips where the sets are not there."""
    path = PAYLOADS / name / file
    if not path.is_file():
        lacking("data", f"../shared/payloads/{name} is not there")
    return list(_read(path))


def _read(path: Path) -> Iterator[Send]:
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        yield Send(
            _bytes(record, "key"),
            _bytes(record, "value"),
            record["timestamp_ms"],
            record["partition"],
            tuple((name, value.encode()) for name, value in record["headers"]),
        )


def _bytes(record: dict[str, str], name: str) -> bytes | None:
    if f"{name}_hex" in record:
        return bytes.fromhex(record[f"{name}_hex"])
    text = record.get(name)
    return None if text is None else text.encode()


def shifted(records: list[Send], seconds: int) -> list[Send]:
    """The same records so many seconds later; starts of counters stay where they are."""
    return [
        record._replace(
            value=_shift(record.value or b"", seconds),
            timestamp_ms=record.timestamp_ms + 1000 * seconds,
        )
        for record in records
    ]


def _shift(value: bytes, seconds: int) -> bytes:
    if value.lstrip()[:1] not in (b"{", b"["):
        if not value.isascii():
            return _PROTO_TIME.sub(lambda match: _later_bytes(match, seconds), value)
        return _NANOSECONDS.sub(lambda match: b"%d" % (int(match[1]) + seconds * 10**9), value)
    for pattern, unit in ((_OTLP_TIME, 10**9), (_SECONDS, 1)):
        value = pattern.sub(lambda m, unit=unit: m[1] + b"%d" % (int(m[2]) + seconds * unit), value)
    return _ISO.sub(lambda match: _later_text(match, seconds), value)


def _later_bytes(match: re.Match[bytes], seconds: int) -> bytes:
    (time_ns,) = struct.unpack("<Q", match[1])
    return b"\x19" + struct.pack("<Q", time_ns + seconds * 10**9)


def _later_text(match: re.Match[bytes], seconds: int) -> bytes:
    return (
        (datetime.fromisoformat(match[0].decode()) + timedelta(seconds=seconds))
        .isoformat()
        .encode()
    )
