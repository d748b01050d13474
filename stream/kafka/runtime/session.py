"""One worker's protocol objects joined together, called by transport, store and recovery."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from stream.codecs import Codec
from stream.engine import Engine
from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.changelog import Changelog
from stream.kafka.protocol.checkpoint import Checkpoint, CheckpointError
from stream.kafka.protocol.membership import GroupMembership
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import (
    Administration,
    Clock,
    EventSink,
    FencedError,
    Membership,
    RefusedError,
    StateLog,
)
from stream.kafka.protocol.positions import Positions
from stream.kafka.recovery.snapshots import Snapshots
from stream.kafka.recovery.start import take_positions, wait_for_stable_offsets
from stream.kafka.supervision.cluster_monitor import ClusterMonitor
from stream.observer import Observer
from stream.records import quoted
from stream.types import TP

from .dead_letters import DeadLetters
from .paused_partitions import PausedPartitions
from .processor import Processor

log = logging.getLogger(__name__)

_MESSAGE_BYTES = 1_048_588
"""Kafka's default; batches of rows are smaller."""

_DAMAGED_SHOWN = 20
"""Damaged rows of a partition that are named one by one."""


class Session:
    """What Faust's extension points talk to.

    Args:
        config: The worker's Kafka side.
        codec: Bytes to columns.
        engine: The state.
        observer: Told of everything.
        transactional_id: This worker's; empty: without transactions.
        log_factory: Makes the state log, given this edge.
        administration: Asks the cluster, and ends what a former worker left open.
        events: Sink for events that do not wait; None: they wait for the checkpoint.
        dead_letters: Sink for dead letters; None: they are only counted.
        too_large: Tells refusals for size.
        exit_process: Ends the process at once with a code.
        clock: Seconds that go on while the process is suspended.
        started: When the process was asked to start, seconds since the epoch.
    """

    def __init__(
        self,
        *,
        config: WorkerConfig,
        codec: Codec,
        engine: Engine,
        observer: Observer,
        transactional_id: str,
        log_factory: Callable[[Session], StateLog],
        administration: Administration,
        events: EventSink | None,
        dead_letters: EventSink | None,
        too_large: Callable[[BaseException], bool],
        exit_process: Callable[[int], Any],
        clock: Clock = time.monotonic,
        started: float | None = None,
    ) -> None:
        self.config = config
        self.started = time.time() if started is None else started
        self.engine = engine
        self.observer = observer
        self.consumer: Any = None
        self.sources = {config.changelog(topic): topic for topic in config.topics}
        self.transactional_id = transactional_id
        self.administration = administration
        self.clock = clock
        self.snapshots: Snapshots | None = None
        self._exit = exit_process
        self._too_large = too_large
        self._wake = asyncio.Event()
        self._damaged_rows: dict[TP, int] = {}
        self.remaining = 0  # changelog records that a recovery has to go
        self.assignments = 0  # that were let go
        self.running = False  # all partitions of this assignment are at work
        self.took_over_at = float("-inf")  # when rows of another model last became ours
        self.ledger = Positions()
        self.changelog = Changelog(engine, observer, self._damaged)
        self.outbox = Outbox(events, limit=config.events_in_flight, on_full=self._wake.set)
        self.group = GroupMembership(
            lambda: self.consumer.thread.membership(),
            lambda: self.consumer.thread.last_heartbeat,
            clock,
            config.session_timeout_seconds,
            fenced=bool(transactional_id),
        )
        self._dead_letters: DeadLetters | None = None
        if dead_letters is not None:
            self._dead_letters = DeadLetters(
                dead_letters,
                topic=lambda topic: config.output_topic("dead_letters", topic),
                group=config.group,
                max_per_second=config.dead_letters_per_second,
                observer=observer,
                clock=clock,
                too_large=too_large,
            )
        self.checkpoint = Checkpoint(
            engine=engine,
            ledger=self.ledger,
            outbox=self.outbox,
            log=log_factory(self),
            group=self.group,
            clock=clock,
            observer=observer,
            on_written=self.changelog.wrote,
            settle_dead_letters=None if self._dead_letters is None else self._dead_letters.settle,
        )
        self.waiting = PausedPartitions(
            self.ledger, observer, lambda: self.consumer, lambda: self._processor.codec
        )
        self._processor = Processor(
            codec=codec,
            engine=engine,
            ledger=self.ledger,
            outbox=self.outbox,
            dead_letters=self._dead_letters,
            topics=config.output_topic,
            source=config.source,
            observer=observer,
            clock=clock,
            late=config.dead_letters_late,
            max_age_seconds=config.max_age_seconds,
            waiting=self.waiting,
            make_room=lambda: self.checkpoint_now("full"),
        )

    # -- records

    async def process(
        self, fetch: Mapping[Any, Sequence[Any]], going_on: Callable[[], bool]
    ) -> None:
        """Absorb a fetch of input partitions."""
        sources = {(tp.topic, tp.partition): records for tp, records in fetch.items()}
        await self._processor.process(sources, going_on)
        for source in sources:
            if source in self.ledger:
                highwater = self.consumer.thread.highwater_now(source)
                self.observer.fetched(source, self.ledger.position(source), highwater)
        if self.engine.unwritten_bytes() >= self.config.checkpoint_bytes:
            self._wake.set()

    async def load_changelog(self, recovery: Any, tp: Any, records: Sequence[Any]) -> None:
        """Merge a fetch of a changelog partition, and tell Faust's recovery."""
        if tp in recovery.active_tps:
            offsets = recovery.active_offsets
        elif tp in recovery.standby_tps:
            offsets = recovery.standby_offsets
        else:
            return
        source = self.source(tp)
        if self.snapshots is not None and self.changelog.overtaken(source, records):
            await self.snapshots.overtaken(source)
            offsets[tp] = -1
            await self.consumer.seek_wait({tp: 0})
            return
        self.changelog.load(source, records)
        offsets[tp] = max(offsets.get(tp) or -1, records[-1].offset)

    def follow_recovery(self, recovery: Any, active: Iterable[Any]) -> None:
        """Count what is never delivered (markers, compacted ends) as read; end a recovery."""
        if not recovery.in_recovery:
            return
        resumed = set(active)
        for tp in recovery.active_tps:
            position = self.consumer.thread.position_now(tp) if tp in resumed else None
            if position is not None and position - 1 > (recovery.active_offsets.get(tp) or -1):
                recovery.active_offsets[tp] = position - 1
                self.changelog.reached(self.source(tp), position - 1)
        if recovery.active_highwaters and not recovery.need_recovery():
            recovery.signal_recovery_end.set()

    # -- checkpoints

    async def checkpoint_forever(self, stopped: Callable[[], bool]) -> None:
        """Make checkpoints at the interval, and early when there is much to write."""
        while not stopped():
            try:
                await asyncio.wait_for(self._wake.wait(), self.config.interval_seconds)
                reason = "full"
            except TimeoutError:
                reason = "interval"
            self._wake.clear()
            await self.checkpoint_now(reason)

    async def snapshot_forever(self, stopped: Callable[[], bool]) -> None:
        """Copy the state to the disk at the interval."""
        if self.snapshots is not None:
            await self.snapshots.forever(stopped)

    async def look_up_forever(self, stopped: Callable[[], bool]) -> None:
        """Ask again for what partitions wait for."""
        await self.waiting.forever(stopped)

    async def watch(self, stopped: Callable[[], bool]) -> None:
        """Look whether positions, logs and topics still hold; end the process where not."""
        await ClusterMonitor(self).forever(stopped)

    async def write_ahead(self) -> None:
        """Write meta rows that must be in the log before the next record is absorbed."""
        await self.checkpoint_now("start")

    async def switch_model(self, model: Any, codec: Codec) -> dict[TP, int]:
        """Let another model, or other thresholds, judge from the next record on.

        Each partition's meta row says so before that record is absorbed: a replay changes there.

        Returns:
            The first offset they judge, by partition.
        """
        async with self.consumer.flow.between():
            offsets = {tp: self.ledger.position(tp) for tp in self.ledger}
            for tp, offset in offsets.items():
                self.engine.schedule_switch(tp, offset, model)
                self.ledger.reopen(tp)
            await self.checkpoint_now("switch")
            self.engine.switch_model(
                model, offsets
            )  # no await in between: nothing else was written
            self._processor.codec = codec
        return offsets

    async def release(self, reason: str) -> None:
        """Bring everything to the log, in bounded time, and own nothing any more."""
        if reason == "revoke":
            self.observer.phase("joining", "the group divides its partitions anew")
        if any(True for _ in self.ledger):
            try:
                self.group.membership()
                await asyncio.wait_for(
                    self.checkpoint_now(reason), self.config.shutdown_timeout_seconds
                )
            except FencedError as error:
                self.fatal(f"This worker is fenced: {error}.")
            except TimeoutError:
                self.fatal(
                    f"A checkpoint ({reason}) took longer than "
                    f"{self.config.shutdown_timeout_seconds:g} s."
                )
        if self.snapshots is not None:
            self.snapshots.letting_go(self.ledger)
        self.assignments += 1
        self.running = False
        self.waiting.forget()
        for tp in self.ledger:
            self.ledger.drop(tp)

    async def checkpoint_now(self, reason: str) -> None:
        """Make a checkpoint, or end the process."""
        try:
            await self.checkpoint.run(reason)
        except CheckpointError as error:
            cause = error.__cause__
            if isinstance(cause, FencedError):
                self.fatal(f"This worker is fenced: {cause}.")
            if cause is not None and self._too_large(cause):
                self.fatal(
                    f"The broker refused what a checkpoint ({reason}) wrote as too large. Expected "
                    f"max.message.bytes of at least {_MESSAGE_BYTES} on the changelogs "
                    f"({', '.join(self.sources)}) and the output topics. Raise it; nothing is lost."
                )
            self.fatal(f"{error}", cause)

    async def commit_plainly(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit input offsets through the consumer."""
        await self.consumer.thread.commit_exactly(offsets, membership)

    # -- ownership

    def source(self, tp: Any) -> TP:
        """Input partition of a changelog partition."""
        return self.sources[tp.topic], tp.partition

    def attach(self, tp: Any) -> None:
        """Open slabs for a changelog partition."""
        self.engine.attach(self.source(tp))

    def detach(self, tp: Any) -> None:
        """Free the slabs of a changelog partition."""
        source = self.source(tp)
        self.ledger.drop(source)
        self.outbox.drop(source)
        self.changelog.drop(source)
        self.engine.detach(source)

    def joined(self) -> None:
        """A new assignment came."""
        self.consumer.thread.heard()
        self.group.joined()
        self.remaining, self.running = 0, False
        self.observer.phase("recovering", "partitions were assigned")

    def recovering(self, remaining: int) -> None:
        """Report progress."""
        self.remaining = remaining
        sentence = f"{remaining} changelog records to go"
        self.observer.phase("recovering", sentence)
        log.info("Recovering state: %s.", sentence)

    async def wait_for_stable_offsets(self, tps: set[Any]) -> dict[Any, int]:
        """Ends of changelog partitions in which no transaction of a former owner is open."""
        return await wait_for_stable_offsets(self, tps)

    async def restore(self, recovery: Any, ends: Mapping[Any, int]) -> None:
        """Load what this host has of partitions of which nothing is in memory.

        Args:
            recovery: Faust's, told how far they go.
            ends: Ends of the changelogs of active partitions.
        """
        if self.snapshots is None:
            return
        standbys = await self.consumer.thread.facts(recovery.standby_tps)
        behind = {tp: facts.end for tp, facts in standbys.items()}
        for tp, offset in (await self.snapshots.restore(ends, behind)).items():
            active = tp in recovery.active_tps
            (recovery.active_offsets if active else recovery.standby_offsets)[tp] = offset

    async def resume(self, assignment: Iterable[Any]) -> None:
        """Find, check and take the positions in all input partitions owned."""
        self.remaining = 0  # all is read
        try:
            await take_positions(self, [tp for tp in assignment if tp.topic in self.config.topics])
        except RefusedError as error:
            try:  # a worker that was suspended holds old state against new offsets
                await self.group.confirmed()
            except FencedError as fenced:
                self.fatal(f"This worker is fenced: {fenced}.")
            self.fatal(str(error))

    async def complete(self, tp: TP) -> bool:
        """A changelog is in memory whole: take over what is of another layout, and sum up.

        Returns:
            False where the partition was given away meanwhile: what is left is taken over by
            whoever owns it next.
        """
        assignment = self.assignments
        for adopted in self.changelog.complete(tp):
            if adopted.left:
                done, of = adopted.rows, adopted.rows + adopted.left
                self.observer.phase(
                    "recovering",
                    f"{tp[0]}-{tp[1]}: taking over rows of another model: {done} of {of}",
                )
                self.took_over_at = self.clock()
                await asyncio.sleep(0)
                if self.assignments != assignment or tp not in self.engine.attached():
                    return False
        if adopted.rows:
            log.warning(
                "%s-%d: %d keys were taken over from another model or layout.", *tp, adopted.rows
            )
        damaged = self._damaged_rows.pop(tp, 0)
        if damaged > _DAMAGED_SHOWN:
            log.error("%s-%d: %d damaged rows in all; their keys start anew.", *tp, damaged)
        return True

    def _damaged(self, tp: TP, key: bytes, why: str) -> None:
        self._damaged_rows[tp] = self._damaged_rows.get(tp, 0) + 1
        if self._damaged_rows[tp] <= _DAMAGED_SHOWN:
            log.error(
                "%s-%d: state of key %s is damaged and starts anew: %s", *tp, quoted(key), why
            )

    # -- the end

    def fatal(self, sentence: str, cause: BaseException | None = None, code: int = 1) -> NoReturn:
        """End the process at once: nothing more may reach the log."""
        if isinstance(cause, UserError):  # its sentence is enough
            sentence, cause = cause.message, None
        self.observer.phase("failed", sentence)
        log.critical("%s The process ends now.", sentence.rstrip(), exc_info=cause)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._exit(code)
        raise SystemExit(code)
