"""Findings of `ember doctor` about records: each kind of trouble names the setting to change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ember_core.rows import RecipeChannel, RowRecipe
from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.findings import Check
from stream.cli.doctor.key_checks import are_random, kind_of_key
from stream.cli.doctor.sample import examine_records
from stream.settings import Settings

NOW = int(time.time())


def record(value: object, key: bytes | None = b"web-1", **more: Any) -> Any:
    """A record as the worker's client has it; objects are written as JSON."""
    data = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    fields = {"timestamp": NOW * 1000, "offset": 0, "partition": 0, "headers": ()}
    return SimpleNamespace(key=key, value=data, **{**fields, **more})


def found(
    records: Sequence[Any], *, model: Any = None, window: Any = None, **source: Any
) -> list[Check]:
    """Findings that are not fine."""
    settings = Settings.load(input={"topics": ["telemetry"], **source}, window=window or {})
    evidence = Evidence(settings, "telemetry", records, model, NOW * 1000)
    return [check for check in examine_records(evidence) if check.status != "ok"]


def wide(seconds: float = 0.0, **values: Any) -> dict[str, Any]:
    return {"ts": NOW + seconds, "values": values or {"cpu": 0.5, "mem": 1.0}}


def fixes(checks: Sequence[Check]) -> str:
    return " ".join(f"{check.detail} {check.fix}" for check in checks)


def influx(count: int = 40, hosts: int = 2) -> Iterator[bytes]:
    for i in range(count):
        moment = (NOW - count + i) * 10**9
        yield f"cpu,host=web-{i % hosts} idle={i}.5,user=2 {moment}".encode()


def telegraf(i: int, metric: str, **fields: float) -> dict[str, Any]:
    return {"name": metric, "tags": {"host": "web-1"}, "fields": fields, "timestamp": NOW - 40 + i}


def test_good_records_have_no_finding() -> None:
    records = [record(wide(i - 40), b"web-%d" % (i % 3)) for i in range(40)]
    assert found(records) == []


@pytest.mark.parametrize(
    ("values", "codec"),
    [
        (list(influx()), "influx"),
        ([telegraf(i, "cpu", idle=1.0) for i in range(5)], "telegraf"),
        (
            [
                {"name": "up", "labels": {"instance": "a"}, "value": "1", "timestamp": NOW + i}
                for i in range(5)
            ],
            "prometheus",
        ),
        (
            [
                [
                    {
                        "values": [1],
                        "dstypes": ["gauge"],
                        "dsnames": ["value"],
                        "time": NOW + i,
                        "interval": 1.0,
                        "host": "edge-1",
                        "plugin": "load",
                        "plugin_instance": "",
                        "type": "load",
                        "type_instance": "",
                    }
                ]
                for i in range(5)
            ],
            "collectd",
        ),
        ([{"resourceMetrics": []} for _ in range(5)], "otlp"),
        ([b'\x00\x00\x00\x00\x07{"ts":1}' for _ in range(5)], "json_schema"),
    ],
    ids=["influx", "telegraf", "prometheus", "collectd", "otlp", "framed"],
)
def test_the_codec_is_told_from_the_bytes(values: list[Any], codec: str) -> None:
    checks = found([record(value) for value in values])
    assert f'Set input.codec = "{codec}".' in fixes(checks)


def test_the_key_is_named_together_with_the_codec() -> None:
    checks = found([record(value, None) for value in influx()])
    assert [check.fix for check in checks] == [
        'Set input.codec = "influx".',
        'Set input.key = "tags.host", or let the producer set the key.',
    ]


def test_a_registry_is_named_together_with_the_codec() -> None:
    text = fixes(found([record(b"\x00\x00\x00\x00\x07\x02\x04abc")] * 5))
    assert 'Set input.codec = "avro", and input.schema_registry_url' in text


def test_the_envelope_of_kafka_connect_is_recognised() -> None:
    value = {"schema": {"type": "struct"}, "payload": {"ts": NOW, "cpu": 1.0}}
    assert 'Set input.values = "payload".' in fixes(found([record(value)] * 3))


def test_values_that_the_program_compressed_have_no_codec() -> None:
    assert "compressed with gzip" in fixes(found([record(b"\x1f\x8b\x08\x00abc")] * 3))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (None, "none"),
        (b"", "none"),
        (b"web-1", "text"),
        ("zürich".encode(), "text"),
        (bytes.fromhex("c7b6778eb86379f8652ef878080e24a4"), "binary"),
        (b'"web-1"', "quoted"),
        (b'{"id":1}', "document"),
        (b"\x00\x00\x00\x00\x05\x0aweb-1", "framed"),
    ],
)
def test_the_form_of_a_key(key: bytes | None, kind: str) -> None:
    assert kind_of_key(key) == kind


@pytest.mark.parametrize(
    "key",
    [bytes.fromhex("c7b6778eb86379f8652ef878080e24a4"), b'"web-1"', b'{"id":1}', b"\0\0\0\0\1abc"],
)
def test_keys_that_are_no_names_are_taken_from_the_record(key: bytes) -> None:
    records = [record(value, key) for value in influx()]
    checks = found(records, codec="influx")
    assert "Set input.key_from = 'record' and input.key = \"tags.host\"" in fixes(checks)
    assert found(records, codec="influx", key="tags.host", key_from="record") == []


def test_keys_that_never_repeat_are_no_names() -> None:
    records = [record(value, b"%08X" % (i * 7919)) for i, value in enumerate(influx())]
    checks = found(records, codec="influx")
    assert "they do not name streams" in fixes(checks)
    assert 'input.key = "tags.host"' in fixes(checks)


def test_codec_key_and_rekeying_are_named_at_once() -> None:
    """As an agent of many hosts sends it: no keys, and the records of a host anywhere."""
    records = [record(value, None, partition=i % 3) for i, value in enumerate(influx())]
    text = fixes(found(records))
    assert 'Set input.codec = "influx".' in text
    assert 'Set input.key = "tags.host"' in text
    assert "Set input.rekey = true." in text
    assert found(records, codec="influx", key="tags.host", rekey=True) == []


def test_a_key_in_two_partitions_is_no_trouble_where_records_are_rekeyed() -> None:
    records = [record(wide(i - 40), partition=i % 2) for i in range(40)]
    assert "producers hash differently" in fixes(found(records))
    assert found(records, rekey=True) == []


def test_a_field_is_named_where_there_is_no_key() -> None:
    records = [record({**wide(i - 40), "device": f"d{i % 4}"}, None) for i in range(40)]
    checks = found(records)
    assert checks[0].status == "fail"
    assert 'Set input.key = "device"' in checks[0].fix


def test_a_field_that_the_records_lack_is_named() -> None:
    records = [record(value, None) for value in influx()]
    assert "no `tags.hsot`" in fixes(found(records, codec="influx", key="tags.hsot"))


def test_the_models_keys_and_those_of_the_records_are_compared() -> None:
    model = SimpleNamespace(recipe=None, sources=["cpu", "mem"], keys=[b"web-1.example.com"])
    checks = found([record(wide(i - 40)) for i in range(40)], model=model)
    assert "the domain: records have 'web-1', the model 'web-1.example.com'" in checks[0].detail


def test_records_of_one_time_need_windows_of_time() -> None:
    records = [
        record(telegraf(i, metric, **{f"f{n}": 1.0 for n in range(2)}))
        for i in range(40)
        for metric in ("cpu", "mem", "disk")
    ]
    checks = found(records, codec="telegraf", window={"mode": "count"})
    assert 'Set window.mode = "time" and window.interval_seconds = 1.' in fixes(checks)
    assert found(records, codec="telegraf", window={"mode": "time"}) == []


def test_an_interval_shorter_than_the_producers_is_named() -> None:
    records = [record(wide(30 * i - 1200)) for i in range(40)]
    checks = found(records, window={"mode": "time", "interval_seconds": 10})
    assert "Set window.interval_seconds = 30 or more." in fixes(checks)


@pytest.mark.parametrize(("unit", "scale"), [("ms", 1), ("s", 1e3), ("us", 1)])
def test_a_wrong_unit_is_named(unit: str, scale: float) -> None:
    records = [record({"ts": int((NOW + i - 9) * scale), "values": {"cpu": 1.0}}) for i in range(9)]
    checks = found(records, time_unit=unit)
    assert "Set input.time_unit" in fixes(checks)


@pytest.mark.parametrize("hours", [-5.5, -1, 2])
def test_local_times_without_a_zone_are_recognised(hours: float) -> None:
    records = [record(wide(hours * 3600 - i)) for i in range(20)]
    checks = found(records)
    assert f"Event times are {abs(hours):g} h" in fixes(checks)
    assert "local times without a zone" in fixes(checks)


def test_channels_that_are_absent_have_a_near_name() -> None:
    model = SimpleNamespace(recipe=None, sources=["cpu_usage", "mem"], keys=[])
    records = [record(wide(i - 9, **{"cpu.usage": 0.5, "mem": 1.0})) for i in range(9)]
    assert "cpu_usage (there is cpu.usage)" in fixes(found(records, model=model))


def test_records_without_a_kafka_timestamp() -> None:
    checks = found([record(wide(), timestamp=-1)] * 3)
    assert "no Kafka timestamp" in fixes(checks)


def test_counters_that_a_model_uses_by_their_values_are_named() -> None:
    records = [record(wide(i - 40, requests_total=10.0 * i + i % 3, cpu=0.5)) for i in range(40)]
    model = SimpleNamespace(recipe=None, sources=["requests_total", "cpu"], keys=[b"web-1"])
    checks = found(records, model=model)
    assert "1 channels only rise, and the model uses their values: requests_total" in fixes(checks)
    recipe = RowRecipe((RecipeChannel("requests", "requests_total", "rate"),))
    model = SimpleNamespace(recipe=recipe, sources=["requests_total", "cpu"], keys=[b"web-1"])
    assert found(records, model=model) == []


def test_names_of_a_large_fleet_are_not_random() -> None:
    """Of each host there is one record among a few; keys that are drawn look otherwise."""
    assert not are_random([b"pump-%d" % number for number in range(100)])
    assert are_random([b"%08X" % (number * 7919) for number in range(100)])
    assert are_random([b"pump-%d" % number for number in range(3_000)])
    assert not are_random([b"%08X" % (number % 10) for number in range(100)])
