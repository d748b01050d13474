"""Consumers alone: what there is to be had from the broker before any work is done."""

from __future__ import annotations

import asyncio

from benchmarks.peers import Job
from benchmarks.peers.progress import PeerProgress
from benchmarks.progress import Reporter


def aiokafka_raw(job: Job) -> None:
    """Aiokafka, whole fetches at a time."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    progress = PeerProgress(job)

    async def read() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=job.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(job.topic, part) for part in range(job.partitions)])
            while not progress.is_over():
                fetched = await consumer.getmany(timeout_ms=500)
                progress.count += sum(map(len, fetched.values()))
        finally:
            await consumer.stop()

    with Reporter(lambda: progress.count):
        asyncio.run(read())


def confluent_raw(job: Job) -> None:
    """librdkafka, ten thousand records a call."""
    from confluent_kafka import Consumer, TopicPartition

    progress = PeerProgress(job)
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": "confluent-raw",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(job.topic, part, 0) for part in range(job.partitions)])
    with Reporter(lambda: progress.count):
        while not progress.is_over():
            progress.count += len(consumer.consume(10_000, timeout=0.5))
    consumer.close()
