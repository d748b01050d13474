"""Patches of aiokafka: each with the version it is for, and the test that guards it.

`FencedProducer` and `requests` extend aiokafka by subclasses; they change nothing of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """Record of a fetch: what codecs and changelogs read of aiokafka's `ConsumerRecord`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class _PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's records of a fetch, in which an empty control batch ends no transaction.

    Deserialisers are left out: no consumer here has any.
    """

    def _consumer_record(self, tp: Any, record: Any) -> FetchedRecord:
        headers = tuple(record.headers)
        offset, timestamp = record.offset, record.timestamp
        return FetchedRecord(
            tp.topic, tp.partition, offset, timestamp, record.key, record.value, headers
        )

    def _contains_abort_marker(self, next_batch: Any) -> bool:
        # Kafka removes a marker only after the records that it ended, so nothing is left to skip.
        record = next(next_batch, None)
        return record is not None and ControlRecord.parse(record.key) == ABORT_MARKER


def patch_fetches() -> None:
    """Let aiokafka 0.14 read empty control batches, and make a lighter object of each record.

    Kafka's cleaner removes old markers from a compacted log, but keeps the empty batch of one
    while it has the producer's last sequence number (KAFKA-7467). aiokafka takes such a batch for
    damage, so a changelog that lay idle could never be read again.

    A `ConsumerRecord` takes twice the time of a `FetchedRecord`, and the garbage collector goes
    through it and its headers as long as it waits.

    All consumers of the process are patched; a second call changes nothing. Guarded by
    `tests/stream/kafka/client/test_patches.py`.
    """
    fetcher.PartitionRecords = _PartitionRecords


def on_heartbeat(consumer: AIOKafkaConsumer, confirmed: Callable[[], None]) -> None:
    """Call a function whenever the group confirms a started consumer; aiokafka 0.14 has no hook.

    Guarded by `tests/stream/kafka/client/test_patches.py`.

    Args:
        consumer: Started consumer of a group.
        confirmed: Function to call in the consumer's event loop.
    """
    coordinator = consumer._coordinator
    heartbeat = coordinator._do_heartbeat

    async def noting() -> bool:
        succeeded: bool = await heartbeat()
        if succeeded:
            confirmed()
        return succeeded

    coordinator._do_heartbeat = noting
