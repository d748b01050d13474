"""Newest records of a topic, read outside of any group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors

from .patches import patch_fetches

_READ_SECONDS = 5.0
_OLDER_BLOCKS = 20
"""Distance of the older records from the end, in blocks of the newest ones."""

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
    try:
        # All of the newest records may be in one partition.
        records = await newest_of_each(settings, topic, count)
    except (TimeoutError, kafka_errors.KafkaError) as error:
        log.warning("The newest records of %r could not be read: %r.", topic, error)
        return []
    return records[-count:]


async def newest_of_each(
    settings: Mapping[str, Any], topic: str, count: int, *, older: int = 0, partial: bool = False
) -> list[Any]:
    """Read the newest records of every partition of a topic, and some older ones.

    Args:
        settings: Keywords of aiokafka's clients.
        topic: Name of the topic.
        count: Most records to return of the end of one partition.
        older: Records to return from further back in each partition, `20 * count` before its end.
        partial: True returns the records that came in time, where not all did.

    Returns:
        Records by timestamp.

    Raises:
        TimeoutError: If not all came in time, unless `partial`.
        KafkaError: If the cluster refuses.
    """
    patch_fetches()
    consumer = AIOKafkaConsumer(
        **settings,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    records: list[Any] = []
    try:
        await consumer.start()
        partitions = await consumer._client._wait_on_metadata(topic)
        tps = [TopicPartition(topic, partition) for partition in sorted(partitions)]
        consumer.assign(tps)
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        newest = {tp: (max(starts[tp], ends[tp] - count), ends[tp]) for tp in tps}
        # Blocks, not single records: the caller looks at records that came together.
        earlier_starts = {tp: max(starts[tp], ends[tp] - _OLDER_BLOCKS * count) for tp in tps}
        earlier = {
            tp: (earlier_starts[tp], min(earlier_starts[tp] + older, newest[tp][0])) for tp in tps
        }
        async with asyncio.timeout(_READ_SECONDS):
            await _read(consumer, newest, records)
            if older:
                await _read(consumer, earlier, records)
    except TimeoutError:
        if not (partial and records):
            raise
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: record.timestamp)


async def _read(
    consumer: AIOKafkaConsumer,
    ranges: Mapping[TopicPartition, tuple[int, int]],
    records: list[Any],
) -> None:
    """Append the records of [first, end) of each partition."""
    ranges = {tp: (first, end) for tp, (first, end) in ranges.items() if first < end}
    for tp, (first, _) in ranges.items():
        consumer.seek(tp, first)
    # Positions, not records, are counted: markers and compacted offsets deliver nothing.
    while ranges and any([(await consumer.position(tp)) < end for tp, (_, end) in ranges.items()]):
        for tp, batch in (await consumer.getmany(*ranges, timeout_ms=200)).items():
            records += [record for record in batch if record.offset < ranges[tp][1]]
