"""Requests to the consumer of a group, and to the brokers and the group through it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.protocol.ports import FencedError, LogStatus, Membership
from stream.types import TP

from .patches import on_heartbeat, patch_fetches

T = TypeVar("T")

_READ_UNCOMMITTED = 0
_LATEST = -1


class GroupConsumer:
    """Consumer of aiokafka in a thread of its own: committed reads, and commits that raise.

    Args:
        settings: Keywords of `AIOKafkaConsumer`.
        call: Function that runs a coroutine function in the consumer's thread, after all that was
            asked of the thread before.

    Attributes:
        last_heartbeat: Time at which the group last confirmed this worker, by `time.monotonic`.
    """

    def __init__(self, settings: Mapping[str, Any], call: Callable[..., Awaitable[Any]]) -> None:
        self._settings = settings
        self._call = call
        self._created: AIOKafkaConsumer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.last_heartbeat = float("-inf")

    def create(self, assignor: Any) -> AIOKafkaConsumer:
        """Make the consumer, in the event loop of its thread.

        Args:
            assignor: Strategy by which the group divides its partitions.
        """
        patch_fetches()
        self._loop = asyncio.get_running_loop()
        self._created = AIOKafkaConsumer(**self._settings, partition_assignment_strategy=[assignor])
        return self._created

    def follow_heartbeats(self) -> None:
        """Note from now on when the group confirms this worker."""
        on_heartbeat(self._consumer, self.note_heartbeat)

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        if self._created is None:
            raise RuntimeError("The consumer is not there. Expected its thread to have started.")
        return self._created

    def note_heartbeat(self) -> None:
        """Note that the group has confirmed this worker just now."""
        self.last_heartbeat = time.monotonic()

    def membership(self) -> Membership:
        """Return the membership that the group's client has now."""
        coordinator = self._consumer._coordinator
        instance = self._settings["group_instance_id"]
        return Membership(coordinator.generation, coordinator.member_id, instance)

    def fetch_position(self, tp: TP) -> int | None:
        """Return the next offset to hand out; None where it is not known."""
        assignment = self._consumer._subscription.subscription.assignment
        # Between two assignments the client has no positions.
        if assignment is None:
            return None
        state = assignment.state_value(TopicPartition(*tp))
        if state is None or not state.has_valid_position:
            return None
        position: int = state.position
        return position

    def highwater(self, tp: TP) -> int | None:
        """Return the end of the log as of the last fetch; None where it is not known."""
        try:
            highwater: int | None = self._consumer.highwater(TopicPartition(*tp))
        except (kafka_errors.IllegalStateError, AssertionError):
            return None
        return highwater

    async def log_status(self, tps: Iterable[TP]) -> dict[TP, LogStatus]:
        """Ask the brokers for log ends (committed reads) and the group for its offsets."""
        status: dict[TP, LogStatus] = await self._call(self._log_status, list(tps))
        return status

    async def _log_status(self, tps: list[TP]) -> dict[TP, LogStatus]:
        consumer = self._consumer
        partitions = [TopicPartition(*tp) for tp in tps]
        if not partitions:
            return {}
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        offsets = await consumer._coordinator.fetch_committed_offsets(partitions)
        status = {}
        for tp, partition in zip(tps, partitions, strict=True):
            stored = offsets.get(partition)
            committed, writer = (stored.offset, stored.metadata or "") if stored else (-1, "")
            status[tp] = LogStatus(starts[partition], ends[partition], committed, writer)
        return status

    async def ping(self) -> None:
        """Return once the thread's event loop has turned."""
        await self._beside(asyncio.sleep(0))

    async def _beside(self, request: Coroutine[Any, Any, T]) -> T:
        """Run in the thread beside its other work; cancelling this cancels it there."""
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(request, self._loop))

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Ask for log starts and ends (committed reads), and not for the group's offsets."""
        return await self._beside(self._log_bounds(list(tps)))

    async def _log_bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        if not tps:
            return {}
        consumer, partitions = self._consumer, [TopicPartition(*tp) for tp in tps]
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): (starts[tp], ends[tp]) for tp in partitions}

    async def offsets_for_time(self, tps: Iterable[TP], timestamp_ms: int) -> dict[TP, int]:
        """Ask for the first offsets that are not older by Kafka's timestamp.

        Returns:
            Offset by partition; partitions without such a record are absent.
        """
        offsets: dict[TP, int] = await self._call(self._offsets_for_time, list(tps), timestamp_ms)
        return offsets

    async def _offsets_for_time(self, tps: list[TP], timestamp_ms: int) -> dict[TP, int]:
        times = {TopicPartition(*tp): timestamp_ms for tp in tps}
        offsets = await self._consumer.offsets_for_times(times)
        return {(tp.topic, tp.partition): entry.offset for tp, entry in offsets.items() if entry}

    async def uncommitted_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Ask for log ends that include open transactions."""
        ends: dict[TP, int] = await self._call(self._uncommitted_ends, list(tps))
        return ends

    async def _uncommitted_ends(self, tps: list[TP]) -> dict[TP, int]:
        client = self._consumer._client
        by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for topic, partition in tps:
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            # A retriable error: the caller asks again when the metadata is new.
            if leader is None or leader == -1:
                await client.force_metadata_update()
                raise kafka_errors.LeaderNotAvailableError(f"{topic}-{partition}")
            by_leader[leader][topic].append((partition, _LATEST))
        ends: dict[TP, int] = {}
        for leader, topics in by_leader.items():
            request = OffsetRequest(-1, _READ_UNCOMMITTED, list(topics.items()))
            response = await client.send(leader, request)
            for topic, partitions in response.topics:
                for partition, code, *fields in partitions:
                    if code:
                        raise kafka_errors.for_code(code)(f"{topic}-{partition}")
                    # Version 0 answers with a list of offsets, later ones with a single offset.
                    version_0 = response.API_VERSION == 0
                    ends[topic, partition] = fields[-1][0] if version_0 else fields[-1]
        return ends

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit input offsets as a member of the group; Faust's own commit swallows refusals.

        Args:
            offsets: Next offset to absorb, by input partition.
            membership: Member and generation that own the partitions.

        Raises:
            FencedError: If the group has moved on.
        """
        await self._call(self._commit, offsets, membership)

    async def _commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        if self.membership() != membership:
            raise FencedError("the group has moved on before the commit")
        structure = {TopicPartition(*tp): OffsetAndMetadata(o, "") for tp, o in offsets.items()}
        try:
            await self._consumer.commit(structure)
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            raise FencedError(f"the group refused the commit: {error}") from error
