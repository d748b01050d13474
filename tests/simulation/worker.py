"""A worker: the production session, with a model of Faust and aiokafka's consumer around it.

The production parts are `Session` and all it connects (positions, changelog, outbox, checkpoint,
membership, processor, recovery, start, fetch loop), `SlabStore`, both state logs and the sink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from stream.kafka.client.producers import PlainLog, ProducerSink, TransactionalLog
from stream.kafka.config import WorkerConfig
from stream.kafka.context import Context
from stream.kafka.faust.tables import SlabStore
from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.ports import EventSink, FencedError, LogStatus, Membership, Outgoing
from stream.kafka.recovery.start import wait_for_stable_offsets
from stream.kafka.runtime.session import Session
from stream.observer import Observer
from stream.types import TP

from .broker import Broker, Producer
from .control import Follower
from .disk import Disk
from .group import Assignment, Coordinator
from .machine import Process
from .models import MODELS, newest
from .spill import DictSpill
from .tiny import TinyCodec, TinyEngine, tiny_model

HEARTBEAT_SECONDS = 0.4
FOLLOW_SECONDS = 0.3
"""How often a worker looks for a newer model."""
POLL_SECONDS = 0.2
"""How long a fetch waits at the broker for something to come."""


class Faust(NamedTuple):
    """Faust's topic and partition."""

    topic: str
    partition: int


class Recovery:
    """The part of Faust's recovery that the session fills."""

    def __init__(self) -> None:
        self.active_tps: set[Faust] = set()
        self.standby_tps: set[Faust] = set()
        self.active_offsets: dict[Faust, int | None] = {}
        self.standby_offsets: dict[Faust, int | None] = {}
        self.active_highwaters: dict[Faust, int] = {}
        self.in_recovery = False
        self.signal_recovery_end = asyncio.Event()

    def need_recovery(self) -> bool:
        offsets = self.active_offsets
        return any(
            end > (offsets.get(tp) if offsets.get(tp) is not None else -1)  # type: ignore[operator]
            for tp, end in self.active_highwaters.items()
        )


class Watch(Observer):
    """Keeps the last words of a worker."""

    last_words = ""

    def phase(self, phase: str, detail: str) -> None:
        if phase == "failed":
            self.last_words = detail


class Client:
    """The member of the group, and its questions to the brokers."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.last_heartbeat = float("-inf")

    def note_heartbeat(self) -> None:
        self.last_heartbeat = self._worker.process.machine.now

    def membership(self) -> Membership:
        self._worker.on_request("checkpoint")  # that is what asks first
        return Membership(self._worker.generation, self._worker.member)

    def fetch_position(self, tp: Any) -> int | None:
        return self._worker.positions.get(tp)

    def highwater(self, tp: TP) -> int | None:
        return None

    async def log_status(self, tps: Iterable[TP]) -> dict[TP, LogStatus]:
        broker = self._worker.broker
        asked = sorted(tps)
        ends = await self._worker.process.ask(
            lambda answer: answer([broker.log(*tp).stable for tp in asked])
        )
        offsets = await self._worker.process.ask(
            lambda answer: answer([broker.offsets.get((tp[0], tp[1]), (-1, "")) for tp in asked])
        )
        return {
            tp: LogStatus(0, end, *offset)
            for tp, end, offset in zip(asked, ends, offsets, strict=True)
        }

    async def uncommitted_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        broker = self._worker.broker
        ends: dict[TP, int] = await self._worker.process.ask(
            lambda answer: answer({tp: broker.log(*tp).end for tp in tps})
        )
        return ends

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        raise AssertionError("the cluster monitor does not run here")

    async def offsets_for_time(self, tps: Iterable[TP], timestamp_ms: int) -> dict[TP, int]:
        raise AssertionError("groups begin at the start of the log here")

    async def ping(self) -> None:
        """Its event loop is the worker's."""

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        worker = self._worker
        if self.membership() != membership:
            raise FencedError("the group has moved on before the commit")
        worker.on_request("offsets")
        if (
            await worker.process.ask(
                lambda answer: worker.group.commit(offsets, membership, answer)
            )
            != "ok"
        ):
            raise FencedError("the group refused the commit")


class Fetching:
    """Fetches, as the session controls them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def generation(self) -> int:
        return self._worker._count

    @property
    def is_open(self) -> bool:
        return self._worker._open and not self._worker.stopping

    async def wait_for_fetch(self) -> None:
        await self._worker._no_fetch.wait()

    async def seek(self, positions: Mapping[TP, int]) -> None:
        self._worker.positions.update(positions)

    def pause(self, tps: Iterable[TP]) -> None:
        raise AssertionError("no schema is looked up here")

    def resume(self, tps: Iterable[TP]) -> None:
        raise AssertionError("no schema is looked up here")


class DuplicatingSink:
    """A producer that is not always careful: some events come twice."""

    def __init__(self, sink: ProducerSink, worker: Worker) -> None:
        self._sink = sink
        self._rng = worker.process.machine.rng

    async def send(self, message: Outgoing) -> Any:
        ack = await self._sink.send(message)
        if self._rng.random() < 0.02:
            await self._sink.send(message)
        return ack


class Worker:
    """One life of a worker process.

    Args:
        process: Where it runs.
        broker: The brokers.
        group: The coordinator.
        config: As in production.
        transactional_id: Of this life.
        on_request: Told of the kind of every request.
        max_keys: Keys in memory; others are put away.
        ttl_us: Silence after which a key is forgotten; 0: never.
        rated: Rows are rates of intervals.
        disk: For copies of the state.
        follows: It takes its models from the model topic.
        control: Documents of operators; None: there are none.
    """

    def __init__(
        self,
        process: Process,
        broker: Broker,
        group: Coordinator,
        config: WorkerConfig,
        *,
        transactional_id: str,
        on_request: Callable[[str], None],
        max_keys: int = 64,
        ttl_us: int = 0,
        disk: Disk | None = None,
        rated: bool = False,
        follows: bool = False,
        control: Follower | None = None,
    ) -> None:
        self.process = process
        self.broker = broker
        self.group = group
        self.config = config
        self.on_request = on_request
        self.transactional_id = transactional_id
        self.engine = TinyEngine(max_keys, DictSpill, ttl_us, rated=rated)
        self.client = Client(self)
        self.generation, self.member = -1, ""
        self.positions: dict[Any, int] = {}
        self.recovery = Recovery()
        self.stopping = False
        self.watch = Watch()
        self._disk = disk
        self._rated, self._follows = rated, follows
        self.control = control
        self._moved = asyncio.Event()  # the group has, or the worker shall stop
        self._count = 0  # of assignments
        self._fetchable: list[Faust] = []
        self._open = False
        self._opened = asyncio.Event()
        self._no_fetch = asyncio.Event()
        self._no_fetch.set()
        self._owned: set[Faust] = set()
        self._assignment: list[Faust] = []
        self._recovering: asyncio.Task[None] | None = None
        self.events: EventSink | None = None
        self.dead_letters: EventSink | None = None

    # -- what the session asks of its surroundings

    async def describe(self, topics: Iterable[str]) -> Any:
        return await self.process.ask(
            lambda answer: answer({topic: self.broker.topic(topic) for topic in topics})
        )

    async def tombstones_kept(self, topics: Iterable[str]) -> Any:
        return dict.fromkeys(topics, 1e9)

    async def offload(self, do: Callable[[], Any]) -> Any:
        """The disk: it may be done when the process is no more."""
        return await self.process.ask(lambda answer: answer(do()))

    async def fence_producer(self, transactional_id: str) -> None:
        await Producer(self.broker, self.process, transactional_id).start()

    def state_log(self, changelog: Any, group: str, commit: Any) -> Any:
        if self.transactional_id:
            return TransactionalLog(self._producer, changelog, group)  # type: ignore[arg-type]
        return PlainLog(self._producer, changelog, commit)  # type: ignore[arg-type]

    async def run(self) -> None:
        """From start to stop."""
        if self._follows:
            self.engine.switch_model(await self._newest_model())
        self._producer = Producer(self.broker, self.process, self.transactional_id, self.on_request)
        await self._producer.start()
        if self.config.guarantee == "at_least_once":
            producer = (
                Producer(self.broker, self.process, "", self.on_request)
                if self.transactional_id
                else self._producer
            )
            self.events = DuplicatingSink(ProducerSink(producer, started=True), self)  # type: ignore[arg-type]
        files: Any = self._disk
        context = Context(
            config=self.config,
            observer=self.watch,
            lifecycle=Lifecycle(self.watch),
            admin=self,
            transactional_id=self.transactional_id,
            clock=self.process.time,
            wall_clock=self.process.time,
            exit_process=lambda code: None,
            offload=self.offload,
        )
        self.session = Session(
            context,
            self.engine,
            TinyCodec(),
            self.client,
            Fetching(self),
            self,
            files,
            self.control,
        )
        self._store = SlabStore.__new__(SlabStore)
        self._store.app = SimpleNamespace(session=self.session)
        self._tables = {
            topic: SimpleNamespace(
                changelog_topic=SimpleNamespace(get_topic_name=lambda name=name: name)
            )
            for name, topic in self.config.sources.items()
        }
        checkpointer, snapshots = self.session.checkpointer, self.session.loader.snapshots
        draining = asyncio.ensure_future(self._drain())
        writing = asyncio.ensure_future(checkpointer.forever(lambda: False))
        if snapshots is not None:
            copying = asyncio.ensure_future(snapshots.forever(lambda: False, checkpointer.run))
        beating = asyncio.ensure_future(self._beat())
        if self.control is not None:
            coming = self.session.controls.forever(lambda: self.stopping)
            self._controlling = asyncio.ensure_future(coming)
        if self._follows:
            following = asyncio.ensure_future(self._follow())
        await self._belong()
        if self._follows:
            following.cancel()
        draining.cancel()
        self._cancel_recovery()
        await self.session.release("stop")
        writing.cancel()
        if snapshots is not None:
            copying.cancel()
        beating.cancel()
        await self.process.ask(lambda answer: self.group.leave(self.member, answer))
        if snapshots is not None:
            await snapshots.write_released()

    async def _newest_model(self) -> Any:
        """The newest model of the topic; one was published before everything."""
        log = self.broker.log(MODELS, 0)
        found = newest(await self.process.ask(lambda answer: answer(log.committed())))
        assert found is not None
        return tiny_model(found[0], rated=self._rated)

    async def _follow(self) -> None:
        """Take every model that is published later, as a reload does."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            model = await self._newest_model()
            if model.sha256 != self.engine.model.sha256:
                await self.session.switch_model(model, TinyCodec())

    def follow_control(self) -> None:
        """Documents of operators have come."""
        assert self.control is not None
        self.control.read_all()
        if hasattr(self, "session"):
            self.session.controls.request()

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True
        self._moved.set()

    # -- the group

    async def _belong(self) -> None:
        """Join, work, let go, join again."""
        while not self.stopping:
            self._moved.clear()
            try:
                got: Assignment = await self.process.ask(
                    lambda answer: self.group.join(self.member, answer)
                )
            except KeyError:
                self.member, self.generation = "", -1
                continue
            self.generation, self.member = got.generation, got.member
            await self._assigned(got)
            if not self.stopping:
                await self._moved.wait()
            if self.stopping:
                return
            self._cancel_recovery()
            await self.session.release("revoke")

    async def _beat(self) -> None:
        """Heartbeats, also while a revoke goes on."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self.generation < 0:
                continue
            generation = self.generation
            answer = await self.process.ask(
                lambda reply: self.group.heartbeat(self.member, self.generation, reply)
            )
            if generation != self.generation:
                continue
            if answer == "ok":
                self.client.note_heartbeat()
            else:
                if answer == "unknown":
                    self.generation, self.member = -1, ""
                self._moved.set()

    async def _assigned(self, got: Assignment) -> None:
        self._count += 1
        self.session.on_assigned()
        changelogs = {t: n for n, t in self.config.sources.items()}
        active = [Faust(changelogs[t], p) for t, p in got.active]
        standby = [Faust(changelogs[t], p) for t, p in got.standby]
        assigned = {*active, *standby}
        for table in self._tables.values():
            self._store.table = table
            await self._store.on_rebalance(
                assigned, self._owned - assigned, assigned - self._owned, got.generation
            )
        self._owned = assigned
        self._assignment = [Faust(*tp) for tp in got.active]
        self._recovering = asyncio.ensure_future(self._recover(active, standby))
        self._recovering.add_done_callback(self._recovered)

    def _recovered(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.session.context.fail(f"the recovery broke: {task.exception()!r}")

    def _cancel_recovery(self) -> None:
        if self._recovering is not None:
            self._recovering.cancel()
        self._let([])

    # -- recovery, as Faust goes about it

    async def _recover(self, active: list[Faust], standby: list[Faust]) -> None:
        recovery = self.recovery
        recovery.active_tps, recovery.standby_tps = set(active), set(standby)
        recovery.in_recovery = True
        recovery.signal_recovery_end.clear()
        await self._no_fetch.wait()
        ends = await wait_for_stable_offsets(self.session.context, self.client, set(active))
        await self.session.loader.restore(recovery, ends)
        recovery.active_highwaters = {tp: end - 1 for tp, end in sorted(ends.items())}
        recovery.active_offsets = {tp: self._seek(tp) for tp in active}
        recovery.standby_offsets = {tp: self._seek(tp) for tp in standby}
        if recovery.need_recovery():
            self._let(active)
            await recovery.signal_recovery_end.wait()
        recovery.in_recovery = False
        self._let([])
        await self._no_fetch.wait()
        await self.session.start(recovery, self._assignment)
        self._let([*self._assignment, *standby])

    def _seek(self, tp: Faust) -> int | None:
        persisted = self._store.persisted_offset(tp)
        self.positions[tp] = 0 if persisted is None else persisted + 1
        return persisted

    # -- fetching

    def _let(self, fetchable: list[Faust]) -> None:
        """Let these partitions be fetched, or none."""
        self._fetchable = fetchable
        self._open = bool(fetchable)
        if self._open:
            self._opened.set()
        else:
            self._opened.clear()

    async def _drain(self) -> None:
        while True:
            await self._opened.wait()
            generation = self._count
            asked = list(self._fetchable)
            self._no_fetch.clear()
            try:
                records = await self._fetch(asked)
            finally:
                self._no_fetch.set()
            await self.session.fetch_loop.take(self.recovery, records, asked, generation)

    async def _fetch(self, asked: list[Faust]) -> dict[Faust, Any]:
        machine = self.process.machine
        most = 1 + int(machine.rng.random() * 12)
        positions = [self.positions[tp] for tp in asked]
        logs = [self.broker.log(*tp) for tp in asked]

        def arrive(answer: Any) -> None:
            if all(log.stable <= at for log, at in zip(logs, positions, strict=True)):
                machine.after(POLL_SECONDS, lambda: send(answer))
            else:
                send(answer)

        def send(answer: Any) -> None:
            answer([log.read(at, most) for log, at in zip(logs, positions, strict=True)])

        records = {}
        for tp, (batch, position) in zip(asked, await self.process.ask(arrive), strict=True):
            self.positions[tp] = position
            if batch:
                records[tp] = batch
        return records
