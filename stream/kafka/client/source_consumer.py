"""Consumer of the input topics that are re-keyed, in the event loop of its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from stream.types import TP

from .consumer import GroupConsumer
from .stable_offsets import stable_offsets


class SourceConsumer(GroupConsumer):
    """Member of the group that re-keys; it hands out whole fetches.

    Args:
        settings: Keywords of `AIOKafkaConsumer`.
        topics: Input topics.
    """

    def __init__(self, settings: Mapping[str, Any], topics: Sequence[str]) -> None:
        super().__init__(settings, _at_once)
        self._topics = list(topics)

    async def start(
        self, on_revoked: Callable[[], Awaitable[None]], on_assigned: Callable[[], None]
    ) -> None:
        """Connect and join the group.

        Args:
            on_revoked: Function awaited before partitions are given back.
            on_assigned: Function called when there is a new assignment.
        """
        consumer = self.create(RoundRobinPartitionAssignor)
        consumer.subscribe(self._topics, listener=_Listener(on_revoked, on_assigned))
        await consumer.start()
        self.follow_heartbeats()

    async def stop(self) -> None:
        """Leave the group."""
        await self._consumer.stop()

    def assigned(self) -> set[TP]:
        """Return the partitions that this member has."""
        return {(tp.topic, tp.partition) for tp in self._consumer.assignment()}

    async def partitions(self) -> list[TP]:
        """Return all partitions of the topics."""
        client = self._consumer._client
        numbers = {topic: await client._wait_on_metadata(topic) for topic in self._topics}
        return [(topic, number) for topic in self._topics for number in sorted(numbers[topic])]

    async def fetch(self, tps: Collection[TP], most: int, seconds: float) -> dict[TP, list[Any]]:
        """Return the next records of some partitions, each in their order.

        Args:
            tps: Partitions to read; those not assigned any more are left out.
            most: Most records to return.
            seconds: Time to wait for the first.
        """
        partitions = [tp for tp in self._consumer.assignment() if tp in tps]
        if not partitions:
            await asyncio.sleep(seconds)
            return {}
        records = await self._consumer.getmany(
            *partitions, timeout_ms=int(seconds * 1000), max_records=most
        )
        return {(tp.topic, tp.partition): batch for tp, batch in records.items()}

    def has_more(self, tp: TP) -> bool:
        """Return whether a partition has more to hand out, as far as its last fetch has told."""
        try:
            end = self._consumer.last_stable_offset(TopicPartition(*tp))
        except (kafka_errors.IllegalStateError, AssertionError):  # it was given back
            return False
        # Some brokers do not say.
        end = self.highwater(tp) if end is None or end < 0 else end
        position = self.fetch_position(tp)
        # Before the first answer nobody knows.
        return end is None or position is None or position < end

    def seek(self, tp: TP, offset: int) -> None:
        """Set the next offset to fetch; records of the partition that wait are dropped."""
        self._consumer.seek(TopicPartition(*tp), offset)

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no more."""
        self._consumer.pause(*(TopicPartition(*tp) for tp in tps))

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions again."""
        self._consumer.resume(*(TopicPartition(*tp) for tp in tps))

    async def stable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the committed offsets that no open transaction may change."""
        coordinator = self._consumer._coordinator
        return await stable_offsets(coordinator, self._settings["group_id"], tps)


class _Listener(ConsumerRebalanceListener):
    def __init__(
        self, on_revoked: Callable[[], Awaitable[None]], on_assigned: Callable[[], None]
    ) -> None:
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._on_revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._on_assigned()


async def _at_once(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Run a coroutine function in this event loop, which is the consumer's own."""
    return await function(*arguments)
