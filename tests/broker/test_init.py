"""`ember init` on topics: the settings are those of a file of the records, and doctor agrees."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from benchmarks.kafka_client import Send
from stream import cli
from stream.cli.doctor import command as doctor_command
from stream.cli.doctor.findings import Check
from stream.cli.init import source
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.e2e.payloads import PAYLOADS, captured
from tests.stream.cli.init.programs import (
    BEGIN,
    PARTITIONS,
    Line,
    by_host,
    by_nothing,
    otlp,
    partition_of,
    readings,
    telegraf,
    write_dump,
)

pytestmark = pytest.mark.broker

ABOUT_RECORDS = ("format", "records", "keys", "event", "rows", "channels")
"""First words of the checks of doctor that look at records."""


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def init(broker: Broker, topic: str, *more: str) -> dict[str, Any]:
    arguments = ["init", f"kafka:{topic}", "--bootstrap-servers", broker.bootstrap, *more]
    assert cli.main([*arguments, "--out", "ember.toml", "--force"]) == 0
    return tomllib.loads(Path("ember.toml").read_text())


def as_sent(lines: Iterator[Line]) -> list[Send]:
    return [
        Send(line.key, line.value, (BEGIN + line.second) * 1000 + 400, partition_of(line, number))
        for number, line in enumerate(lines)
    ]


def findings(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """Findings of doctor on the records, by the settings that were written."""
    no_model = ([Check("model", "ok", "")], None)
    monkeypatch.setattr(doctor_command, "_models", lambda _settings: no_model)
    checks = list(doctor_command.examine(Settings.load(Path("ember.toml"))))
    return [check for check in checks if check.name.split()[0] in ABOUT_RECORDS]


@pytest.mark.parametrize("name", ["telegraf-json-nokey", "otelcol-otlp-proto-keyed"])
def test_a_captured_topic_gets_the_settings_of_its_file(
    embedded: Broker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = embedded.topic("captured", PARTITIONS)
    embedded.produce(topic, captured(name))
    of_topic = init(embedded, topic)
    checks = findings(monkeypatch)
    assert [check for check in checks if check.status != "ok"] == []
    assert checks
    file = str(PAYLOADS / name / "records.jsonl")
    assert cli.main(["init", file, "--topic", topic, "--force"]) == 0
    of_file = tomllib.loads(Path("ember.toml").read_text())
    of_file["kafka"]["bootstrap_servers"] = embedded.bootstrap
    assert of_topic == of_file


@pytest.mark.parametrize(
    "lines",
    [
        list(telegraf(by_host)),
        list(otlp(by_nothing)),
        list(readings(by_host)),
        list(readings(by_nothing)),
    ],
    ids=["telegraf", "otlp without keys", "own records", "own records without keys"],
)
def test_a_twin_gets_the_settings_of_its_dump(
    broker: Broker, lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.name("twin")
    # The broker deletes records by their own timestamps, which are those of the twin.
    broker.create({topic: PARTITIONS}, {"retention.ms": "-1"})
    broker.produce(topic, as_sent(iter(lines)))
    of_topic = init(broker, topic)
    assert [check for check in findings(monkeypatch) if check.status != "ok"] == []
    dump = write_dump(Path("dump.jsonl"), iter(lines), topic)
    assert cli.main(["init", str(dump), "--force"]) == 0
    of_dump = tomllib.loads(Path("ember.toml").read_text())
    of_dump["kafka"]["bootstrap_servers"] = broker.bootstrap
    assert of_topic == of_dump


def test_the_next_command_names_the_topic(
    embedded: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = embedded.topic("twin", PARTITIONS)
    embedded.produce(topic, as_sent(readings(by_host)))
    init(embedded, topic, "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["findings"] == []
    command = f"ember train kafka:{topic} --since 14d --out model"
    assert answer["next"] == command


def test_a_topic_without_records_and_one_that_is_not_there(
    embedded: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = embedded.topic("empty", 2)
    for name, expected in (
        (topic, "holds no records to look at"),
        ("nowhere", f"There is no topic 'nowhere'. Expected one of: {topic}"),
        ("", "There is no topic ''"),
    ):
        arguments = ["init", f"kafka:{name}", "--bootstrap-servers", embedded.bootstrap]
        assert cli.main(arguments) == 1
        err = capsys.readouterr().err
        assert expected in err
        assert "Received" in err
        assert err.count("\n") == 1
    embedded.produce(topic, [Send(b"k", None, BEGIN * 1000)])
    assert cli.main(["init", f"kafka:{topic}", "--bootstrap", embedded.bootstrap]) == 1
    assert "holds no records to look at" in capsys.readouterr().err
    assert not Path("ember.toml").exists()


def test_a_topic_of_garbage(embedded: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    topic = embedded.topic("garbage", 1)
    embedded.produce(
        topic, [Send(b"k", bytes([200 + n % 50, 9, n]), BEGIN * 1000) for n in range(30)]
    )
    assert cli.main(["init", f"kafka:{topic}", "--bootstrap", embedded.bootstrap]) == 1
    err = capsys.readouterr().err
    assert f"No codec reads the records of topic {topic}. Expected JSON" in err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "No record came within some seconds."),
        (TopicAuthorizationFailedError(), "Give this user the right to read the topic"),
    ],
    ids=["no leader", "no right"],
)
def test_a_topic_that_cannot_be_read(
    embedded: Broker,
    error: Exception,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topic = embedded.topic("locked", 1)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(source, "read_newest", refuse)
    assert cli.main(["init", f"kafka:{topic}", "--bootstrap", embedded.bootstrap]) == 1
    err = capsys.readouterr().err
    assert expected in err
    assert f"Received: kafka:{topic}." in err
