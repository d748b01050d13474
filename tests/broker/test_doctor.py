"""`ember doctor` on a broker."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from benchmarks.kafka_client import Send
from stream.cli.doctor import command
from stream.cli.doctor.command import doctor, examine
from stream.cli.doctor.findings import Check, Cluster
from stream.cli.options import ClusterOptions
from stream.settings import Settings
from stream.tools import clients
from tests.broker.conftest import Broker

pytestmark = pytest.mark.broker

CHANNELS = ("cpu", "mem", "disk")
look_at_models = command._models


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of three channels, without training one."""
    model = SimpleNamespace(recipe=None, sources=CHANNELS, keys=[b"k1"])
    check = Check("model", "ok", "fleet")
    monkeypatch.setattr(command, "_models", lambda _settings: ([check], model))


def _settings(broker: Broker, topic: str, **more: Any) -> Settings:
    return Settings.load(
        kafka={"bootstrap_servers": broker.bootstrap, "group": broker.name("group")},
        **{"input": {"topics": [topic]}, **more},
    )


def _found(settings: Settings) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in examine(settings):
        found.setdefault(check.name.split()[0], []).append(check)
    return found


def _record(key: bytes | None, seconds: float = 0.0, partition: int = -1, **values: Any) -> Send:
    ts = time.time() + seconds
    return Send(key, msgspec.json.encode({"ts": ts, "values": values}), 0, partition)


def _good(count: int = 17) -> list[Send]:
    return [_record(b"k%d" % (i % 5), cpu=0.5, mem=1.0, disk=2.0) for i in range(count)]


def test_re_keying_has_a_topic_of_its_own(broker: Broker) -> None:
    """It is made by the first start; its partitions are those of the changelog."""
    topic = broker.topic("telemetry", 3)
    broker.produce(topic, [_record(None, n, n % 3, cpu=1.0, mem=1.0, disk=1.0) for n in range(9)])
    section = {"topics": [topic], "rekey": True, "key": "values.cpu", "rekey_partitions": 5}
    settings = _settings(broker, topic, input=section)
    rekeyed = f"{settings.kafka.group}-rekey"
    check = _found(settings)["topic"][1]
    if broker.real:
        assert check.status == "ok"
        assert check.detail.endswith("the first start makes it, with 5 partitions.")
    else:
        assert (check.status, check.fix[:16]) == ("fail", "Start it with `-")
    broker.create({rekeyed: 4, f"{settings.kafka.group}-state-{rekeyed}-changelog": 4})
    found = _found(settings)
    check = next(check for check in found["topic"] if check.status == "fail")
    assert "input.rekey_partitions is 5" in check.detail
    assert check.fix == "Set input.rekey_partitions to 4, or to 0."
    assert any(f"on {rekeyed}" in check.name for check in found["group"])
    assert any(f"group {settings.kafka.group}-rekey on {topic}" == c.name for c in found["group"])


def test_a_healthy_start(broker: Broker) -> None:
    topic = broker.topic("telemetry", 3)
    broker.produce(topic, _good())
    settings = _settings(broker, topic)
    changelog = Cluster(settings, clients.fetch_metadata(settings.kafka)).changelog(topic)
    broker.create({changelog: 3}, {"cleanup.policy": "compact"})
    found = _found(settings)
    failed = [check for checks in found.values() for check in checks if check.status == "fail"]
    assert failed == []
    assert found["keys"][0].detail == "5 keys in 17 records, each in one partition."
    assert found["channels"][0].status == "ok"
    assert found["clock"][0].status == "ok"
    assert found["group"][0].status == "ok"
    assert found["broker"][0].status == ("ok" if broker.real else "warn")
    assert found["transactions"][0].status == ("ok" if broker.real else "warn")


def test_a_group_that_is_new_to_the_embedded_broker(embedded: Broker) -> None:
    """Nothing is wrong before a first start, but for a number that would fit no second one."""
    topic = embedded.topic("telemetry", 4)
    embedded.produce(topic, _good())
    settings = _settings(embedded, topic)
    found = _found(settings)
    failed = [check for checks in found.values() for check in checks if check.status == "fail"]
    assert failed == []
    (check,) = found["changelog"]
    assert (check.status, check.detail) == ("ok", "Not there yet: the first start makes it.")
    changelog = Cluster(settings, clients.fetch_metadata(settings.kafka)).changelog(topic)
    embedded.produce(changelog, [Send(b"k1", b"row")])
    (check,) = _found(settings)["changelog"]
    assert (check.status, check.detail) == ("ok", "4 partitions, as its input.")

    odd = embedded.topic("odd", 3)
    (check,) = _found(_settings(embedded, odd))["changelog"]
    assert check.status == "warn"
    assert check.detail.startswith("New: nothing is kept yet.")
    assert check.fix.endswith("-changelog:3` beside the others.")


def test_no_topic_and_no_broker(
    embedded: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _found(_settings(embedded, "nowhere"))
    assert found["topic"][0].status == "fail"
    assert "nowhere" in found["topic"][0].detail
    monkeypatch.setattr(command, "_BROKER_SECONDS", 0.5)
    with pytest.raises(SystemExit) as caught:
        doctor(json=True, cluster=ClusterOptions(bootstrap_servers="127.0.0.1:1"))
    assert caught.value.code == 1
    answer = msgspec.json.decode(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["checks"][-1]["name"] == "broker"
    assert "--bootstrap-servers" in answer["checks"][-1]["fix"]


def test_null_keys(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 2)
    embedded.produce(topic, [_record(None, cpu=1.0)] * 7 + _good(3))
    bare = _found(_settings(embedded, topic))["keys"][0]
    assert bare.status == "fail"
    assert "7 of 10 records have no Kafka key" in bare.detail
    settings = _settings(embedded, topic, input={"topics": [topic], "key": "host"})
    assert "The record has no `host`" in _found(settings)["keys"][0].detail


def test_a_key_in_two_partitions(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 2)
    embedded.produce(topic, [_record(b"x", cpu=1.0, partition=i % 2) for i in range(4)])
    keys = _found(_settings(embedded, topic))["keys"][0]
    assert keys.status == "fail"
    assert "more than one partition: 'x'" in keys.detail


def test_records_that_would_be_refused(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    embedded.produce(topic, [Send(b"k", b"not json"), *_good(3)])
    found = _found(_settings(embedded, topic))
    assert found["records"][0].status == "warn"
    assert "1 not_json" in found["records"][0].detail


def test_a_model_of_other_channels(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    embedded.produce(topic, [_record(b"k", humidity=1.0)] * 5)
    channels = _found(_settings(embedded, topic))["channels"][0]
    assert channels.status == "fail"
    assert "This model is not for this topic" in channels.fix


def test_channels_that_never_come(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    embedded.produce(topic, [_record(b"k", cpu=1.0)] * 5)
    channels = _found(_settings(embedded, topic))["channels"][0]
    assert channels.status == "warn"
    assert "2 of the model's 3 channels" in channels.detail
    assert "mem, disk" in channels.detail


def test_clocks_ahead(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    ahead_ms = int((time.time() + 90) * 1000)
    embedded.produce(topic, [_record(b"k", 86_400.0, cpu=1.0)._replace(timestamp_ms=ahead_ms)] * 3)
    found = _found(_settings(embedded, topic))
    assert found["clock"][0].status == "warn"
    assert "in the future" in found["clock"][0].detail
    assert found["event"][0].status == "fail"
    assert "3 of 3 samples" in found["event"][0].detail


def test_an_empty_topic_is_no_mistake(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    assert _found(_settings(embedded, topic))["records"][0].status == "skip"


@pytest.mark.kafka
def test_a_changelog_that_does_not_fit(kafka: Broker) -> None:
    topic = kafka.topic("telemetry", 3)
    settings = _settings(kafka, topic)
    changelog = Cluster(settings, clients.fetch_metadata(settings.kafka)).changelog(topic)
    kafka.create({changelog: 2}, {"cleanup.policy": "compact"})
    found = _found(settings)["changelog"][0]
    assert found.status == "fail"
    assert "2 partitions, its input" in found.detail
    assert "ember state rebase" in found.fix


@pytest.mark.kafka
def test_a_changelog_that_is_deleted_from(kafka: Broker) -> None:
    topic = kafka.topic("telemetry", 1)
    settings = _settings(kafka, topic)
    changelog = Cluster(settings, clients.fetch_metadata(settings.kafka)).changelog(topic)
    kafka.create({changelog: 1}, {"cleanup.policy": "delete"})
    found = _found(settings)["changelog"][0]
    assert found.status == "fail"
    assert "cleanup.policy=compact" in found.fix


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"message.timestamp.after.max.ms": "9223372036854775807"}, ["ok", "warn"]),
        ({"message.timestamp.after.max.ms": "3600000"}, ["ok"]),
        ({"message.timestamp.type": "LogAppendTime"}, ["ok"]),
    ],
)
def test_timestamps_that_nothing_bounds(
    kafka: Broker, config: dict[str, str], status: list[str]
) -> None:
    topic = kafka.name("telemetry")
    kafka.create({topic: 1}, config)
    found = [c for c in _found(_settings(kafka, topic))["topic"] if c.name == f"topic {topic}"]
    assert [check.status for check in found] == status


@pytest.mark.kafka
def test_one_copy_of_the_records_is_named(kafka: Broker) -> None:
    topic = kafka.topic("telemetry", 1)
    found = _found(_settings(kafka, topic))["durability"][0]
    assert found.status == "warn"
    assert "replication 1, min.insync.replicas 1" in found.detail


def test_settings_that_ask_for_transactions(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 1)
    settings = _settings(embedded, topic, checkpoint={"guarantee": "exactly_once"})
    assert _found(settings)["transactions"][0].status == "fail"


@pytest.mark.parametrize("offset", [None, 3, 99], ids=["never", "behind", "beyond"])
def test_where_the_group_stands(embedded: Broker, offset: int | None) -> None:
    from confluent_kafka import TopicPartition

    topic = embedded.topic("telemetry", 1)
    embedded.produce(topic, _good(10))
    settings = _settings(embedded, topic)
    if offset is not None:
        consumer = clients.open_consumer(settings.kafka, settings.kafka.group)
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
        consumer.close()
    found = _found(settings)["group"][0]
    if offset is None:
        assert "Has not read yet" in found.detail
    elif offset == 3:
        assert found.detail == "7 records behind."
    else:
        assert found.status == "fail"
        assert "ember state rebase" in found.fix


def test_workers_that_train_need_no_model_yet(embedded: Broker) -> None:
    """Without `learn.enabled` a topic without a bundle is a fault."""
    embedded.create({embedded.name("model"): 1})
    states = []
    for enabled in (True, False):
        model, learn = {"topic": embedded.name("model")}, {"enabled": enabled}
        (check,), found = look_at_models(_settings(embedded, "in", model=model, learn=learn))
        assert found is None
        states.append(check.status)
    assert states == ["warn", "fail"]


def test_the_model_topic_is_looked_at(broker: Broker) -> None:
    """Missing, of several partitions, right; on a real broker also what its cleaner would do."""
    settings = _settings(broker, broker.topic("in", 1), model={"topic": "<group>-model"})

    def state() -> str:
        (check,) = (check for check in _found(settings)["model"] if "topic" in check.name)
        return check.status

    assert state() == "warn"
    wrong = _settings(broker, broker.topic("in2", 1), model={"topic": broker.topic("two", 2)})
    assert [c.status for c in _found(wrong)["model"] if "topic" in c.name] == ["fail"]
    broker.create({settings.model_topic: 1}, {"cleanup.policy": "compact"})
    assert state() == "ok"
    if broker.real:
        wrong = _settings(broker, broker.topic("in3", 1), model={"topic": broker.topic("one", 1)})
        assert [c.status for c in _found(wrong)["model"] if "topic" in c.name] == ["fail"]


def test_the_control_topic_is_looked_at(broker: Broker) -> None:
    """Missing, of several partitions, right, and with a document that nobody can use."""
    settings = _settings(broker, broker.topic("in", 1), control={"enabled": True})

    def states(settings: Settings) -> list[str]:
        checks = [check for found in _found(settings).values() for check in found]
        return [check.status for check in checks if check.name.startswith("control topic")]

    assert states(_settings(broker, broker.topic("in0", 1))) == []
    assert states(settings) == ["warn"]
    more = {"enabled": True, "topic": broker.topic("two", 2)}
    assert states(_settings(broker, broker.topic("in2", 1), control=more)) == ["fail"]
    broker.create({settings.control_topic: 1}, {"cleanup.policy": "compact"})
    assert states(settings) == ["ok"]
    broker.produce(settings.control_topic, [Send(b"rule/x", b"{", partition=0)])
    assert states(settings) == ["warn"]
