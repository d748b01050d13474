"""Protocol objects of one worker, connected with each other, between its start and its stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from ember_core.pipeline import FleetModel
from stream.codecs import Codec
from stream.engine import AnyEngine, Profiles
from stream.kafka.context import Context
from stream.kafka.protocol.assignment import Assignment, AssignmentClosed
from stream.kafka.protocol.checkpoint import Checkpoint
from stream.kafka.protocol.membership import GroupMembership
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import (
    EventSink,
    FencedError,
    FetchControl,
    GroupClient,
    Recovery,
    RefusedError,
    StateLog,
)
from stream.kafka.protocol.positions import Positions
from stream.kafka.recovery.loader import StateLoader
from stream.kafka.recovery.snapshot_files import SnapshotFiles
from stream.kafka.recovery.snapshots import Snapshots
from stream.kafka.recovery.start import Starter
from stream.kafka.supervision.cluster_monitor import ClusterMonitor
from stream.kafka.supervision.purge import Purge
from stream.types import TP

from .checkpointer import Checkpointer
from .control import ControlSource, NoControl, PartitionControls
from .dead_letters import DeadLetters
from .fetch_loop import FetchLoop
from .paused_partitions import PausedPartitions
from .processor import Processor
from .quiet_partitions import QuietPartitions


class Outputs(Protocol):
    """Log and sinks that a session writes to."""

    @property
    def events(self) -> EventSink | None:
        """Sink of events that do not wait for a checkpoint; None: all of them wait."""

    @property
    def dead_letters(self) -> EventSink | None:
        """Sink of dead letters; None: they are only counted."""

    def state_log(self, changelog: Any, group: str, commit: Any) -> StateLog:
        """Return the log of state and offsets, as `stream.kafka.client.producer_set`."""


class Session:
    """Work of one member of the group: Faust calls it at each event of the member's life.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        codec: Codec from bytes to columns.
        client: Member of the group.
        fetching: Control of the fetches.
        outputs: Log and sinks to write to.
        snapshot_files: Files of copies of the state; None: none are made.
        control_source: Documents of operators; None: there are none.

    Attributes:
        fetch_loop: Way of a fetch to the engine.
        loader: Part that brings state into memory.
        checkpointer: Part that makes checkpoints.
        monitor: Part that checks the cluster.
        purge: Part that deletes re-keyed records which are absorbed.
        paused: Partitions that wait for a schema.
        quiet: Partitions without records.
        controls: Documents of operators of each partition.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        codec: Codec,
        client: GroupClient,
        fetching: FetchControl,
        outputs: Outputs,
        snapshot_files: SnapshotFiles | None = None,
        control_source: ControlSource | None = None,
    ) -> None:
        config = context.config
        self.context = context
        self._engine = engine
        self._client = client
        self._wake = asyncio.Event()
        self._fetch_lock = asyncio.Lock()
        self.positions = Positions()
        self._assignment = Assignment(self.positions)
        self.outbox = Outbox(outputs.events, limit=config.events_in_flight, on_full=self._wake.set)
        self._group = GroupMembership(
            client,
            context.clock,
            config.session_timeout_seconds,
            fenced=bool(context.transactional_id),
        )
        dead_letters = None
        if outputs.dead_letters is not None:
            dead_letters = DeadLetters(context, outputs.dead_letters)
        self.loader = StateLoader(context, engine, client, fetching)
        checkpoint = Checkpoint(
            engine=engine,
            positions=self.positions,
            outbox=self.outbox,
            log=outputs.state_log(config.changelog, config.group, client.commit),
            group=self._group,
            clock=context.clock,
            observer=context.observer,
            on_written=self.loader.changelog.wrote,
            settle_dead_letters=None if dead_letters is None else dead_letters.settle,
        )
        self.checkpointer = Checkpointer(context, checkpoint, self._wake)
        if snapshot_files is not None:
            self.loader.snapshots = Snapshots(
                context, snapshot_files, engine, self.loader.changelog, self.positions, checkpoint
            )
        self._starter = Starter(
            context, engine, self.loader, client, fetching, self.checkpointer.run, self._on_open
        )
        self.controls = PartitionControls(
            context,
            engine,
            self.positions,
            self._fetch_lock,
            self.checkpointer.run,
            control_source or NoControl(),
        )
        self.paused = PausedPartitions(context, self.positions, fetching, self._fetch_lock, codec)
        self._processor = Processor(
            context,
            engine,
            codec,
            self.positions,
            self.outbox,
            dead_letters=dead_letters,
            paused=self.paused,
            checkpoint=self.checkpointer.run,
        )
        self._processor.controls = self.controls
        self.fetch_loop = FetchLoop(
            context, fetching, self._fetch_lock, self.loader, self._processor, self._on_processed
        )
        self.quiet = QuietPartitions(
            context,
            engine,
            self.positions,
            self._fetch_lock,
            self.checkpointer.run,
            self._processor.send,
            self.controls.bring_into_force,
        )
        self.monitor = ClusterMonitor(
            context,
            engine,
            self.positions,
            client,
            checkpoint,
            lambda: self.loader.remaining,
            self._fetch_lock.locked,
            self._note_at_end,
        )
        self.purge = Purge(context, self.positions, client)

    def _on_processed(self, tps: Iterable[TP]) -> None:
        """Report the lag, and ask for a checkpoint where many rows have changed."""
        self.controls.on_processed(tps)
        for tp in tps:
            if tp in self.positions:
                highwater = self._client.highwater(tp)
                self.context.observer.fetched(tp, self.positions.position(tp), highwater)
        if self._engine.unwritten_bytes() >= self.context.config.checkpoint_bytes:
            self._wake.set()

    def _note_at_end(self, at_end: Collection[TP]) -> None:
        """Take note of the partitions of whose log nothing is left to absorb."""
        self.quiet.note(at_end)
        self.controls.note_at_end(at_end)

    # -- the life of an assignment

    def on_assigned(self) -> None:
        """Begin a new assignment, as the member that the group knows now."""
        # An assignment is an answer of the group, as good as a heartbeat.
        self._client.note_heartbeat()
        self._group.on_joined()
        self._assignment = Assignment(self.positions)
        self.loader.remaining = 0
        self.context.lifecycle.recover("partitions were assigned")

    def attach(self, tp: TP) -> None:
        """Open slabs for a changelog partition."""
        self._engine.attach(self.context.config.source_of(tp))

    def detach(self, tp: TP) -> None:
        """Free the slabs of a changelog partition."""
        source = self.context.config.source_of(tp)
        self.positions.drop(source)
        self.controls.drop(source)
        # Events of a partition that is given back stay sent; unsent ones its next owner makes.
        self.outbox.drop(source)
        self.loader.changelog.drop(source)
        self._engine.detach(source)

    async def start(self, recovery: Recovery, tps: Iterable[TP]) -> None:
        """Find, check and take the positions of all input partitions owned.

        Args:
            recovery: Recovery that brought their state.
            tps: Assigned partitions, changelogs among them.
        """
        self.loader.remaining = 0  # all changelogs are read
        inputs = [(tp[0], tp[1]) for tp in tps if tp[0] in self.context.config.topics]
        try:
            await self.controls.prepare(inputs)
            await self._starter.start(self._assignment, inputs, recovery)
            self.controls.request()  # they may have changed since
        except AssignmentClosed:
            return  # the next assignment asks anew
        except RefusedError as error:
            try:  # a worker that was suspended compares old state with new offsets
                await self._group.confirmed()
            except FencedError as fenced:
                self.context.fail(f"This worker is fenced: {fenced}.")
            self.context.fail(str(error))

    async def release(self, reason: str) -> None:
        """Finish the slice in hand, write all state to the changelog, and give the partitions back.

        All of it happens in bounded time.

        Args:
            reason: Reason for logs and metrics: `revoke` or `stop`.
        """
        async with self.fetch_loop.finished(reason):
            if reason == "revoke":
                self.context.lifecycle.join("the group divides its partitions anew")
            if self.positions:
                await self._write_released(reason)
            if self.loader.snapshots is not None:
                self.loader.snapshots.keep_released(self.positions)
            self._assignment.close()
        self.context.lifecycle.leave()

    async def _write_released(self, reason: str) -> None:
        seconds = self.context.config.shutdown_timeout_seconds
        try:
            self._group.membership()
            await asyncio.wait_for(self.checkpointer.run(reason), seconds)
        except FencedError as error:
            self.context.fail(f"This worker is fenced: {error}.")
        except TimeoutError:
            self.context.fail(f"A checkpoint ({reason}) took longer than {seconds:g} s.")

    # -- beside it

    async def switch_model(self, model: FleetModel | Profiles, codec: Codec) -> dict[TP, int]:
        """Score with another model, or other thresholds, from the next record on.

        Each partition's meta row says so before that record is absorbed: a replay changes there.

        Args:
            model: Configured model, or those of all profiles.
            codec: Codec for the channels of the model.

        Returns:
            First offset that it scores, by partition.
        """
        async with self._fetch_lock:
            offsets = {tp: self.positions.position(tp) for tp in self.positions}
            for tp, offset in offsets.items():
                self._engine.schedule_switch(tp, offset, model)
                self.positions.reopen(tp)
            await self.checkpointer.run("switch")
            # No await in between: nothing else may be written under the new model.
            self._engine.switch_model(model, offsets)
            self._processor.codec = self.paused.codec = codec
            for tp in offsets:
                self._give_up(tp)
        return offsets

    def _on_open(self, tp: TP, end: int, fresh: bool) -> None:
        """Say what the state of a partition asks for before its first record."""
        self.controls.open(tp, end, fresh=fresh)
        self._give_up(tp)
        self.quiet.emit_scheduled(tp)

    def _give_up(self, tp: TP) -> None:
        """Resolve alerts that the state of a partition does not hold open any more."""
        self.controls.bring_into_force(tp)
        events = self._engine.give_up(tp)
        if events:
            self._processor.send(tp, events)
            self.positions.reopen(tp)  # so that the next checkpoint writes their rows
