"""A worker: Faust with our transport and store around one engine."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from faust import stores
from faust.transport import drivers

from ember_core.pipeline import FleetModel
from stream import STARTED
from stream.codecs import Codec
from stream.engine import Engine
from stream.kafka.client.admin import Admin
from stream.kafka.client.fenced_producer import FencedProducer, fence_producer
from stream.kafka.client.producers import PlainLog, ProducerSink, TransactionalLog, too_large
from stream.kafka.protocol.ports import StateLog, TopicStatus
from stream.kafka.recovery.snapshot_files import SnapshotFiles
from stream.kafka.recovery.snapshots import Snapshots
from stream.kafka.runtime.session import Session
from stream.kafka.supervision.model_fit import wait_for_fit
from stream.kafka.supervision.topics import Cluster, prepare
from stream.kafka.supervision.watchdog import Watchdog
from stream.observer import Observer
from stream.types import TP

from .config import WorkerConfig

log = logging.getLogger(__name__)

_ROW_BATCH_BYTES = 786_432
_EVENT_BATCH_BYTES = 65_536
_MAX_REQUEST_BYTES = 4 * 1_048_576
_TRANSACTION_SECONDS = 30.0
_AGAIN_SECONDS = 1.0

drivers.TRANSPORTS.aliases["ember"] = "stream.kafka.faust.transport:Transport"
stores.STORES.aliases["slab"] = "stream.kafka.faust.tables:SlabStore"


class _App(faust.App):
    """Faust's app with the edge its extension points talk to."""

    logger = logging.getLogger("faust")

    edge: Session

    def _create_directories(self) -> None:
        """Faust keeps nothing on disk here."""

    def _crash(self, reason: BaseException) -> None:
        self.edge.fatal(f"The worker broke: {type(reason).__name__}: {reason}", reason)


class Worker:
    """Reads the input topics, feeds the engine, keeps its state in the log.

    Args:
        config: The Kafka side.
        codec: Bytes to columns.
        engine: The state; used by this worker only.
        observer: Told of everything.
        exit_process: Ends the process at once with a code.
    """

    def __init__(
        self,
        config: WorkerConfig,
        codec: Codec,
        engine: Engine,
        observer: Observer | None = None,
        exit_process: Callable[[int], Any] = os._exit,
    ) -> None:
        self.config = config
        self._codec = codec
        self._engine = engine
        self._observer = observer or Observer()
        self._exit = exit_process
        # What was sent while the process was still loading is news too.
        self._started = STARTED
        self._stop = asyncio.Event()
        self._edge: Session | None = None

    @property
    def events_in_flight(self) -> int:
        """Events not yet acknowledged, or held for the next checkpoint."""
        return 0 if self._edge is None else self._edge.outbox.pending

    def stop(self) -> None:
        """Ask `run` to end, after a last checkpoint."""
        self._stop.set()

    async def switch_model(self, model: FleetModel, codec: Codec) -> dict[TP, int]:
        """Let another model, or other thresholds, judge from the next record on.

        Args:
            model: The model, configured.
            codec: For its channels.

        Returns:
            The first offset they judge, by partition; none before the worker runs.
        """
        self._codec = codec
        if self._edge is not None and self._edge.consumer is not None:
            return await self._edge.switch_model(model, codec)
        self._engine.switch_model(model)
        return {}

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            RefusedError: Before joining, when topics or broker do not allow to start.
        """
        with Watchdog(self.config.hang_seconds, self._exit):
            await self._run()

    async def _run(self) -> None:
        preparing = asyncio.ensure_future(self._prepare())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not preparing.done():
            preparing.cancel()
            await asyncio.wait({preparing})
            return
        cluster, sinks, edge = preparing.result()
        self._edge = edge
        app = self._app(edge, cluster)
        self._observer.phase("joining", f"group {self.config.group}")
        starting = asyncio.ensure_future(app.start())
        starting.add_done_callback(lambda task: _raise_to(edge, task))
        await stopping
        self._observer.phase("stopping", "")
        try:
            await asyncio.wait_for(
                self._shut_down(app, starting), self.config.shutdown_timeout_seconds
            )
            await self._copy(edge)
            for sink in sinks:
                await asyncio.wait_for(sink.stop(), self.config.shutdown_timeout_seconds)
        except TimeoutError:
            edge.fatal(f"Stopping took longer than {self.config.shutdown_timeout_seconds:g} s.")

    async def _prepare(self) -> tuple[Cluster, list[ProducerSink], Session]:
        """All that has to be there before joining; begun again where a broker went away in it."""
        while True:
            try:
                cluster = await prepare(self.config, self._observer)
                await wait_for_fit(self.config, self._codec, self._engine.channels, self._observer)
                what = "the transaction coordinator" if cluster.transactions else "a broker"
                self._observer.phase("waiting", f"{what} has not answered the producers yet")
                return cluster, *await self._connect(cluster)
            except kafka_errors.KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("A broker went away while this worker began: %r.", error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _copy(self, edge: Session) -> None:
        """Copy the state to the disk; where that takes too long, the former copy has to do."""
        if edge.snapshots is None:
            return
        try:
            await asyncio.wait_for(edge.snapshots.last(), self.config.shutdown_timeout_seconds / 2)
        except TimeoutError:
            log.warning("The state was not copied to the disk in time.")

    async def _shut_down(self, app: Any, starting: asyncio.Future[Any]) -> None:
        await app.stop()
        starting.cancel()
        await asyncio.wait({starting})

    async def _connect(self, cluster: Cluster) -> tuple[list[ProducerSink], Session]:
        config, sinks = self.config, []
        fenced: FencedProducer | None = None
        transactional_id = ""
        if cluster.transactions:
            transactional_id = f"{config.group}-{config.instance_id or uuid.uuid4().hex}"
            fenced = FencedProducer(
                transactional_id=transactional_id,
                transaction_timeout_ms=int(_TRANSACTION_SECONDS * 1000),
                max_batch_size=_ROW_BATCH_BYTES,
                max_request_size=_MAX_REQUEST_BYTES,
                **config.client_settings(),
            )
            sinks.append(ProducerSink(fenced))
        plain: ProducerSink | None = None
        if fenced is None or config.guarantee == "at_least_once":
            size = _EVENT_BATCH_BYTES if fenced else _ROW_BATCH_BYTES
            producer = self._producer(enable_idempotence=True, max_batch_size=size)
            plain = ProducerSink(producer)
            sinks.append(plain)
        try:
            for sink in sinks:
                await sink.start()
        except BaseException:
            for sink in sinks:
                await sink.stop()
            raise
        letters = ProducerSink(self._producer(acks="all")) if config.dead_letters else None
        if letters is not None:
            sinks.append(letters)

        def state_log(edge: Session) -> StateLog:
            if fenced is not None:
                return TransactionalLog(
                    fenced, config.changelog, config.group, _TRANSACTION_SECONDS
                )
            return PlainLog(producer, config.changelog, edge.commit_plainly)

        edge = Session(
            config=config,
            codec=self._codec,
            engine=self._engine,
            observer=self._observer,
            transactional_id=transactional_id,
            log_factory=state_log,
            administration=_Administration(config),
            events=plain if config.guarantee == "at_least_once" else None,
            dead_letters=letters,
            too_large=too_large,
            exit_process=self._exit,
            started=self._started,
        )
        if config.snapshot_seconds:
            edge.snapshots = Snapshots(edge, SnapshotFiles(config.snapshot_directory))
        return sinks, edge

    def _producer(self, **settings: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            linger_ms=5,
            max_request_size=_MAX_REQUEST_BYTES,
            **settings,
            **self.config.client_settings(),
        )

    def _app(self, edge: Session, cluster: Cluster) -> _App:
        config = self.config
        app = _App(
            config.group,
            broker="ember://local",
            store="slab://local",  # "slab://" alone is falsy, and Faust would take its default
            datadir=str(config.directory / "faust"),
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            table_standby_replicas=config.standby_replicas,
            consumer_group_instance_id=config.instance_id or None,
            broker_session_timeout=config.session_timeout_seconds,
            broker_request_timeout=90.0,
            broker_rebalance_timeout=max(2 * config.shutdown_timeout_seconds, 60.0),
            broker_commit_interval=3600.0,
            stream_wait_empty=True,
            stream_recovery_delay=0,
            TableManager="stream.kafka.faust.tables:SlabTables",
        )
        app.edge = edge
        for topic, facts in cluster.inputs.items():
            app.topics.add(app.topic(topic, key_type=bytes, value_type=bytes))
            app.Table(
                config.table(topic),
                key_type=bytes,
                value_type=bytes,
                partitions=facts.partitions,
                store="slab://local",
            )
        return app


class _Administration:
    """Connects anew for each question: they are rare."""

    def __init__(self, config: WorkerConfig) -> None:
        self._settings = config.client_settings()

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        async with Admin(self._settings) as admin:
            return await admin.describe(list(topics))

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        async with Admin(self._settings) as admin:
            return await admin.tombstones_kept(list(topics))

    async def fence_producer(self, transactional_id: str) -> None:
        await fence_producer(transactional_id, self._settings)


def _raise_to(edge: Session, task: asyncio.Future[Any]) -> None:
    """A worker that could not start ends; nobody awaits the start itself."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        edge.fatal(f"The worker did not start: {type(error).__name__}: {error}", error)
