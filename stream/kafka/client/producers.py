"""State logs and event sinks on aiokafka's producers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from stream.kafka.protocol.outbox import settled
from stream.kafka.protocol.ports import FencedError, Headers, Membership, Outgoing
from stream.types import TP

from .fenced_producer import FencedProducer

log = logging.getLogger(__name__)

_ABORT_SECONDS = 3.0


class ProducerSink:
    """Sink of messages on a producer of aiokafka.

    Args:
        producer: Producer that sends them.
        started: Whether it is connected; if not, the first `send` connects it.
    """

    def __init__(self, producer: AIOKafkaProducer, *, started: bool = False) -> None:
        self._producer = producer
        self._started = started
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect, once."""
        async with self._starting:
            if not self._started:
                await self._producer.start()
                self._started = True

    async def stop(self) -> None:
        """Deliver pending messages, and close."""
        await self._producer.stop()

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Hand a message to the producer."""
        if not self._started:
            await self.start()
        future: Awaitable[Any] = await self._producer.send(
            message.topic,
            value=message.value,
            key=message.key,
            partition=message.partition,
            timestamp_ms=message.timestamp_ms,
            headers=message.headers,
        )
        return future


async def append_rows(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    keys: Sequence[bytes],
    rows: Sequence[bytes | None],
    last_headers: Headers,
    gone_headers: Headers,
) -> int:
    """Write rows in as few batches as fit, and wait for every acknowledgement.

    Args:
        producer: Started producer.
        topic: Changelog topic.
        partition: Partition of the changelog.
        keys: Stream keys, and the key of the meta row.
        rows: Rows; None is a tombstone.
        last_headers: Headers of the last row.
        gone_headers: Headers of each tombstone.

    Returns:
        Offset of the last row; -1 when the broker did not say.
    """
    now = int(time.time() * 1000)
    last = len(keys) - 1
    batch = producer.create_batch()
    acks: list[Awaitable[Any]] = []
    for index, (key, row) in enumerate(zip(keys, rows, strict=True)):
        # Headers cost bytes in every row: only tombstones and the meta row, the last one, have any.
        headers = last_headers if index == last else gone_headers if row is None else []
        if batch.append(timestamp=now, key=key, value=row, headers=headers) is None:
            acks.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.sleep(0)  # a batch takes milliseconds to build: the stream goes on
            batch = producer.create_batch()
            if batch.append(timestamp=now, key=key, value=row, headers=headers) is None:
                raise kafka_errors.MessageSizeTooLargeError(f"a row of {len(row or b'')} bytes")
    batch.close()
    acks.append(await producer.send_batch(batch, topic, partition=partition))
    metadata = (await settled(acks))[-1]
    # With acks but without an offset: some brokers do not say where a batch lies.
    if metadata is None or metadata.offset < 0:
        return -1
    last_offset: int = metadata.offset + batch.record_count() - 1
    return last_offset


class PlainLog:
    """Without transactions: rows first, then offsets. For brokers that have or allow none.

    Args:
        producer: Started producer; idempotent.
        changelog: Function from an input topic to its changelog topic.
        commit: Function that commits as the group's current member, or raises.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        changelog: Callable[[str], str],
        commit: Callable[[Mapping[TP, int], Membership], Awaitable[None]],
    ) -> None:
        self._producer = producer
        self._changelog = changelog
        self._commit = commit

    async def begin(self) -> None:
        """Do nothing: there is no transaction."""

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Refuse: there is no transaction to wait for."""
        raise RuntimeError("The plain log holds no events. Expected guarantee=at_least_once.")

    async def append(
        self,
        tp: TP,
        keys: Sequence[bytes],
        rows: Sequence[bytes | None],
        last_headers: Headers,
        gone_headers: Headers,
    ) -> int:
        """Write rows to the changelog."""
        destination = self._changelog(tp[0]), tp[1]
        return await append_rows(
            self._producer, *destination, keys, rows, last_headers, gone_headers
        )

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit through the consumer."""
        await self._commit(offsets, membership)

    async def abort(self) -> None:
        """Do nothing: there is no transaction."""


class TransactionalLog:
    """Rows, meta rows, offsets and held events in one transaction, fenced twice.

    The transactional id fences off a second process of this name, the group's generation a worker
    that has lost its partitions.

    Args:
        producer: Started producer with a transactional id.
        changelog: Function from an input topic to its changelog topic.
        group: Consumer group.
        seconds: Time after which the broker ends a transaction by itself.
    """

    def __init__(
        self,
        producer: FencedProducer,
        changelog: Callable[[str], str],
        group: str,
        seconds: float = math.inf,
    ) -> None:
        self._producer = producer
        self._changelog = changelog
        self._group = group
        self._seconds = seconds
        self._began = 0.0
        self._events = ProducerSink(producer, started=True)

    async def begin(self) -> None:
        """Begin a transaction; nothing is sent yet.

        Raises:
            FencedError: If another process of this name has moved on.
        """
        self._began = time.monotonic()
        with self._fencing():
            await self._producer.begin_transaction()

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Send an event within the transaction.

        Raises:
            FencedError: If another process of this name has moved on; also from the
                acknowledgement.
        """
        with self._fencing():
            return asyncio.ensure_future(self._acknowledged(await self._events.send(message)))

    async def _acknowledged(self, ack: Awaitable[Any]) -> Any:
        with self._fencing():
            return await ack

    async def append(
        self,
        tp: TP,
        keys: Sequence[bytes],
        rows: Sequence[bytes | None],
        last_headers: Headers,
        gone_headers: Headers,
    ) -> int:
        """Write rows within the transaction.

        Raises:
            FencedError: If another process of this name has moved on.
        """
        destination = self._changelog(tp[0]), tp[1]
        with self._fencing():
            return await append_rows(
                self._producer, *destination, keys, rows, last_headers, gone_headers
            )

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit offsets and transaction.

        Raises:
            FencedError: If the group or another process of this name has moved on.
        """
        with self._fencing():
            await self._producer.commit_offsets(offsets, self._group, membership)
            await self._producer.commit_transaction()

    @contextlib.contextmanager
    def _fencing(self) -> Iterator[None]:
        """Turn the error of a fenced producer into one that names the reason."""
        try:
            yield
        except kafka_errors.KafkaError as error:
            # aiokafka raises some of its own errors from the broker's.
            if not any(
                isinstance(e, kafka_errors.ProducerFenced) for e in (error, error.__cause__)
            ):
                raise
            seconds = time.monotonic() - self._began
            reason = "another process uses its transactional id"
            if seconds >= self._seconds:
                reason = (
                    f"its checkpoint took {seconds:.0f} s, and the broker ends a transaction after "
                    f"{self._seconds:g} s; write less at a time (checkpoint.max_bytes), or look "
                    "why the broker is slow"
                )
            raise FencedError(reason) from error

    async def abort(self) -> None:
        """Tell the broker, so that nobody has to wait for the transaction's timeout."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._producer.abort_transaction(), timeout=_ABORT_SECONDS)
