"""`ember replay` on a broker."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer

from benchmarks import kafka_client
from ember_core.data.sources import DataOptions
from stream.cli.options import ClusterOptions
from stream.cli.replay import replay
from stream.codecs import make_codec
from stream.errors import UserError
from stream.settings import KafkaSection
from stream.tools import clients
from stream.tools.replay import Gate, Outbound, at_rate, at_speed, send
from tests.broker.conftest import Broker

pytestmark = pytest.mark.broker

OPTIONS = DataOptions(time="t", time_unit="index", split="split", label="label")


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Three keys with two channels; rows 0 to 4 are for training, 5 to 16 not."""
    for number, name in enumerate(("a-1", "b-2", "c-3")):
        lines = ["t,split,u,v,label"]
        lines += [
            f"{i},{'train' if i < 5 else 'test'},{i * 0.1 + number},{i / 3},0" for i in range(17)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [str(path) for path in sorted(tmp_path.glob("*.csv"))]


def test_every_scored_row_arrives_once_in_the_order_of_its_key(
    broker: Broker, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic("telemetry", 3)
    replay(
        data,
        to=topic,
        options=OPTIONS,
        flat_out=True,
        json=True,
        cluster=ClusterOptions(bootstrap_servers=broker.bootstrap),
    )
    summary = msgspec.json.decode(capsys.readouterr().out)
    assert summary["records"] == 36
    assert summary["records_per_second"] > 0
    records = broker.consume_all(topic)
    decoded = make_codec("json", ["u", "v"]).decode([_Shaped(record) for record in records])
    assert decoded.rejected == []
    now_ms = time.time() * 1000
    assert all(now_ms - 60_000 < record.timestamp_ms <= now_ms + 1000 for record in records)
    for number, key in enumerate((b"a-1", b"b-2", b"c-3")):
        mine = [i for i, record in enumerate(records) if record.key == key]
        assert len({records[i].partition for i in mine}) == 1
        assert decoded.time_us[mine].tolist() == [i * 60_000_000 for i in range(5, 17)]
        expected = [[float(f"{i * 0.1 + number}"), float(f"{i / 3}")] for i in range(5, 17)]
        assert decoded.values[mine].tolist() == expected


def test_warm_sends_the_training_rows_of_all_keys_first(embedded: Broker, data: list[str]) -> None:
    topic = embedded.topic("telemetry", 1)
    replay(
        data,
        to=topic,
        options=OPTIONS,
        warm=True,
        flat_out=True,
        cluster=ClusterOptions(bootstrap_servers=embedded.bootstrap),
    )
    times = [_seconds(record.value) for record in embedded.consume_all(topic)]
    assert times == [t for t in range(17) for _ in range(3)]


def test_long_and_shuffled(embedded: Broker, data: list[str]) -> None:
    topic = embedded.topic("telemetry", 1)
    replay(
        data,
        to=topic,
        options=OPTIONS,
        long=True,
        shuffle_seconds=240.0,
        seed=5,
        flat_out=True,
        cluster=ClusterOptions(bootstrap_servers=embedded.bootstrap),
    )
    records = embedded.consume_all(topic)
    assert len(records) == 72
    times = [_seconds(record.value) for record in records]
    assert times != sorted(times)
    assert max(max(times[: i + 1]) - t for i, t in enumerate(times)) <= 4


def test_a_missing_topic_is_named_or_made(
    broker: Broker, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    broker.topic("other", 1)
    missing = broker.name("missing")
    with pytest.raises(UserError, match=f"There is no topic '{missing}'.*other"):
        replay(
            data,
            to=missing,
            options=OPTIONS,
            cluster=ClusterOptions(bootstrap_servers=broker.bootstrap),
        )
    if not broker.real:
        return
    replay(
        data,
        to=missing,
        options=OPTIONS,
        partitions=5,
        flat_out=True,
        cluster=ClusterOptions(bootstrap_servers=broker.bootstrap),
    )
    assert sum(kafka_client.end_offsets(broker.bootstrap, missing)) == 36
    assert len(kafka_client.end_offsets(broker.bootstrap, missing)) == 5


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"speed": 2.0, "flat_out": True}, "Received: --speed and --flat-out"),
        ({"rate": 0.0}, "Received: rate=0.0"),
        ({"shuffle_seconds": -1.0}, "Received: shuffle_seconds=-1.0"),
        ({"max_lag": 0}, "Received: max_lag=0"),
    ],
)
def test_wrong_use_ends_with_2(data: list[str], flags: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        replay(data, to="t", options=OPTIONS, **flags)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


def test_no_broker_is_one_sentence(data: list[str]) -> None:
    with pytest.raises(UserError, match=r"No broker answers.*127\.0\.0\.1:1"):
        clients.fetch_metadata(KafkaSection(bootstrap_servers="127.0.0.1:1"), seconds=0.5)


def test_a_refused_record_fails_the_replay(embedded: Broker) -> None:
    assert embedded.embedded is not None
    topic = embedded.topic("telemetry", 1)
    embedded.embedded.push_errors("Produce", [_TOO_LARGE])
    producer = clients.open_producer(KafkaSection(bootstrap_servers=embedded.bootstrap))
    with pytest.raises(UserError, match="did not take every record"):
        send(producer, topic, [Outbound(b"k", 0, b"x")])


def test_the_gate_holds_back_until_the_group_catches_up(embedded: Broker) -> None:
    topic = embedded.topic("telemetry", 2)
    kafka = KafkaSection(bootstrap_servers=embedded.bootstrap, group="slow")
    records = [Outbound(b"one-key", i, b"x" * 10) for i in range(397)]
    worst: list[int] = []
    stop = threading.Event()
    reader = threading.Thread(target=_read_slowly, args=(embedded, topic, worst, stop))
    reader.start()
    try:
        gate = Gate(kafka, topic, 2, group="slow", max_lag=100, warn=worst.append)  # type: ignore[arg-type]
        summary = send(clients.open_producer(kafka), topic, records, gate=gate)
        gate.close()
    finally:
        stop.set()
        reader.join()
    assert summary.records == 397
    assert summary.waited_seconds > 0
    assert max(worst) <= 100


def test_the_gate_says_so_when_nothing_moves(
    embedded: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.tools.replay._WARN_AFTER_SECONDS", 0.2)
    topic = embedded.topic("telemetry", 1)
    kafka = KafkaSection(bootstrap_servers=embedded.bootstrap)

    class Complained(Exception):
        pass

    def warn(sentence: str) -> None:
        raise Complained(sentence)

    gate = Gate(kafka, topic, 1, group="nobody", max_lag=7, warn=warn)
    with pytest.raises(Complained, match="'nobody' is 7 records behind"):
        send(
            clients.open_producer(kafka),
            topic,
            [Outbound(b"k", 0, b"x")] * 20,
            gate=gate,
        )
    gate.close()


def test_paces() -> None:
    assert at_rate(50.0)(100, 0) == 2.0
    speed = at_speed(10.0)
    assert [speed(0, 5_000_000), speed(1, 25_000_000)] == [0.0, 2.0]


_TOO_LARGE = 10


class _Shaped:
    """A record with the names the codecs use."""

    def __init__(self, record: kafka_client.Record) -> None:
        self.key, self.value, self.offset = record.key, record.value, record.offset
        self.timestamp, self.headers = record.timestamp_ms, record.headers


def _seconds(value: bytes | None) -> int:
    decoded = make_codec("json", ["u", "v"]).decode([_Shaped(_record(value))])
    return int(decoded.time_us[0]) // 60_000_000


def _record(value: bytes | None) -> kafka_client.Record:
    return kafka_client.Record(0, 0, 0, b"k", value, [])


def _read_slowly(broker: Broker, topic: str, worst: list[int], stop: threading.Event) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "slow",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    read = 0
    while not stop.is_set():
        found = consumer.consume(40, timeout=0.05)
        read += len(found)
        worst.append(sum(kafka_client.end_offsets(broker.bootstrap, topic)) - read)
        if found:
            consumer.commit(asynchronous=False)
    consumer.close()
