"""A topic as DATA of `train`, `backtest` and `record`."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.kafka_client import Send, produce
from ember_core.data.sources import DataOptions
from ember_core.pipeline import FleetModel
from stream import cli
from stream.cli.data_options import read_data
from stream.settings import Settings
from stream.tools.record_source import RecordReading
from stream.tools.topic_records import Period, TopicRecords
from tests.broker.conftest import Broker

pytestmark = pytest.mark.broker

FAST = ("--epochs", "1", "--hidden", "8", "--rbm-hidden", "8")
HOSTS, ROWS, SCORED, PARTITIONS = 3, 180, 170, 3
BEGIN = 1_767_225_600
COLUMNS = ("--time", "ts", "--key", "key")
OPTIONS = DataOptions()


def sends(begin: int, end: int, *, key: bool = True) -> list[Send]:
    """Rows of some hosts, each now and then late or without a channel; a fault at the end."""
    chance = random.Random(begin)
    found = []
    for row in range(begin, end):
        for host in range(HOSTS):
            at = row - 3 if chance.random() < 0.03 else row
            wave = math.sin(0.2 * at) + 0.1 * chance.gauss(0, 1)
            values = {"cpu": 40 + wave, "load": 2 * wave + chance.random()}
            values["memory"] = 70.0 + host + 0.1 * chance.random()
            if row > end - 25 and end > ROWS:
                values["cpu"] += 60
            if chance.random() < 0.05:
                del values["load"]
            record = {"ts": BEGIN + 10 * at, "host": f"host-{host}", "values": values}
            stamp = (BEGIN + 10 * row) * 1000 + host
            # Without a key the records of a host are in all partitions.
            partition = -1 if key else (host + row) % PARTITIONS
            name = b"host-%d" % host if key else None
            found.append(Send(name, json.dumps(record).encode(), stamp, partition))
    return found


class Site:
    """A topic with a history, and one with rows to score, of the same hosts."""

    def __init__(self, broker: Broker, folder: Path, *, rekey: bool = False, **more: Any) -> None:
        self.broker, self.folder = broker, folder
        self.past, self.topic = (
            broker.topic(stem, PARTITIONS, {"retention.ms": "-1"}) for stem in ("past", "now")
        )
        compression = {"compression.type": more.pop("compression", "none"), "linger.ms": 50}
        for topic, begin, end in ((self.past, 0, ROWS), (self.topic, ROWS, ROWS + SCORED)):
            produce(broker.bootstrap, topic, sends(begin, end, key=not rekey), **compression)
        self.config = folder / "ember.toml"
        window = "".join(f"{name} = {json.dumps(value)}\n" for name, value in more.items())
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "g"\n'
            f'[input]\ntopics = ["{self.topic}"]\nkey = "host"\nrekey = {json.dumps(rekey)}\n'
            f"[window]\n{window}"
        )

    def ember(self, *words: object) -> None:
        assert cli.main([str(word) for word in (*words, "--config", self.config)]) == 0

    def train(self, *data: object) -> FleetModel:
        out = self.folder / "model"
        self.ember("train", *data, *FAST, "--out", out)
        return FleetModel.load(out)

    def record(self, topic: str, suffix: str, *more: object) -> Path:
        out = self.folder / f"{topic}{suffix}"
        self.ember("record", f"kafka:{topic}", out, *more)
        return out

    def events(self, *data: object) -> list[Any]:
        out = self.folder / "events.jsonl"
        model = self.folder / "model"
        self.ember("backtest", *data, "--model", model, "--events", out)
        return out.read_bytes().splitlines()


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_topic_trains_and_scores_as_its_recorded_file(
    broker: Broker, tmp_path: Path, suffix: str, compression: str
) -> None:
    """Bit for bit, whatever the codec of the batches."""
    site = Site(broker, tmp_path, compression=compression)
    model = site.train(f"kafka:{site.past}")
    assert set(model.keys) == {b"host-%d" % host for host in range(HOSTS)}
    of_file = site.train(site.record(site.past, suffix), *COLUMNS)
    assert of_file.sha256 == model.sha256
    events = site.events(f"kafka:{site.topic}")
    file = site.record(site.topic, suffix)
    assert site.events(file, *COLUMNS, "--topic", site.topic) == events
    assert len(events) >= HOSTS


@pytest.mark.parametrize("window", [{}, {"mode": "time", "interval_seconds": 10}])
def test_records_to_be_re_keyed_are_read_in_the_order_of_the_stream(
    broker: Broker, tmp_path: Path, window: dict[str, Any]
) -> None:
    site = Site(broker, tmp_path, rekey=True, **window)
    model = site.train(f"kafka:{site.past}")
    assert set(model.keys) == {b"host-%d" % host for host in range(HOSTS)}
    assert site.train(site.record(site.past, ".jsonl"), *COLUMNS).sha256 == model.sha256
    events = site.events(f"kafka:{site.topic}")
    file = site.record(site.topic, ".parquet")
    assert site.events(file, *COLUMNS, "--topic", "g-rekey") == events
    assert events


def keys_and_times(broker: Broker, topic: str, period: Period) -> dict[bytes, list[int]]:
    settings = Settings.load(kafka={"bootstrap_servers": broker.bootstrap})
    reading = RecordReading(period)
    data = read_data([f"kafka:{topic}"], OPTIONS, lambda: settings, reading)
    return {
        table.key: [time // 10_000_000 - BEGIN // 10 for time in table.time_us.tolist()]
        for table in data.tables
    }


def test_a_period_of_a_topic(broker: Broker, tmp_path: Path) -> None:
    """From the first record since then, to before the first one at the end, in each partition."""
    topic = broker.topic("telemetry", 1, {"retention.ms": "-1"})
    times = [3, 5, 4, 6, 9, 7, 8]
    records = [
        Send(b"a", b'{"ts": %d, "values": {"x": 1}}' % (BEGIN + 10 * at), (BEGIN + 10 * at) * 1000)
        for at in times
    ]
    broker.produce(topic, records)
    since, until = ((BEGIN + 10 * at) * 1000 for at in (5, 9))
    # A record before the beginning that lies behind it belongs to it: the log is not torn.
    assert keys_and_times(broker, topic, Period(since, until)) == {b"a": [5, 4, 6]}
    assert keys_and_times(broker, topic, Period(since)) == {b"a": [5, 4, 6, 9, 7, 8]}
    assert keys_and_times(broker, topic, Period(None, until)) == {b"a": [3, 5, 4, 6]}


def test_topics_that_are_re_keyed_into_one_stream_are_read_as_one(broker: Broker) -> None:
    """Each has other channels of a key; a row has all of them."""
    topics = [broker.topic(stem, 2, {"retention.ms": "-1"}) for stem in ("cpu", "memory")]
    for topic, channel in zip(topics, ("cpu", "memory"), strict=True):
        records = []
        for row in range(6):
            at, value = BEGIN + 10 * row, {channel: float(row)}
            record = {"ts": at, "host": "a", "values": value}
            records.append(Send(None, json.dumps(record).encode(), 1000 * at, row % 2))
        broker.produce(topic, records)
    settings = Settings.load(
        kafka={"bootstrap_servers": broker.bootstrap},
        input={"topics": topics, "key": "host", "rekey": True},
        window={"mode": "time", "interval_seconds": 10},
    )
    for address in (f"kafka:{','.join(topics)}", "kafka:"):
        (table,) = read_data([address], OPTIONS, lambda: settings).tables
        assert table.values.tolist() == [[row, row] for row in range(6)]


def test_what_is_no_record_of_the_topic_is_passed_over(kafka: Broker) -> None:
    """Aborted transactions, their markers, and offsets whose records are deleted meanwhile."""
    topic = kafka.topic("telemetry", 1)
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("t"), "log_level": 0}
    )
    producer.init_transactions(20)
    for number in range(6):
        producer.begin_transaction()
        for _ in range(2):
            producer.produce(topic, b"%d" % number)
        producer.flush(20)
        if number % 3 == 1:
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)
    section = Settings.load(kafka={"bootstrap_servers": kafka.bootstrap}).kafka
    records = TopicRecords(section, [topic], Period())
    assert [record.value for record in records] == [b"%d" % n for n in (0, 2, 3, 5) for _ in "12"]
    assert records.total == 18
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, 7)]).values():
        future.result(20)
    assert [record.value for record in records] == [b"%d" % n for n in (2, 3, 5) for _ in "12"][-5:]


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main([str(word) for word in words]) != 0
    return capsys.readouterr().err


def test_what_cannot_be_read_is_a_sentence(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = broker.topic("empty", 2)
    at = ("--bootstrap-servers", broker.bootstrap)
    out = ("--out", tmp_path / "model")
    sentence = refusal(capsys, "train", f"kafka:{empty}", *at, *out)
    assert re.match(f"topic {empty} has no record. Expected some .* Received: none.", sentence)
    sentence = refusal(capsys, "train", f"kafka:{empty}", "--since", "2026-01-01", *at, *out)
    assert "has no record since 20" in sentence
    sentence = refusal(capsys, "train", "kafka:nowhere", *at, *out)
    assert "There is no topic 'nowhere'. Expected one of: " in sentence
    period = ("--since", "1h", "--until", "2h")
    sentence = refusal(capsys, "train", f"kafka:{empty}", *period, *at, *out)
    assert "Expected --until after --since. Received: --since 1h --until 2h." in sentence
    sentence = refusal(capsys, "record", f"kafka:{empty}", tmp_path / "x.csv", *at)
    assert "Expected a name ending in .parquet or .jsonl" in sentence
    assert not list(tmp_path.iterdir())
