"""`ember init` on JSON of one's own: where time, key and channels stand in the records."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stream import cli
from tests.stream.cli.init.programs import BEGIN, PARTITIONS

COUNT = 400
NOISE = random.Random(5)


def write(
    records: list[Any], key: Callable[[Any], str | None] = lambda _: None, partitions: int = 1
) -> Path:
    """Write a dump of records that came ten a second."""
    path = Path("dump.jsonl")
    with path.open("w") as file:
        for number, record in enumerate(records):
            name = key(record)
            line = {
                "topic": "plant",
                "partition": sum((name or "").encode()) % partitions,
                "offset": number,
                "ts": (BEGIN + number // 10) * 1000 + 300,
                "key": name,
                "payload": json.dumps(record),
            }
            file.write(json.dumps(line) + "\n")
    return path


def init(*arguments: object) -> dict[str, Any]:
    assert cli.main(["init", *map(str, arguments), "--force"]) == 0
    assert cli.main(["config", "check"]) == 0
    return tomllib.loads(Path("ember.toml").read_text())


def second(number: int) -> int:
    return BEGIN + number // 10


def text(number: int, form: str, hours: int = 0) -> str:
    moment = datetime.fromtimestamp(second(number), UTC) + timedelta(hours=hours)
    return moment.strftime(form)


TIMES: dict[str, tuple[Callable[[int], dict[str, Any]], dict[str, str]]] = {
    "seconds": (lambda n: {"ts": second(n)}, {}),
    "text": (lambda n: {"time": text(n, "%Y-%m-%dT%H:%M:%SZ")}, {"time": "time"}),
    "camel case": (lambda n: {"eventTimestamp": second(n) * 1000}, {"time": "eventTimestamp"}),
    "in an object": (lambda n: {"meta": {"@timestamp": second(n)}}, {"time": "meta.@timestamp"}),
    "beside a date of birth": (
        lambda n: {"created_at": BEGIN - 9_000_000, "measured": 1, "timestamp": second(n) * 1000},
        {"time": "timestamp"},
    ),
    "day first": (
        lambda n: {"date": text(n, "%d/%m/%Y %H:%M:%S")},
        {"time": "date", "time_format": "%d/%m/%Y %H:%M:%S"},
    ),
    "month first": (
        lambda n: {"date": text(n, "%m/%d/%Y %I:%M:%S %p")},
        {"time": "date", "time_format": "%m/%d/%Y %I:%M:%S %p"},
    ),
    "local, without an offset": (
        lambda n: {"time": text(n, "%Y-%m-%d %H:%M:%S", hours=2)},
        {"time": "time", "time_zone": "Etc/GMT-2"},
    ),
    "days of a spreadsheet": (
        lambda n: {"time": 25_569 + second(n) / 86_400},
        {"time": "time", "time_unit": "excel"},
    ),
    "of another name": (
        lambda n: {"gemessen": text(n, "%Y-%m-%dT%H:%M:%SZ")},
        {"time": "gemessen"},
    ),
    "none": (lambda _: {}, {"time": ""}),
}


@pytest.mark.parametrize("name", TIMES)
def test_the_time_is_found(name: str) -> None:
    make, expected = TIMES[name]
    records = [{**make(n), "host": f"h{n % 10}", "cpu": NOISE.random()} for n in range(COUNT)]
    written = init(write(records, lambda record: record["host"]))
    assert written["input"] == {"topics": ["plant"], "codec": "json", **expected}


def _list(number: int) -> dict[str, Any]:
    samples = [{"ts": second(number) + k / 10, "cpu": NOISE.random()} for k in range(3)]
    return {"gateway": "g", "host": f"h{number % 10}", "samples": samples}


SHAPES: dict[str, tuple[Callable[[int], Any], dict[str, str]]] = {
    "flat": (lambda n: {"host": f"h{n % 10}", "cpu": NOISE.random()}, {}),
    "by default": (lambda n: {"host": f"h{n % 10}", "values": {"cpu": NOISE.random()}}, {}),
    "an object": (
        lambda n: {"host": f"h{n % 10}", "metrics": {"cpu": NOISE.random()}},
        {"values": "metrics"},
    ),
    "Kafka Connect": (
        lambda n: {
            "schema": {"type": "struct", "fields": [{"field": "cpu", "optional": False}]},
            "payload": {"ts": second(n), "host": f"h{n % 10}", "cpu": NOISE.random()},
        },
        {"time": "payload.ts", "values": "payload"},
    ),
    "Debezium": (
        lambda n: {
            "before": None,
            "after": {"ts": second(n) * 1000, "host": f"h{n % 10}", "cpu": NOISE.random()},
            "source": {"lsn": n, "table": "readings"},
            "op": "c",
        },
        {"time": "after.ts", "values": "after"},
    ),
    "decimal commas": (
        lambda n: {"host": f"h{n % 10}", "cpu": f"{NOISE.random():.2f}".replace(".", ",")},
        {"decimal": ","},
    ),
    "a list of records": (_list, {"records": "samples"}),
    "a list": (lambda n: [{"host": f"h{n % 10}", "cpu": NOISE.random()}] * 2, {}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_channels_are_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, expected = SHAPES[name]
    records = [make(n) for n in range(COUNT)]
    for n, record in enumerate(records):
        if "ts" not in json.dumps(record):
            for each in record if isinstance(record, list) else [record]:
                each["ts"] = second(n)
    dump = write(records, lambda record: None)
    assert cli.main(["init", str(dump), "--json", "--force"]) == 0
    answer = json.loads(capsys.readouterr().out)
    holder = expected.get("values", "")
    key = f"{holder}.host" if holder in ("payload", "after") else "host"
    assert answer["input"] == {
        "topics": ["plant"],
        "codec": "json",
        **expected,
        "key": key,
        "key_from": "record",
    }
    assert [channel["name"] for channel in answer["channels"]] == ["cpu"]


def reading(number: int) -> dict[str, Any]:
    return {"ts": second(number), "cpu": NOISE.random()}


KEYS: dict[str, tuple[Callable[[int], dict[str, Any]], Callable[[Any], str | None], str, str]] = {
    "Kafka keys are hosts": (lambda n: {"host": f"h{n % 10}"}, lambda r: r["host"], "", "kafka"),
    "Kafka keys are longer names of hosts": (
        lambda n: {"host": f"h{n % 10}"},
        lambda r: f"plant/{r['host']}",
        "",
        "kafka",
    ),
    "Kafka keys are hashes of hosts": (
        lambda n: {"host": f"h{n % 10}"},
        lambda r: f"{hash(r['host']) % 2**64:016x}",
        "host",
        "record",
    ),
    "one Kafka key of all hosts": (
        lambda n: {"host": f"h{n % 10}"},
        lambda _: "eu-west",
        "host",
        "record",
    ),
    "one Kafka key, and a field of no known name": (
        lambda n: {"windmill": f"m{n % 10}"},
        lambda _: "eu-west",
        "windmill",
        "record",
    ),
    "Kafka keys in quotes": (
        lambda n: {"device": f"d{n % 10}"},
        lambda r: json.dumps(r["device"]),
        "device",
        "record",
    ),
    "some without a Kafka key": (
        lambda n: {"host": f"h{n % 10}", "n": n},
        lambda r: r["host"] if r["n"] % 3 else None,
        "host",
        "kafka",
    ),
    "some without the field": (
        lambda n: {"host": f"h{n % 10}"} if n % 10 < 7 else {},
        lambda r: f"key-{r.get('host', 'x')}",
        "",
        "kafka",
    ),
    "no Kafka key, two fields that make one": (
        lambda n: {"site": f"s{n % 2}", "unit": f"u{n // 2 % 5}"},
        lambda _: None,
        'site + "/" + unit',
        "record",
    ),
    "a number": (
        lambda n: {"deviceId": n % 10, "mode": "auto" if n % 3 else "manual"},
        lambda _: None,
        "deviceId",
        "record",
    ),
    "an object of a host beside others": (
        lambda n: {
            "agent": {"name": f"h{n % 10}", "version": "8.1"},
            "metricset": {"name": ("cpu", "load")[n // 10 % 2]},
            "host": {"name": f"h{n % 10}", "id": f"{n % 10:032x}"},
            "system": {("cpu", "load")[n // 10 % 2]: {"share": NOISE.random()}},
        },
        lambda _: None,
        "host.name",
        "record",
    ),
    "a metric a record": (
        lambda n: {"cpu": n, "host": f"h{n % 5}", "metric": ("cpu", "mem")[n // 5 % 2]},
        lambda _: None,
        'host + "/" + metric',
        "record",
    ),
    "a name that is not that of a host": (
        lambda n: {"name": f"m{n % 4}", "tags": {"host": f"h{n % 10}"}},
        lambda _: None,
        "tags.host",
        "record",
    ),
    "a state": (
        lambda n: {"ts": BEGIN + n, "state": "ok" if n % 30 else "warning"},
        lambda _: None,
        '"plant"',
        "record",
    ),
    "nothing names a stream": (lambda _: {}, lambda _: None, '"plant"', "record"),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_key_is_found(name: str) -> None:
    make, kafka_key, key, key_from = KEYS[name]
    records = [{**reading(n), **make(n)} for n in range(COUNT)]
    written = init(write(records, kafka_key))["input"]
    assert (written.get("key", ""), written.get("key_from", "kafka")) == (key, key_from)


def test_a_large_fleet_has_names_though_few_repeat() -> None:
    """A record or two of each host in the sample."""
    records = [{**reading(n), "host": f"host-{n * 7 % 300}"} for n in range(COUNT)]
    assert init(write(records))["input"]["key"] == "host"
    few = [{"ts": BEGIN + n, "cpu": NOISE.random()} for n in range(100)]
    names = iter(range(100))
    written = init(write(few, lambda _: f"pump-{next(names)}"))["input"]
    assert "key" not in written


def test_keys_in_several_partitions_are_re_keyed() -> None:
    records = [{**reading(n), "host": f"h{n % 10}", "n": n} for n in range(COUNT)]
    one = init(write(records, lambda record: record["host"], PARTITIONS))["input"]
    assert "rekey" not in one
    many = init(write(records, lambda record: str(record["n"]), PARTITIONS))["input"]
    assert (many["key"], many["rekey"]) == ("host", True)


def test_parts_of_a_row_are_put_together() -> None:
    parts = ("cpu", "mem", "disk", "net")
    records = [
        {"ts": BEGIN + number // 40 * 15, "host": f"h{number % 10}", part: NOISE.random()}
        for number, part in ((n, parts[n // 10 % 4]) for n in range(COUNT))
    ]
    window = init(write(records, lambda record: record["host"]))["window"]
    assert window == {"mode": "time", "interval_seconds": 15, "allowed_lateness_seconds": 5}


def test_records_out_of_order_have_an_interval_and_time_to_come() -> None:
    records = [{**reading(n), "host": f"h{n % 10}"} for n in range(COUNT)]
    for record in records[::7]:
        record["ts"] -= 20.5
    window = init(write(records, lambda record: record["host"]))["window"]
    assert window.pop("allowed_lateness_seconds") > 20
    assert window == {"mode": "time", "interval_seconds": 1}
