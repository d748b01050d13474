"""Start after an assignment: readable ends of the changelogs, then positions of the inputs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from stream.engine import AnyEngine
from stream.kafka.client.errors import KafkaError, is_retriable
from stream.kafka.context import Context
from stream.kafka.protocol.assignment import Assignment
from stream.kafka.protocol.ports import (
    FetchControl,
    GroupClient,
    LogStatus,
    Recovery,
    RefusedError,
    TopicStatus,
)
from stream.kafka.protocol.start_offset import PartitionStatus, partitions_added, resume
from stream.types import TP

from .loader import StateLoader

log = logging.getLogger(__name__)

_SETTLE_POLL_SECONDS = 0.1
_FENCE_AFTER_SECONDS = 1.5
_TOPIC_SECONDS = 10.0


async def wait_for_stable_offsets(
    context: Context, client: GroupClient, tps: Collection[TP]
) -> dict[TP, int]:
    """Return the ends of changelog partitions once no transaction of a former owner is open.

    Such a transaction may still be committed: state read before would be too old. Its writer is
    named with the group's offset, or is a state tool; fencing it ends the transaction.

    Args:
        context: Surroundings of the worker.
        client: Member of the group.
        tps: Changelog partitions.
    """
    started = context.clock()
    # Its own id would fence this worker; an empty one means an untransactional writer.
    fenced: set[str] = {context.transactional_id, ""}
    while True:
        try:
            status = await client.log_status(tps)
            ends = await client.uncommitted_ends(tps)
        except KafkaError as error:
            if not is_retriable(error):
                raise
            await asyncio.sleep(_SETTLE_POLL_SECONDS)
            continue
        unstable = [tp for tp in tps if status[tp].end < ends[tp]]
        if not unstable:
            return {tp: status[tp].end for tp in tps}
        overdue = context.clock() - started > _FENCE_AFTER_SECONDS
        if overdue and context.transactional_id:
            sources = await client.log_status([context.config.source_of(tp) for tp in unstable])
            # A state tool begins when no worker is there, so this one died, or was too late: it is
            # told so, and nothing of its one transaction stays.
            writers = {source.writer for source in sources.values()}
            writers.add(context.config.tools_transactional_id)
            for writer in sorted(writers - fenced):
                fenced.add(writer)
                log.warning("Ending the open transaction of %r, if it has one.", writer)
                await context.admin.fence_producer(writer)
        context.lifecycle.recover(f"waiting for open transactions in {len(unstable)}")
        await asyncio.sleep(_SETTLE_POLL_SECONDS)


class _Begin(NamedTuple):
    """First offset of a partition without state, and the offset below which it gives no events."""

    offset: int
    events_from: int


class Starter:
    """Opens input partitions: finds, checks and takes their positions.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        loader: Part that migrates rows and knows the changelogs.
        client: Member of the group.
        fetching: Control of the fetches.
        checkpoint: Function that makes a checkpoint, given a reason for logs and metrics.
        on_open: Function called with each partition that is open now, before the checkpoint; with
            the end of its log, and whether the group has read nothing of it yet.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        loader: StateLoader,
        client: GroupClient,
        fetching: FetchControl,
        checkpoint: Callable[[str], Awaitable[None]],
        on_open: Callable[[TP, int, bool], None] = lambda *_: None,
    ) -> None:
        self._context = context
        self._config = context.config
        self._engine = engine
        self._loader = loader
        self._client = client
        self._fetching = fetching
        self._checkpoint = checkpoint
        self._on_open = on_open

    async def start(self, assignment: Assignment, tps: Sequence[TP], recovery: Recovery) -> None:
        """Open the input partitions of an assignment.

        Args:
            assignment: Assignment that the partitions belong to.
            tps: Input partitions.
            recovery: Recovery that brought their state.

        Raises:
            AssignmentClosed: If the partitions were given back meanwhile.
            RefusedError: If state and log contradict each other.
        """
        await self._refuse_added(tps)
        for tp in tps:
            self._refuse_newer(tp)
            await self._loader.migrate(assignment, tp)
        if tps:
            await self._take_positions(assignment, tps)
            # New meta rows have to be in the log before the first record is absorbed.
            await self._checkpoint("start")
        assignment.check_open()
        self._context.observer.assigned(
            tps, [self._config.source_of(tp) for tp in recovery.standby_tps]
        )
        self._context.lifecycle.run(len(tps))
        log.info("Running with %d input partitions.", len(tps))

    async def _take_positions(self, assignment: Assignment, tps: Sequence[TP]) -> None:
        status, topics = await self._describe(tps)
        begins = await self._begins(tps, status, topics)
        assignment.check_open()
        starts = {tp: self._start_offset(tp, status[tp], topics, begins[tp].offset) for tp in tps}
        await self._fetching.seek(starts)
        assignment.check_open()
        for tp in tps:
            self._open(assignment, tp, starts[tp], status[tp], begins[tp])

    async def _describe(
        self, tps: Sequence[TP]
    ) -> tuple[Mapping[TP, LogStatus], Mapping[str, TopicStatus]]:
        """Ask for the logs of inputs, and for topics with their changelogs, until a broker answers.

        Raises:
            RefusedError: If a topic does not come back.
        """
        inputs = sorted({topic for topic, _ in tps})
        names = [*inputs, *map(self._config.changelog, inputs)]
        deadline = self._context.clock() + _TOPIC_SECONDS
        while True:
            try:
                status = await self._client.log_status(tps)
                topics = await self._context.admin.describe(names)
            except KafkaError as error:
                if not is_retriable(error):
                    raise
            else:
                missing = [name for name in names if name not in topics]
                if not missing:
                    return status, topics
                if self._context.clock() > deadline:
                    raise RefusedError(
                        f"Topic {missing[0]!r} does not exist any more. Expected the topics of "
                        "this group to stay. Make it again, and run `ember state rebase`."
                    )
            await asyncio.sleep(_SETTLE_POLL_SECONDS)

    async def _refuse_added(self, tps: Sequence[TP]) -> None:
        """Refuse partitions that were added to a topic while its changelog has none for them.

        Raises:
            RefusedError: If there are such partitions.
        """
        attached = set(self._engine.attached())
        added = [tp for tp in tps if tp not in attached]
        if not added:
            return
        topic, changelog = added[0][0], self._config.changelog(added[0][0])
        _, topics = await self._describe([added[0]])
        raise RefusedError(
            partitions_added(
                changelog, topic, topics[topic].partitions, topics[changelog].partitions
            )
        )

    def _refuse_newer(self, tp: TP) -> None:
        """Refuse rows of a newer version, which this worker must not forget.

        Raises:
            RefusedError: If there are such rows.
        """
        version = self._engine.newer(tp)
        if version:
            raise RefusedError(
                f"The state of {tp[0]}-{tp[1]} was written by a newer version of Ember Stream, in "
                f"row layout {version}, which this one does not read. Start that version again; "
                "or, to begin anew, use another kafka.group."
            )

    async def _begins(
        self,
        tps: Sequence[TP],
        status: Mapping[TP, LogStatus],
        topics: Mapping[str, TopicStatus],
    ) -> dict[TP, _Begin]:
        """Find the first offset of each partition for a group without state.

        History was sent before this process was asked to start: records that come while it still
        joins are news. Records without a Kafka timestamp are history where they are there already.
        """
        start = self._config.start
        if self._config.rekeyed:
            # Nobody else writes there: the re-keyer begins in its sources as configured.
            return {tp: _Begin(-1, -1) for tp in tps}
        if start == "latest":
            return {tp: _Begin(status[tp].end, -1) for tp in tps}
        if start == "earliest":
            return {tp: _Begin(-1, -1) for tp in tps}
        lookup, started = self._client.offsets_for_time, self._context.started
        history = await lookup(tps, round((started - start) * 1000))
        news = await lookup(tps, round(started * 1000))
        dated = await lookup(tps, 0)
        begins = {}
        for tp in tps:
            end = status[tp].end
            if end > status[tp].start and tp not in dated:
                # The embedded broker has no topic ids, and looks up no times.
                begins[tp] = _Begin(-1, end if topics[tp[0]].topic_id else -1)
            else:
                begins[tp] = _Begin(history.get(tp, end), min(news.get(tp, end), end))
        return begins

    def _open(
        self, assignment: Assignment, tp: TP, position: int, status: LogStatus, begin: _Begin
    ) -> None:
        """Own a partition; its new meta row is written before its first record."""
        # A group that has committed has begun, even where nothing was absorbed.
        fresh = self._engine.meta(tp).absorbed < 0
        new = fresh and status.committed < 0
        unwritten = self._engine.open(
            tp, position, begin.events_from if new else -1, self._news_from_ms() if new else None
        )
        assignment.positions.start(tp, position, status.committed, fresh=fresh, unwritten=unwritten)
        self._on_open(tp, status.end, new)
        events_from = self._engine.meta(tp).events_from
        if events_from > position:
            log.warning(
                "%s-%d: offsets %d to %d warm up and give no events (input.start).",
                *tp,
                position,
                events_from - 1,
            )

    def _news_from_ms(self) -> int | None:
        """Return the Kafka timestamp of the first news where history comes by re-keying."""
        start = self._config.start
        if not self._config.rekeyed or start in ("earliest", "latest"):
            return None
        return round(self._context.started * 1000)

    def _start_offset(
        self, tp: TP, status: LogStatus, topics: Mapping[str, TopicStatus], begin: int
    ) -> int:
        meta, topic = self._engine.meta(tp), topics[tp[0]]
        changelog = topics[self._config.changelog(tp[0])]
        start = resume(
            self._config.group,
            tp,
            meta,
            PartitionStatus(
                topic_id=topic.topic_id,
                changelog_id=changelog.topic_id,
                partition_count=topic.partitions,
                log_start=status.start,
                log_end=status.end,
                committed=status.committed,
                committed_before=self._loader.changelog.committed_before(tp),
            ),
            # A suspended worker may have written late rows where nothing fences.
            between=not self._context.transactional_id,
        )
        meta.topic_id = meta.topic_id or topic.topic_id
        meta.changelog_id = meta.changelog_id or changelog.topic_id
        meta.partition_count = meta.partition_count or topic.partitions
        if start.lost:
            log.error("%s-%d: retention removed %d messages unread.", *tp, start.lost)
        fresh = meta.absorbed < 0 and status.committed < 0
        return max(begin, start.position) if fresh else start.position
