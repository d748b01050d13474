"""After an assignment: the readable ends of the changelogs, then the positions of the inputs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import errors as kafka_errors

from stream.kafka.client.consumer import LogStatus
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.protocol.start_offset import PartitionStatus, resume
from stream.types import TP

if TYPE_CHECKING:
    from stream.kafka.runtime.session import Session

log = logging.getLogger(__name__)

_SETTLE_POLL_SECONDS = 0.1
_TAKE_OVER_SECONDS = 1.5
_TOPIC_SECONDS = 10.0


async def wait_for_stable_offsets(edge: Session, tps: set[Any]) -> dict[Any, int]:
    """Ends of changelog partitions when no transaction of a former owner is open in them.

    Such a transaction may still be committed: state read before would be too old. Its writer
    is named with the group's offset, or is a state tool; it is taken over, which ends it.
    """
    thread = edge.consumer.thread
    started = edge.clock()
    fenced: set[str] = {edge.transactional_id, ""}
    while True:
        try:
            ends = await thread.facts(tps)
            real = await thread.uncommitted_ends(tps)
        except kafka_errors.KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_SETTLE_POLL_SECONDS)
            continue
        hanging = [tp for tp in tps if ends[tp].end < real[tp]]
        if not hanging:
            return {tp: ends[tp].end for tp in tps}
        waited = edge.clock() - started
        if waited > _TAKE_OVER_SECONDS and edge.transactional_id:
            sources = await thread.facts([edge.source(tp) for tp in hanging])
            # A state tool begins when no worker is there, so this one died, or was too late: it is
            # told so, and nothing of its one transaction stays.
            writers = {facts.writer for facts in sources.values()}
            writers.add(edge.config.tools_transactional_id)
            for writer in sorted(writers - fenced):
                fenced.add(writer)
                log.warning("Ending the open transaction of %r, if it has one.", writer)
                await edge.administration.fence_producer(writer)
        edge.observer.phase("recovering", f"waiting for open transactions in {len(hanging)}")
        await asyncio.sleep(_SETTLE_POLL_SECONDS)


async def take_positions(edge: Session, tps: list[Any]) -> None:
    """Find, check and take the positions of input partitions.

    Where the partitions are let go meanwhile it stops: the next assignment asks anew.

    Raises:
        RefusedError: If state and log contradict each other.
    """
    assignment = edge.assignments
    sources: list[TP] = [(tp.topic, tp.partition) for tp in tps]
    for tp in sources:
        _refuse_newer(edge, tp)
        if not await edge.complete(tp):
            return
    if sources:
        facts, topics = await _ask(edge, sources)
        began = await _began(edge, sources, facts)
        if edge.assignments != assignment:
            return
        starts = {}
        for tp, faust_tp in zip(sources, tps, strict=True):
            starts[faust_tp] = _start(edge, tp, facts[tp], topics, began[tp].offset)
        await edge.consumer.seek_wait(starts)
        if edge.assignments != assignment:
            return
        for tp, faust_tp in zip(sources, tps, strict=True):
            _open(edge, tp, starts[faust_tp], facts[tp], began[tp])
        await edge.write_ahead()
    standbys = edge.consumer.app.tables.recovery.standby_tps
    if edge.assignments != assignment:
        return
    edge.running = True
    edge.observer.assigned(sources, [edge.source(tp) for tp in standbys])
    edge.observer.phase("running", f"{len(sources)} partitions")
    log.info("Running with %d input partitions.", len(sources))


async def _ask(
    edge: Session, sources: list[TP]
) -> tuple[Mapping[TP, LogStatus], Mapping[str, TopicStatus]]:
    """Facts of inputs, and topics with their changelogs; asked again while a broker is away.

    Raises:
        RefusedError: If a topic does not come back.
    """
    topics = sorted({topic for topic, _ in sources})
    changelogs = [edge.config.changelog(topic) for topic in topics]
    until = edge.clock() + _TOPIC_SECONDS
    while True:
        try:
            facts = await edge.consumer.thread.facts(sources)
            found = await edge.administration.describe([*topics, *changelogs])
        except kafka_errors.KafkaError as error:
            if not error.retriable:
                raise
        else:
            missing = [topic for topic in (*topics, *changelogs) if topic not in found]
            if not missing:
                return facts, found
            if edge.clock() > until:
                raise RefusedError(
                    f"Topic {missing[0]!r} does not exist any more. Expected the topics of this "
                    "group to stay. Make it again, and run `ember state rebase`."
                )
        await asyncio.sleep(_SETTLE_POLL_SECONDS)


def _refuse_newer(edge: Session, tp: TP) -> None:
    """Rows that a newer version wrote are not this worker's to forget."""
    version = edge.engine.newer(tp)
    if version:
        raise RefusedError(
            f"The state of {tp[0]}-{tp[1]} was written by a newer version of Ember Stream, in row "
            f"layout {version}, which this one does not read. Start that version again; or, to "
            "begin anew, use another kafka.group."
        )


class _Began(NamedTuple):
    """Where a partition without state begins, and below which offset it gives no events."""

    offset: int
    events_from: int


async def _began(
    edge: Session, sources: list[TP], facts: Mapping[TP, LogStatus]
) -> dict[TP, _Began]:
    """Where a group without state is to begin in each partition.

    History is what was sent before this process was asked to start: what comes while it still
    joins is news.
    """
    start = edge.config.start
    if start == "latest":
        return {tp: _Began(facts[tp].end, -1) for tp in sources}
    if start == "earliest":
        return {tp: _Began(-1, -1) for tp in sources}
    asked = edge.consumer.thread.offsets_at
    since: dict[TP, int] = await asked(sources, round((edge.started - start) * 1000))
    news: dict[TP, int] = await asked(sources, round(edge.started * 1000))
    dated: dict[TP, int] = await asked(sources, 0)
    began = {}
    for tp in sources:
        end = facts[tp].end
        if end > facts[tp].start and tp not in dated:  # the embedded broker looks up no times
            began[tp] = _Began(-1, -1)
        else:
            began[tp] = _Began(since.get(tp, end), min(news.get(tp, end), end))
    return began


def _open(edge: Session, tp: TP, position: int, found: LogStatus, began: _Began) -> None:
    """Own a partition; what its meta row says anew is written before its first record."""
    fresh = edge.engine.meta(tp).absorbed < 0
    new = fresh and found.committed < 0
    unwritten = edge.engine.open(tp, position, began.events_from if new else -1)
    edge.ledger.start(tp, position, found.committed, fresh=fresh, unwritten=unwritten)
    until = edge.engine.meta(tp).events_from
    if until > position:
        log.warning(
            "%s-%d: offsets %d to %d warm up and give no events (input.start).",
            *tp,
            position,
            until - 1,
        )


def _start(
    edge: Session, tp: TP, found: LogStatus, topics: Mapping[str, TopicStatus], began: int
) -> int:
    meta, topic = edge.engine.meta(tp), topics[tp[0]]
    changelog = topics[edge.config.changelog(tp[0])]
    start = resume(
        edge.config.group,
        tp,
        meta,
        PartitionStatus(
            topic_id=topic.topic_id,
            changelog_id=changelog.topic_id,
            partition_count=topic.partitions,
            log_start=found.start,
            log_end=found.end,
            committed=found.committed,
            committed_before=edge.changelog.committed_before(tp),
        ),
        between=not edge.transactional_id,
    )
    meta.topic_id = meta.topic_id or topic.topic_id
    meta.changelog_id = meta.changelog_id or changelog.topic_id
    meta.partition_count = meta.partition_count or topic.partitions
    if start.lost:
        log.error("%s-%d: retention removed %d messages unread.", *tp, start.lost)
    fresh = meta.absorbed < 0 and found.committed < 0
    return max(began, start.position) if fresh else start.position
