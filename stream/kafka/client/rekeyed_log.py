"""Logs of re-keyed records and of the offsets of their sources, with transactions and without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from aiokafka import errors as kafka_errors

from stream.kafka.protocol.outbox import settled
from stream.kafka.protocol.ports import LogEntry
from stream.types import TP

from .producers import PlainLog, TransactionalLog


class TransactionalRekeyedLog(TransactionalLog):
    """Records and offsets of their sources in one transaction, fenced twice."""

    async def write(self, records: Mapping[TP, Iterable[LogEntry]]) -> None:
        """Write records within the transaction, and wait for every acknowledgement.

        Args:
            records: Records by partition, in the order of their sources.

        Raises:
            FencedError: If another process of this name has moved on.
        """
        with self._fencing():
            await _write(self._producer, records)


class PlainRekeyedLog(PlainLog):
    """Records first, then the offsets of their sources: records in between come twice."""

    async def write(self, records: Mapping[TP, Iterable[LogEntry]]) -> None:
        """Write records, and wait for every acknowledgement."""
        await _write(self._producer, records)


async def _write(producer: Any, records: Mapping[TP, Iterable[LogEntry]]) -> None:
    acks: list[Awaitable[Any]] = []
    for (topic, partition), entries in records.items():
        batch = producer.create_batch()
        for timestamp, key, value, headers in entries:
            if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is not None:
                continue
            acks.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.sleep(0)  # a batch takes milliseconds to build: the stream goes on
            batch = producer.create_batch()
            if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
                raise kafka_errors.MessageSizeTooLargeError(
                    f"a re-keyed record of {len(value)} bytes"
                )
        batch.close()
        acks.append(await producer.send_batch(batch, topic, partition=partition))
    await settled(acks)
