"""The brokers of these tests do what the tests rely on."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer

from benchmarks.kafka_client import Send
from benchmarks.kafka_server import QUICK_COMPACTION
from tests.broker.conftest import Broker

pytestmark = pytest.mark.broker


def test_every_broker_keeps_order_within_a_partition(broker: Broker) -> None:
    topic = broker.topic("order", 3)
    assert broker.produce(topic, [Send(b"key", b"%d" % i) for i in range(211)]) == 211
    assert [int(r.value or b"") for r in broker.consume_all(topic)] == list(range(211))


def test_a_key_goes_to_the_partition_of_kafkas_default(broker: Broker) -> None:
    """murmur2, as every Java producer does it."""
    topic = broker.topic("murmur", 7)
    broker.produce(topic, [Send(key, b"x") for key in (b"machine-1-6", b"db-0", b"k")])
    found = {record.key or b"": record.partition for record in broker.consume_all(topic)}
    assert found == {key: _murmur2(key) % 7 for key in found}
    assert len(found) == 3


def test_a_changelog_is_its_last_values(broker: Broker) -> None:
    topic = broker.topic("changelog", 2)
    broker.produce(
        topic,
        [
            Send(b"a", b"1", partition=1),
            Send(b"a", b"2", partition=1),
            Send(b"b", b"3", partition=0),
            Send(b"b", None, partition=0),
        ],
    )
    assert broker.read_changelog(topic) == {(1, b"a"): b"2"}


@pytest.mark.kafka
def test_aborted_records_are_not_read(kafka: Broker) -> None:
    topic = kafka.topic("txn", 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(60)
    for value, keep in ((b"no", False), (b"yes", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        if keep:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
    assert [r.value for r in kafka.consume_all(topic)] == [b"yes"]
    assert [r.value for r in kafka.consume_all(topic, committed=False)] == [b"no", b"yes"]


@pytest.mark.kafka
@pytest.mark.slow
def test_the_cleaner_compacts_within_seconds(kafka: Broker) -> None:
    topic = kafka.topic("compact", 1, QUICK_COMPACTION)
    deadline = time.monotonic() + 60
    left = sent = 0
    while time.monotonic() < deadline:
        # Only closed segments are cleaned, and only a new record closes one.
        sent += kafka.produce(topic, [Send(b"k%d" % (i % 5), b"v") for i in range(500)])
        left = len(kafka.consume_all(topic))
        if left < sent - 500:
            return
        time.sleep(1)
    pytest.fail(f"{left} of {sent} records were still there after a minute")


@pytest.mark.kafka
@pytest.mark.slow
def test_a_killed_server_comes_back_with_its_records(kafka: Broker) -> None:
    if kafka.server is None:
        pytest.skip("a broker given by --kafka is not ours to kill")
    topic = kafka.topic("kept", 1)
    kafka.produce(topic, [Send(None, b"x")] * 3)
    kafka.server.restart(kill=True)
    assert kafka.bootstrap == kafka.server.bootstrap
    assert [r.value for r in kafka.consume_all(topic)] == [b"x"] * 3


def _murmur2(data: bytes) -> int:
    """Kafka's hash of a key, made positive as its default partitioner does."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) - len(data) % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[len(data) - len(data) % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF
