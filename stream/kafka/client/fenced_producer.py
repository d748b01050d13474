"""Transactional producer whose offsets are fenced by the group's generation (KIP-447).

aiokafka commits a transaction's offsets without generation and member id, so a worker that lost
its partitions could still commit. This sends version 3 of that request. Private parts of aiokafka
are used; the version is pinned and a test guards them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.client import CoordinationType
from aiokafka.producer.sender import Sender, TxnOffsetCommitHandler
from aiokafka.producer.transaction_manager import TransactionState
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.protocol.ports import FencedError, Membership

from .requests import FencedOffsets

_MOVED_ON = (
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.RebalanceInProgressError,
    getattr(kafka_errors, "FencedInstanceIdError", kafka_errors.UnknownMemberIdError),
)


class _FencedOffsetsHandler(TxnOffsetCommitHandler):
    """Sends the member with the offsets, and takes a refusal as the end of the transaction."""

    def create_request(self) -> FencedOffsets:
        manager = self._sender._txn_manager
        topics = defaultdict(list)
        for tp, offset in sorted(self._offsets.items()):
            topics[tp.topic].append((tp.partition, offset.offset, offset.metadata))
        return FencedOffsets(
            transactional_id=manager.transactional_id,
            group=self._group_id,
            producer_id=manager.producer_id,
            producer_epoch=manager.producer_epoch,
            membership=self._sender.membership,
            topics=list(topics.items()),
        )

    def handle_response(self, resp: Any) -> float | None:
        codes = {code for _, errors, *_ in resp.errors for _, code, *_ in errors}
        for code in codes:
            error = kafka_errors.for_code(code)
            if error in _MOVED_ON:
                self._refuse(FencedError(f"the group has moved on ({error.__name__})"))
                return None
        # aiokafka's handler reads responses without tags.
        plain = [
            (topic, [(partition, code) for partition, code, *_ in errors])
            for topic, errors, *_ in resp.errors
        ]
        return super().handle_response(_Plain(plain))  # type: ignore[no-any-return]

    def _refuse(self, error: FencedError) -> None:
        """Fail the offsets and leave the transaction to be aborted.

        aiokafka's own `error_transaction` forgets the partitions, and its abort then sends
        nothing: the transaction would stay open at the broker until it times out.
        """
        manager = self._sender._txn_manager
        manager._transition_to(TransactionState.ABORTABLE_ERROR)
        for _, _, future in manager._pending_txn_offsets:
            if not future.done():
                future.set_exception(error)
        manager._pending_txn_offsets.clear()
        waiter = manager._transaction_waiter
        waiter.set_exception(error)
        waiter.exception()  # marked as retrieved: the offsets' own future raises it


class _Plain:
    def __init__(self, errors: list[tuple[str, list[tuple[int, int]]]]) -> None:
        self.errors = errors


class _FencedSender(Sender):
    membership: Membership

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> None:
        if not offsets:
            return
        try:
            node = await self._find_coordinator(CoordinationType.GROUP, group_id)
        except kafka_errors.GroupAuthorizationFailedError as error:
            self._txn_manager.error_transaction(error)
            return
        await _FencedOffsetsHandler(self, offsets, group_id).do(node)


class FencedProducer(AIOKafkaProducer):
    """`AIOKafkaProducer` with a transactional id, committing offsets as a group member.

    Args:
        transactional_id: Transactional id, unique per worker.
        settings: Keywords of `AIOKafkaProducer`.
    """

    def __init__(self, *, transactional_id: str, **settings: Any) -> None:
        super().__init__(transactional_id=transactional_id, **settings)
        # aiokafka offers no way to choose the sender, so this one takes over its parts.
        plain: Any = self._sender
        self._sender: Any = _FencedSender(
            plain.client,
            acks=plain._acks,
            txn_manager=plain._txn_manager,
            message_accumulator=plain._message_accumulator,
            retry_backoff_ms=int(plain._retry_backoff * 1000),
            request_timeout_ms=plain._request_timeout_ms,
        )

    async def commit_offsets(
        self, offsets: Mapping[tuple[str, int], int], group: str, membership: Membership
    ) -> None:
        """Add input offsets to the open transaction.

        Raises:
            FencedError: If the group has moved on to another generation.
        """
        self._sender.membership = membership
        # The next owner reads it from the offset's metadata, and knows whom to fence.
        writer = self._txn_manager.transactional_id
        await self.send_offsets_to_transaction(
            {
                TopicPartition(*tp): OffsetAndMetadata(offset, writer)
                for tp, offset in offsets.items()
            },
            group,
        )


async def fence_producer(transactional_id: str, settings: Mapping[str, Any]) -> None:
    """End the open transaction of a former worker, and fence the worker if it still lives.

    Args:
        transactional_id: Transactional id of the former worker.
        settings: Keywords of aiokafka's clients.

    Raises:
        KafkaError: If the transaction coordinator refused.
    """
    # Starting with the same id raises the epoch: the coordinator then aborts the open transaction.
    producer = AIOKafkaProducer(transactional_id=transactional_id, **settings)
    try:
        await asyncio.wait_for(producer.start(), timeout=30.0)
    finally:
        await producer.stop()
