"""The consumer's thread: aiokafka's consumer, and what is asked of it directly."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from stream.kafka.protocol.ports import FencedError, Membership
from stream.types import TP

from .patches import accept_empty_markers

T = TypeVar("T")

_READ_UNCOMMITTED = 0
_LATEST = -1


class LogStatus(NamedTuple):
    """Ends of a partition's log and the group's offset in it (-1 none) with its metadata."""

    start: int
    end: int
    committed: int
    writer: str


class ConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread with our consumer: committed reads, own limits, raising commits."""

    mundane_level = "debug"
    app: Any
    last_heartbeat: float = float("-inf")

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        accept_empty_markers()
        config = self.app.edge.config
        self._assignor = self.app.assignor
        session_ms = int(config.session_timeout_seconds * 1000)
        return AIOKafkaConsumer(
            **config.client_settings(),
            group_id=config.group,
            group_instance_id=config.instance_id or None,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # never otherwise: it also governs the changelogs
            isolation_level="read_committed",
            max_poll_records=None,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=500,
            fetch_max_bytes=config.fetch_max_bytes,
            max_partition_fetch_bytes=config.partition_max_bytes,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 4),
            rebalance_timeout_ms=int(max(2 * config.shutdown_timeout_seconds, 60.0) * 1000),
            metadata_max_age_ms=60_000,
        )

    async def on_start(self) -> None:
        """Start, and from now on note when the group confirms this worker."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        heartbeat = coordinator._do_heartbeat

        async def noting() -> bool:
            confirmed: bool = await heartbeat()
            if confirmed:
                self.heard()
            return confirmed

        coordinator._do_heartbeat = noting

    def heard(self) -> None:
        """The group has confirmed this worker just now."""
        self.last_heartbeat = time.monotonic()

    def membership(self) -> Membership:
        """What the group's client believes now."""
        coordinator = self._ensure_consumer()._coordinator
        instance = self.app.edge.config.instance_id or None
        return Membership(coordinator.generation, coordinator.member_id, instance)

    def position_now(self, tp: TP) -> int | None:
        """Next offset to hand out, when it is known."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        if assignment is None:
            return None
        state = assignment.state_value(TopicPartition(*tp))
        if state is None or not state.has_valid_position:
            return None
        position: int = state.position
        return position

    def highwater_now(self, tp: TP) -> int | None:
        """End of the log as of the last fetch, when it is known."""
        try:
            highwater: int | None = self._ensure_consumer().highwater(TopicPartition(*tp))
        except (kafka_errors.IllegalStateError, AssertionError):
            return None
        return highwater

    async def facts(self, tps: Iterable[TP]) -> dict[TP, LogStatus]:
        """Log ends (committed reads) and group offsets, asked from the brokers."""
        result: dict[TP, LogStatus] = await self.call_thread(self._facts, list(tps))
        return result

    async def _facts(self, tps: list[TP]) -> dict[TP, LogStatus]:
        consumer = self._ensure_consumer()
        partitions = [TopicPartition(*tp) for tp in tps]
        if not partitions:
            return {}
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        offsets = await consumer._coordinator.fetch_committed_offsets(partitions)
        facts = {}
        for tp, partition in zip(tps, partitions, strict=True):
            known = offsets.get(partition)
            committed, writer = (known.offset, known.metadata or "") if known else (-1, "")
            facts[tp] = LogStatus(starts[partition], ends[partition], committed, writer)
        return facts

    async def turn(self) -> None:
        """Return once the thread's event loop has turned."""
        await self._beside(asyncio.sleep(0))

    async def _beside(self, asking: Coroutine[Any, Any, T]) -> T:
        """Run in the thread, whatever else it waits for; cancelled there where it is here."""
        asked = asyncio.run_coroutine_threadsafe(asking, self.thread_loop)
        return await asyncio.wrap_future(asked)

    async def bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Log starts and ends (committed reads); unlike by `facts`, the group is not asked."""
        return await self._beside(self._bounds(list(tps)))

    async def _bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        if not tps:
            return {}
        consumer, asked = self._ensure_consumer(), [TopicPartition(*tp) for tp in tps]
        starts = await consumer.beginning_offsets(asked)
        ends = await consumer.end_offsets(asked)
        return {(at.topic, at.partition): (starts[at], ends[at]) for at in asked}

    async def offsets_at(self, tps: Iterable[TP], timestamp_ms: int) -> dict[TP, int]:
        """First offsets that are not older by Kafka's timestamp; partitions without are absent."""
        result: dict[TP, int] = await self.call_thread(self._offsets_at, list(tps), timestamp_ms)
        return result

    async def _offsets_at(self, tps: list[TP], timestamp_ms: int) -> dict[TP, int]:
        asked = {TopicPartition(*tp): timestamp_ms for tp in tps}
        found = await self._ensure_consumer().offsets_for_times(asked)
        return {(at.topic, at.partition): each.offset for at, each in found.items() if each}

    async def uncommitted_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Log ends including open transactions."""
        result: dict[TP, int] = await self.call_thread(self._uncommitted_ends, list(tps))
        return result

    async def _uncommitted_ends(self, tps: list[TP]) -> dict[TP, int]:
        client = self._ensure_consumer()._client
        by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for topic, partition in tps:
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            if leader is None or leader == -1:
                await client.force_metadata_update()
                raise kafka_errors.LeaderNotAvailableError(f"{topic}-{partition}")
            by_leader[leader][topic].append((partition, _LATEST))
        ends: dict[TP, int] = {}
        for leader, topics in by_leader.items():
            request = OffsetRequest(-1, _READ_UNCOMMITTED, list(topics.items()))
            answer = await client.send(leader, request)
            for topic, partitions in answer.topics:
                for partition, code, *found in partitions:
                    if code:
                        raise kafka_errors.for_code(code)(f"{topic}-{partition}")
                    ends[topic, partition] = found[-1][0] if answer.API_VERSION == 0 else found[-1]
        return ends

    async def commit_exactly(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit, or raise; Faust's own commit swallows refusals.

        Raises:
            FencedError: If the group has moved on.
        """
        await self.call_thread(self._commit_exactly, offsets, membership)

    async def _commit_exactly(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        if self.membership() != membership:
            raise FencedError("the group has moved on before the commit")
        structure = {TopicPartition(*tp): OffsetAndMetadata(o, "") for tp, o in offsets.items()}
        try:
            await self._ensure_consumer().commit(structure)
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            raise FencedError(f"the group refused the commit: {error}") from error
