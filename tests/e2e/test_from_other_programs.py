"""Records of real programs, sent as captured, are scored by the settings of their page."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send, committed_offsets
from stream.codecs import ChannelFinder, make_codec
from stream.rekeying import rekey_group
from stream.settings import Settings
from stream.tools.log_record import LogRecord
from tests.broker.conftest import Broker
from tests.e2e.payloads import KEYS, captured, settings_of_page, shifted
from tests.e2e.service import Service, ember, last_json, wait_until

META = b"\x00ember.meta"
PARTITIONS = 4
ROWS = 140
"""Rows of each key in the history; training needs 128."""
ACCEPTED = {"scored", "warming", "windowed", "late", "no_channels"}
"""Outcomes that say nothing against key or format."""


def to_toml(settings: dict[str, dict[str, Any]]) -> str:
    sections = []
    for section, values in settings.items():
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        sections.append("\n".join([f"[{section}]", *lines]))
    return "\n".join(sections)


def write_config(path: Path, page: dict[str, Any], broker: Broker, topic: str, model: Path) -> Path:
    """The settings of the page, for this broker, topic and model."""
    settings = {
        **page,
        "kafka": {"bootstrap_servers": broker.bootstrap, "group": f"{topic}-group"},
        "input": {**page["input"], "topics": [topic], "start": "earliest"},
        "model": {"path": str(model)},
        "checkpoint": {"interval_seconds": 0.4},
        "state": {"max_keys": 100, "standby_replicas": 0},
        "http": {"port": 0},
    }
    path.write_text(to_toml(settings))
    return path


def history(records: list[Send], interval: int, hosts: int) -> list[Send]:
    """The same records again and again before themselves, a row of each key or more each time."""
    stamps = [record.timestamp_ms // 1000 for record in records]
    step = interval * (1 + (max(stamps) - min(stamps)) // interval)
    # One host has a row for each interval of the records; several share them in unknown ways.
    each = len({stamp // interval for stamp in stamps}) if hosts == 1 else 1
    return [r for k in range(ROWS // each + 1, 0, -1) for r in shifted(records, -k * step)]


def test_the_page_has_settings_for_every_set() -> None:
    assert KEYS.keys() <= settings_of_page().keys()


@pytest.mark.parametrize("name", settings_of_page())
def test_settings_of_the_page_are_valid(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ember.toml"
    path.write_text(to_toml(settings_of_page()[name]))
    assert Settings.load(path).input.topics


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("name", KEYS)
def test_captured_records_become_scored_rows_of_their_hosts(
    kafka: Broker, name: str, tmp_path: Path
) -> None:
    """A model is trained on the topic, by the settings of the page; then the capture is scored."""
    page = settings_of_page()[name]
    records = captured(name)
    interval = int(page["window"]["interval_seconds"])
    step = 60 * (1 + (max(r.timestamp_ms for r in records) - records[0].timestamp_ms) // 60_000)
    topic, past = kafka.name(name), kafka.name(f"{name}-past")
    # The broker deletes records by their own timestamps, which are those of the capture.
    kafka.create({topic: PARTITIONS, past: PARTITIONS}, {"retention.ms": "-1"})
    kafka.produce(past, history(records, interval, len(KEYS[name])))
    # Later records close the last intervals of the capture.
    kafka.produce(topic, [*records, *shifted(records, step), *shifted(records, 2 * step)])
    model = tmp_path / "model"
    config = write_config(tmp_path / "ember.toml", page, kafka, topic, model)
    trained = last_json(
        ember(
            "train",
            f"kafka:{past}",
            "--config",
            config,
            "--epochs",
            "1",
            "--out",
            model,
            "--json",
            cwd=tmp_path,
        )
    )
    settings = Settings.load(config)
    group, read = settings.kafka.group, settings.engine_topics[0]

    def rows() -> dict[tuple[int, bytes], bytes]:
        return kafka.read_changelog(f"{group}-state-{read}-changelog")

    def counts() -> Counter[str]:
        total: Counter[str] = Counter()
        for (_, key), value in rows().items():
            if key == META:
                total.update(json.loads(value).get("counts", {}))
        return total

    def is_absorbed() -> bool:
        if settings.input.rekey:
            done = committed_offsets(kafka.bootstrap, rekey_group(group), topic)
            ends = Counter(record.partition for record in kafka.consume_all(topic))
            if any((done[partition] or 0) < count for partition, count in ends.items()):
                return False
        return 0 < counts().total() == len(kafka.consume_all(read))

    with Service(tmp_path, config) as service:
        wait_until("all records", is_absorbed, service)
        assert service.stop() == 0
    outcome = counts()
    keys = sorted(key.decode() for _, key in rows() if key != META)
    rates = len(trained.get("counters", []))
    print(f"{name}: {trained['channels']} channels, {rates} of them rates; ", end="")
    print(f"{3 * len(records)} records sent, {dict(outcome)}, keys {', '.join(keys)}")
    assert keys == KEYS[name]
    assert outcome["scored"] >= len(keys)
    assert outcome.keys() <= ACCEPTED
    # Records that re-keying cannot use would be here, and not in the counts.
    assert kafka.consume_all(f"{topic}.dead-letters") == []


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("name", ["telegraf-json-nokey", "telegraf-influx"])
def test_captured_records_train_from_the_topic_as_from_its_file(
    embedded: Broker, name: str, tmp_path: Path
) -> None:
    """Keys, channels and weights are the same, with the settings of the page."""
    page = settings_of_page()[name]
    topic = embedded.topic(name, PARTITIONS)
    records = captured(name)
    interval = int(page["window"]["interval_seconds"])
    embedded.produce(topic, history(records, interval, len(KEYS[name])))
    model, file = tmp_path / "model", tmp_path / "history.parquet"
    config = write_config(tmp_path / "ember.toml", page, embedded, topic, model)
    more = ("--config", config)

    def trained(*data: object) -> dict[str, Any]:
        words = ("train", *data, *more, "--epochs", "1", "--out", model, "--json")
        return dict(last_json(ember(*words, cwd=tmp_path)))

    of_topic = trained(f"kafka:{topic}")
    recorded = last_json(ember("record", f"kafka:{topic}", file, *more, "--json", cwd=tmp_path))
    of_file = trained(file, *recorded["columns"].split())
    assert of_topic["keys"] == recorded["keys"] == len(KEYS[name])
    assert of_file["channels"] == of_topic["channels"] > 10
    assert of_file["sha256"] == of_topic["sha256"]


READING = {"ts": 1_795_971_862_000, "device": "pump-1", "pressure": 3.5, "running": True}


def converted(schemas: bool) -> bytes:
    """A record of Kafka Connect's JsonConverter, with `schemas.enable` or without."""
    kinds = {"ts": "int64", "device": "string", "pressure": "double", "running": "boolean"}
    fields = [{"field": name, "type": kind, "optional": False} for name, kind in kinds.items()]
    schema = {"type": "struct", "fields": fields, "optional": False, "name": "readings"}
    return json.dumps({"schema": schema, "payload": READING} if schemas else READING).encode()


def test_records_of_kafka_connect_are_read_with_their_schema() -> None:
    source = Settings.model_validate(settings_of_page()["connect-json"]).input
    key = b'{"schema":{"type":"string","optional":false},"payload":"pump-1"}'
    record = LogRecord(key, converted(schemas=True), 0, 0, 0)
    finder = ChannelFinder(source.codec, **source.codec_options())
    finder.show([record])
    assert finder.channels() == ["pressure", "running"]
    decoded = make_codec("json", finder.channels(), **source.codec_options()).decode([record])
    assert not decoded.rejected
    assert decoded.keys == [b"pump-1"]
    assert decoded.time_us.tolist() == [READING["ts"] * 1000]
    assert decoded.values.tolist() == [[3.5, 1.0]]


def test_records_of_kafka_connect_are_read_with_a_registry() -> None:
    fastavro = pytest.importorskip("fastavro")
    kinds = {"ts": "long", "device": "string", "pressure": "double", "running": "boolean"}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    schema = {"type": "record", "name": "readings", "fields": fields}
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), READING)
    record = LogRecord(b"\0\0\0\0\x07\x0cpump-1", b"\0\0\0\0\x07" + body.getvalue(), 0, 0, 0)
    source = Settings.model_validate(settings_of_page()["connect-avro"]).input
    options = {**source.codec_options(), "fetch_schema": lambda _id: schema}
    finder = ChannelFinder(source.codec, **options)
    finder.show([record])
    assert finder.channels() == ["pressure", "running"]
    decoded = make_codec(source.codec, finder.channels(), **options).decode([record])
    assert not decoded.rejected
    assert decoded.keys == [b"pump-1"]
    assert decoded.values.tolist() == [[3.5, 1.0]]
