"""Batches of a transaction's marker that hold no marker any more.

Kafka's cleaner removes old markers from a compacted log, but keeps the empty batch of one while it
has the producer's last sequence number. Kafka's own client reads past it (KAFKA-7467); aiokafka
0.14 takes it for a broken log, so that a changelog which lay idle could never be read again.
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord


class _Records(fetcher.PartitionRecords):
    """aiokafka's, but an empty control batch is the end of no transaction."""

    def _contains_abort_marker(self, next_batch: Any) -> bool:
        # What the marker ended was removed with it.
        record = next(next_batch, None)
        return record is not None and ControlRecord.parse(record.key) == ABORT_MARKER


def accept_empty_markers() -> None:
    """Let every consumer of this process read past them; again is no change."""
    fetcher.PartitionRecords = _Records
