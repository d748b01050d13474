"""Patches of aiokafka: each with the version it is for, and the test that guards it.

`FencedProducer` and `requests` extend aiokafka by subclasses; they change nothing of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord


class _PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's records of a fetch, in which an empty control batch ends no transaction."""

    def _contains_abort_marker(self, next_batch: Any) -> bool:
        # Kafka removes a marker only after the records that it ended, so nothing is left to skip.
        record = next(next_batch, None)
        return record is not None and ControlRecord.parse(record.key) == ABORT_MARKER


def accept_empty_markers() -> None:
    """Work around empty control batches, which aiokafka 0.14 cannot read.

    Kafka's cleaner removes old markers from a compacted log, but keeps the empty batch of one
    while it has the producer's last sequence number (KAFKA-7467). aiokafka takes such a batch for
    damage, so a changelog that lay idle could never be read again. All consumers of the process
    are patched; a second call changes nothing.

    Guarded by `tests/stream/kafka/client/test_patches.py`.
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
