"""Parts of re-keying against brokers: its topic, its offsets, and what is deleted."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.kafka.client.admin import OnDemandAdmin
from stream.kafka.client.fenced_producer import FencedProducer
from stream.kafka.client.partitioner import KeyPartitioner
from stream.kafka.client.source_consumer import SourceConsumer
from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.ports import RefusedError
from stream.kafka.supervision.topics import REKEYED_CONFIG, own_topics, prepare
from stream.observer import Observer
from stream.rekeying import rekey_group
from tests.broker.conftest import Broker
from tests.worker_config import worker_config


@pytest.mark.kafka
async def test_a_start_makes_the_topic_and_never_resizes_it(kafka: Broker) -> None:
    """Its changelog and outputs have its partitions; dead letters those of their own topic."""
    small, large = kafka.topic("small", 2), kafka.topic("large", 5)
    group = kafka.name("group")
    options = {
        "bootstrap_servers": (kafka.bootstrap,),
        "group": group,
        "rekeyed": (small, large),
        "topics": (f"{group}-rekey",),
        "streams": {f"{group}-rekey": group},
    }
    config, lifecycle = worker_config(**options), Lifecycle(Observer())
    cluster = await prepare(config, lifecycle)
    assert {name: status.partitions for name, status in cluster.inputs.items()} == {
        f"{group}-rekey": 5
    }
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, f"{group}-rekey")
    entries = admin.describe_configs([resource])[resource].result()
    assert {name: entries[name].value for name in REKEYED_CONFIG} == REKEYED_CONFIG
    topics = admin.list_topics(timeout=10).topics
    expected = {
        f"{small}.dead-letters": 2,
        f"{large}.dead-letters": 5,
        f"{group}.dead-letters": 5,
        f"{group}.anomalies": 5,
        f"{group}.triggers": 5,
        f"{group}-state-{group}-rekey-changelog": 5,
    }
    assert {name: len(topics[name].partitions) for name in expected} == expected
    assert set(own_topics(config, {small: 2, large: 5})) == {*expected, f"{group}-rekey"}
    assert (await prepare(worker_config(**options, rekey_partitions=5), lifecycle)).inputs
    with pytest.raises(RefusedError, match=r"Expected input\.rekey_partitions=5, or 0"):
        await prepare(worker_config(**options, rekey_partitions=4), lifecycle)


@pytest.mark.kafka
async def test_records_are_deleted_up_to_an_offset(kafka: Broker) -> None:
    topic = kafka.topic("rekey", 2)
    kafka.produce(topic, [Send(b"a", b"%d" % n, 0, n % 2) for n in range(10)])
    admin = OnDemandAdmin({"bootstrap_servers": [kafka.bootstrap]})
    await admin.delete_records({(topic, 0): 3, (topic, 1): 5})
    left = kafka.consume_all(topic)
    assert [(r.partition, r.offset) for r in left] == [(0, 3), (0, 4)]


@pytest.mark.kafka
async def test_offsets_of_an_open_transaction_are_waited_for(kafka: Broker) -> None:
    """Without that a new owner would begin at the offset before, and write all of it again."""
    topic, group = kafka.topic("in", 1), rekey_group(kafka.name("group"))
    kafka.produce(topic, [Send(None, b"x")] * 9)
    config = worker_config(bootstrap_servers=(kafka.bootstrap,), session_timeout_seconds=6.0)
    sources = SourceConsumer({**config.consumer_settings(), "group_id": group}, [topic])
    assigned = asyncio.Event()

    async def revoked() -> None: ...

    producer = FencedProducer(
        transactional_id=uuid.uuid4().hex, bootstrap_servers=[kafka.bootstrap]
    )
    await producer.start()
    await sources.start(revoked, assigned.set)
    try:
        await asyncio.wait_for(assigned.wait(), 30)
        tp = (topic, 0)
        assert await sources.stable_offsets([tp]) == {}
        for offset in (4, 7):
            await producer.begin_transaction()
            await producer.commit_offsets({tp: offset}, group, sources.membership())
            asking = asyncio.ensure_future(sources.stable_offsets([tp]))
            done, _ = await asyncio.wait({asking}, timeout=0.5)
            assert not done
            await producer.commit_transaction()
            assert await asyncio.wait_for(asking, 10) == {tp: offset}
    finally:
        await sources.stop()
        await producer.stop()


def test_keys_lie_where_kafkas_own_clients_put_them(broker: Broker) -> None:
    topic = broker.topic("keyed", 7)
    keys = [b"host-%d" % n for n in range(50)] + ["küche".encode(), b"\xff\x00"]
    kafka_client.produce(broker.bootstrap, topic, [Send(key, b"x") for key in keys])
    partition_of = KeyPartitioner(7)
    placed = {record.key: record.partition for record in broker.consume_all(topic)}
    assert placed == {key: partition_of(key) for key in keys}
