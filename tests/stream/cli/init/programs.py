"""Records as programs write them: twins of the captured sets, where those are not there, and more.

Every set has three hosts, ten seconds, and a record or more of each host a second.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BEGIN = 1_795_971_800
HOSTS = ("web-1", "web-2", "web-3")
SECONDS = 40
PARTITIONS = 4


class Line(NamedTuple):
    """Record of a topic."""

    key: bytes | None
    value: bytes
    second: int


def _moments() -> Iterator[tuple[int, str, random.Random]]:
    noise = random.Random(7)
    for second in range(SECONDS):
        for host in HOSTS:
            yield second, host, noise


def telegraf(key: Callable[[str], bytes | None]) -> Iterator[Line]:
    """Telegraf with `data_format = "json"`."""
    for second, host, noise in _moments():
        tags = {"host": host}
        for name, fields in (
            ("cpu", {"usage_idle": 90 + noise.random(), "usage_user": noise.random()}),
            ("net", {"bytes_recv": 1_000 * second + noise.randrange(900), "err_in": 0}),
            ("system", {"uptime": 5_000 + second, "uptime_format": "1:23"}),
        ):
            value = {"name": name, "tags": tags, "fields": fields, "timestamp": BEGIN + second}
            yield Line(key(host), json.dumps(value).encode(), second)


def influx(key: Callable[[str], bytes | None]) -> Iterator[Line]:
    """Telegraf as it comes: line protocol."""
    for second, host, noise in _moments():
        stamp = (BEGIN + second) * 10**9
        yield Line(key(host), f"cpu,host={host} idle={noise.random()} {stamp}".encode(), second)
        yield Line(key(host), f"disk,host={host},path=/ used={second}i {stamp}".encode(), second)


def otlp(key: Callable[[str], bytes | None]) -> Iterator[Line]:
    """OpenTelemetry Collector with `encoding: otlp_json`."""
    for second, host, noise in _moments():
        point = {"timeUnixNano": str((BEGIN + second) * 10**9)}
        state = {"attributes": [{"key": "state", "value": {"stringValue": "idle"}}]}
        cpu = {**point, **state, "asDouble": second + noise.random(), "startTimeUnixNano": "1"}
        total = {"dataPoints": [cpu], "aggregationTemporality": 2, "isMonotonic": True}
        metrics = [
            {"name": "system.cpu.time", "sum": total},
            {"name": "load", "gauge": {"dataPoints": [{**point, "asDouble": noise.random()}]}},
        ]
        name = {"key": "host.name", "value": {"stringValue": host}}
        resource = {"attributes": [name]}
        document = {
            "resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]
        }
        yield Line(key(host), json.dumps(document).encode(), second)


def prometheus(key: Callable[[str], bytes | None]) -> Iterator[Line]:
    """The adapter of Prometheus' remote_write."""
    for second, host, noise in _moments():
        for name, number in (("node_load1", noise.random()), ("node_forks_total", 3 * second)):
            labels = {"__name__": name, "instance": f"{host}:9100", "job": "node"}
            time = f"2026-11-29T17:03:{second + 20:02d}Z" if second < 40 else ""
            value = {"labels": labels, "name": name, "timestamp": time, "value": str(number)}
            yield Line(key(host), json.dumps(value).encode(), second)


def collectd(key: Callable[[str], bytes | None]) -> Iterator[Line]:
    """collectd's `write_kafka`."""
    for second, host, noise in _moments():
        value = {
            "values": [noise.random()],
            "dstypes": ["gauge"],
            "dsnames": ["value"],
            "time": BEGIN + second + 0.066,
            "interval": 1.0,
            "host": host,
            "plugin": "load",
            "plugin_instance": "",
            "type": "load",
            "type_instance": "",
        }
        yield Line(key(host), json.dumps([value]).encode(), second)


def readings(key: Callable[[str], bytes | None], **more: Any) -> Iterator[Line]:
    """Records of an application of one's own: flat JSON."""
    for number, (second, host, noise) in enumerate(_moments()):
        value = {
            "timestamp": (BEGIN + second) * 1000,
            "device": host,
            "pressure": noise.gauss(3, 1),
            "running": second % 7 > 0,
            "message_id": 10_000 + number,
            "cycles_total": 5 * second + noise.randrange(5),
            **more,
        }
        yield Line(key(host), json.dumps(value).encode(), second)


def by_host(host: str) -> bytes:
    """The host is the Kafka key."""
    return host.encode()


def by_nothing(_host: str) -> None:
    """There is no Kafka key."""


def by_hash(host: str) -> bytes:
    """The Kafka key is a hash of the host."""
    return hashlib.md5(host.encode()).digest()


def by_chance() -> Callable[[str], bytes]:
    """Each record has a Kafka key of its own."""
    noise = random.Random(3)
    return lambda _host: b"%08X" % noise.getrandbits(32)


def partition_of(line: Line, number: int) -> int:
    """Place a record as a producer does: by its Kafka key, else in turn."""
    if line.key is None:
        return number % PARTITIONS
    return hashlib.md5(line.key).digest()[0] % PARTITIONS


def write_dump(path: Path, lines: Iterator[Line], topic: str = "metrics") -> Path:
    """Write a dump as `kcat -J` prints it, but that bytes stand in hexadecimal digits."""
    with path.open("w", encoding="utf-8") as file:
        for number, line in enumerate(lines):
            record: dict[str, Any] = {
                "topic": topic,
                "partition": partition_of(line, number),
                "offset": number,
                "ts": (BEGIN + line.second) * 1000 + 400,
            }
            record |= _bytes("key", line.key) | _bytes("payload", line.value)
            file.write(json.dumps(record) + "\n")
    return path


def _bytes(name: str, value: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_hex": (value or b"").hex()}
