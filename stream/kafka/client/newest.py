"""Newest records of a topic, read outside of any group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors

from .patches import accept_empty_markers

_READ_SECONDS = 5.0

log = logging.getLogger(__name__)


async def newest(settings: Mapping[str, Any], topic: str, count: int) -> list[Any]:
    """Read the newest records of a topic.

    Args:
        settings: Keywords of aiokafka's clients.
        topic: Name of the topic.
        count: Most records to return, over all partitions.

    Returns:
        Records by timestamp; empty where they could not be read in time.
    """
    accept_empty_markers()
    consumer = AIOKafkaConsumer(
        **settings,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        partitions = await consumer._client._wait_on_metadata(topic)
        tps = [TopicPartition(topic, partition) for partition in sorted(partitions)]
        consumer.assign(tps)
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        records: list[Any] = []
        for tp in tps:
            consumer.seek(tp, max(starts[tp], ends[tp] - count))
        async with asyncio.timeout(_READ_SECONDS):
            while any([(await consumer.position(tp)) < ends[tp] for tp in tps]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += batch
    except (TimeoutError, kafka_errors.KafkaError) as error:
        log.warning("The newest records of %r could not be read: %r.", topic, error)
        return []
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: record.timestamp)[-count:]
