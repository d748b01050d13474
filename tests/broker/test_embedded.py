"""The embedded broker: topics, groups, faults, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.testing.embedded_broker import EmbeddedBroker, EmbeddedBrokerError, parse_topics

pytestmark = pytest.mark.broker


def _wait(condition: object, seconds: float = 10.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie whose parent does not wait for it has ended all the same.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_topics_have_the_chosen_partitions() -> None:
    with EmbeddedBroker({"a": 3}) as broker:
        broker.create_topics({"b": 7, "a": 5})
        topics = Producer({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=5).topics
        counts = {name: len(topic.partitions) for name, topic in topics.items()}
    assert counts == {"a": 3, "b": 7}


def test_records_come_back_in_order_with_keys_times_and_headers() -> None:
    with EmbeddedBroker({"t": 3}) as broker:
        sends = [
            Send(b"k%d" % (i % 5), b"%d" % i, 1_700_000_000_000 + i, headers=[("h", b"x")])
            for i in range(101)
        ]
        kafka_client.produce(broker.bootstrap, "t", sends)
        records = kafka_client.consume_all(broker.bootstrap, "t")
    assert len(records) == 101
    for key in {send.key for send in sends}:
        got = [(r.value, r.timestamp_ms, r.headers) for r in records if r.key == key]
        assert got == [(s.value, s.timestamp_ms, list(s.headers)) for s in sends if s.key == key]


def test_a_group_reads_and_commits() -> None:
    with EmbeddedBroker({"t": 2}) as broker:
        kafka_client.produce(broker.bootstrap, "t", [Send(None, b"x", partition=1)] * 7)
        consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "g",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe(["t"])
        seen = 0
        while seen < 7:
            seen += len(consumer.consume(7, timeout=1))
        consumer.commit(asynchronous=False)
        consumer.close()
        assert kafka_client.committed_offsets(broker.bootstrap, "g", "t")[1] == 7


def test_pushed_errors_fail_requests() -> None:
    with EmbeddedBroker({"t": 1}) as broker:
        too_large = KafkaError.MSG_SIZE_TOO_LARGE
        broker.push_errors("Produce", [too_large])
        with pytest.raises(KafkaException) as caught:
            kafka_client.produce(broker.bootstrap, "t", [Send(None, b"x")])
        assert caught.value.args[0].code() == too_large
        assert kafka_client.produce(broker.bootstrap, "t", [Send(None, b"y")]) == 1


def test_a_broker_that_was_down_still_has_its_records() -> None:
    with EmbeddedBroker({"t": 1}) as broker:
        kafka_client.produce(broker.bootstrap, "t", [Send(None, b"x")])
        broker.set_down()
        client = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        with pytest.raises(KafkaException):
            client.list_topics(timeout=0.3)
        broker.set_up()
        assert [r.value for r in kafka_client.consume_all(broker.bootstrap, "t")] == [b"x"]


def test_a_deleted_topic_starts_anew() -> None:
    with EmbeddedBroker({"t": 1}) as broker:
        kafka_client.produce(broker.bootstrap, "t", [Send(None, b"x")] * 3)
        broker.delete_topic("t")
        broker.create_topics({"t": 1})
        assert kafka_client.end_offsets(broker.bootstrap, "t") == [0]


def test_refusals_are_named() -> None:
    broker = EmbeddedBroker()
    with pytest.raises(EmbeddedBrokerError, match=r"not running\. Call start\(\) first"):
        broker.create_topics({"t": 1})
    with broker:
        with pytest.raises(EmbeddedBrokerError, match="Received: partitions=0"):
            broker.create_topics({"t": 0})
        with pytest.raises(EmbeddedBrokerError, match="unknown call 'dance'"):
            broker._call("dance")
        assert broker.start() == broker.bootstrap


def test_it_ends_with_stop() -> None:
    broker = EmbeddedBroker()
    broker.start()
    pid = broker.pid
    assert pid is not None
    assert _alive(pid)
    broker.stop()
    broker.stop()
    assert not _alive(pid)


@pytest.mark.parametrize("fork", [False, True], ids=["alone", "a fork holds the pipe"])
def test_it_ends_with_its_parent(fork: bool) -> None:
    script = (
        "import os, sys, time\n"
        "from stream.testing.embedded_broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(); broker.start()\n"
        f"if {fork} and os.fork() == 0: time.sleep(8); os._exit(0)\n"
        "print(broker.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _wait(lambda: not _alive(pid))


def test_the_command_prints_its_address_and_a_warning() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "stream.testing", "--topics", "t:2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    bootstrap = process.stdout.readline().strip()
    assert len(kafka_client.end_offsets(bootstrap, "t")) == 2
    process.terminate()
    _, messages = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Never run it in production" in messages


def test_topic_arguments() -> None:
    assert parse_topics(["a:7", "b.c"]) == {"a": 7, "b.c": 4}
    for wrong in (":3", "a:0", "a:x", "a:-1"):
        with pytest.raises(ValueError, match="Expected NAME or NAME:PARTITIONS"):
            parse_topics([wrong])
