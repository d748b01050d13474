"""Reader and writer of a compacted topic with one partition, outside of any group."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors

from .patches import FetchedRecord, patch_fetches

_POLL_MS = 500
_WAIT_MS = 10
"""Time that a broker holds a fetch without records; to close a consumer takes as long."""
_FOLLOW_WAIT_MS = 500
_STALLED_SECONDS = 30.0
_TRANSACTION_MS = 600_000
"""Time for one publication; brokers allow 15 minutes by default."""


class CompactedLogReader:
    """Reader of the one partition of a topic; it sees committed records only.

    Args:
        settings: Keywords of aiokafka's clients.
        topic: Name of the topic, which exists.
        following: Whether it waits for records to come.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, *, following: bool = False) -> None:
        patch_fetches()
        self._consumer = AIOKafkaConsumer(
            **settings,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FOLLOW_WAIT_MS if following else _WAIT_MS,
        )
        self._tp = TopicPartition(topic, 0)

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            self._consumer.assign([self._tp])
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def end(self) -> int:
        """Return the offset behind the last committed record."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets([self._tp])
        return ends[self._tp]

    async def read(self, end: int, first: int = 0) -> AsyncIterator[FetchedRecord]:
        """Iterate over the records of [first, end) that are still there.

        Raises:
            KafkaError: If the broker refuses, or gives nothing for long.
        """
        starts = await self._consumer.beginning_offsets([self._tp])
        self._consumer.seek(self._tp, max(first, starts[self._tp]))
        # Positions, not records, are counted: markers and compacted offsets deliver nothing.
        clock = asyncio.get_running_loop().time
        position, moved_at = await self._consumer.position(self._tp), clock()
        while position < end:
            batches = await self._consumer.getmany(self._tp, timeout_ms=_POLL_MS)
            for record in batches.get(self._tp, ()):
                if record.offset < end:
                    yield record
            former, position = position, await self._consumer.position(self._tp)
            if position != former:
                moved_at = clock()
            elif clock() - moved_at > _STALLED_SECONDS:
                raise kafka_errors.KafkaTimeoutError(
                    f"no broker gives the records of {self._tp.topic!r}"
                )

    async def follow(self, first: int) -> AsyncIterator[FetchedRecord]:
        """Iterate over the records from an offset on, for as long as they come."""
        async for batch in self.follow_batches(first):
            for record in batch:
                yield record

    async def follow_batches(self, first: int) -> AsyncIterator[Sequence[FetchedRecord]]:
        """Iterate over the records from an offset on, as they come; an empty batch: none came."""
        self._consumer.seek(self._tp, first)
        while True:
            batches = await self._consumer.getmany(self._tp, timeout_ms=_POLL_MS)
            yield batches.get(self._tp, ())


class CompactedLogWriter:
    """Writer of such a topic; with transactions there is only one at a time.

    Args:
        settings: Keywords of aiokafka's clients.
        topic: Name of the topic.
        transactional_id: Transactional id; empty where the broker has no transactions.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, transactional_id: str) -> None:
        mode: dict[str, Any] = {"enable_idempotence": True}
        if transactional_id:
            mode = {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": _TRANSACTION_MS,
            }
        self._producer = AIOKafkaProducer(**settings, **mode)
        self._topic, self._transactional = topic, bool(transactional_id)

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    @contextlib.asynccontextmanager
    async def publication(self) -> AsyncIterator[None]:
        """Make all records of the block visible together, where the broker has transactions."""
        if not self._transactional:
            yield
            return
        async with self._producer.transaction():
            yield

    async def put(self, key: bytes, value: bytes | None) -> None:
        """Write one record, and wait until all replicas have it.

        Raises:
            KafkaError: If it is refused; another publisher may have fenced this one.
        """
        await self._producer.send_and_wait(self._topic, value=value, key=key, partition=0)


def is_fenced(error: BaseException) -> bool:
    """Return whether another producer has taken over the transactional id."""
    causes: Sequence[BaseException | None] = (error, error.__cause__)
    return any(isinstance(cause, kafka_errors.ProducerFenced) for cause in causes)
