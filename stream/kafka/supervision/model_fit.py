"""Whether the model fits what is on the topic: looked at before the first record is consumed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors

from stream.codecs import Codec
from stream.kafka.client.patches import accept_empty_markers
from stream.kafka.config import WorkerConfig
from stream.observer import Observer
from stream.records import Message, Reason

NEWEST = 100
"""Records looked at."""
_READ_SECONDS = 5.0
_AGAIN_SECONDS = 10.0

log = logging.getLogger(__name__)


async def wait_for_fit(
    config: WorkerConfig, codec: Codec, channels: Sequence[str], observer: Observer
) -> None:
    """Wait while a topic's newest records hold none of the model's channels.

    Nothing is consumed meanwhile: with the right model the same records can still be scored.
    """
    while True:
        for topic in config.topics:
            records = await newest(config, topic)
            # In a thread: the codec may have to ask for schemas.
            sentence = await asyncio.to_thread(misfit, topic, records, codec, channels)
            if sentence:
                break
        else:
            return
        observer.phase("unfit", sentence)
        log.error("%s", sentence)
        await asyncio.sleep(_AGAIN_SECONDS)


def misfit(
    topic: str, records: Sequence[Message], codec: Codec, channels: Sequence[str]
) -> str | None:
    """Say so when records are there and none has any of the model's channels."""
    if not records:
        return None
    decoded = codec.decode(records)
    fitting = len(decoded) and not bool(np.isnan(decoded.values).all())
    others = [r for r in decoded.rejected if r.reason is not Reason.NO_CHANNELS]
    if fitting or len(others) == len(records):
        return None  # undecodable records are a matter for the dead letters
    shown = ", ".join(channels[:5]) + (", ..." if len(channels) > 5 else "")
    return (
        f"The model does not fit topic {topic!r}: none of its newest {len(records)} records has "
        f"any of the model's channels. Expected some of: {shown}. Use a model trained on this "
        "telemetry, or map the channels under `[input] fields`."
    )


async def newest(config: WorkerConfig, topic: str) -> list[Any]:
    """Read the newest records of a topic, outside of any group."""
    accept_empty_markers()
    consumer = AIOKafkaConsumer(
        **config.client_settings(),
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
        found: list[Any] = []
        for tp in tps:
            consumer.seek(tp, max(starts[tp], ends[tp] - NEWEST))
        async with asyncio.timeout(_READ_SECONDS):
            while any([(await consumer.position(tp)) < ends[tp] for tp in tps]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
    except (TimeoutError, kafka_errors.KafkaError) as error:
        log.warning("The newest records of %r could not be read: %r.", topic, error)
        return []
    finally:
        await consumer.stop()
    return sorted(found, key=lambda record: record.timestamp)[-NEWEST:]
