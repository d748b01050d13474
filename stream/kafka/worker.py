"""Worker: one engine, connected to a consumer group by Faust."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ember_core.pipeline import FleetModel
from stream.codecs import Codec, RekeyedCodec
from stream.engine import AnyEngine, Profiles
from stream.kafka.client.admin import OnDemandAdmin
from stream.kafka.client.errors import KafkaError, is_retriable
from stream.kafka.client.producer_set import ProducerSet
from stream.kafka.control_topic.follower import ControlFollower
from stream.kafka.faust.app import App, make_app
from stream.kafka.protocol.ports import FetchControl, GroupClient
from stream.kafka.recovery.snapshot_files import SnapshotFiles
from stream.kafka.rekey.service import RekeyService
from stream.kafka.runtime.session import Session
from stream.kafka.supervision.model_fit import wait_for_fit
from stream.kafka.supervision.topics import Cluster, prepare
from stream.kafka.supervision.watchdog import Watchdog
from stream.observer import Observer
from stream.types import TP

from .config import WorkerConfig
from .context import Context
from .lifecycle import Lifecycle

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0


class Worker:
    """Reads the input topics, feeds the engine, keeps its state in the log.

    Args:
        config: Kafka configuration.
        codec: Codec from bytes to columns.
        engine: State of all keys; used by this worker only.
        observer: Receiver of reports.
        exit_process: Function that ends the process at once with a code.
    """

    def __init__(
        self,
        config: WorkerConfig,
        codec: Codec,
        engine: AnyEngine,
        observer: Observer | None = None,
        exit_process: Callable[[int], Any] = os._exit,
    ) -> None:
        observer = observer or Observer()
        self._context = Context(
            config=config,
            observer=observer,
            lifecycle=Lifecycle(observer),
            admin=OnDemandAdmin(config.client_settings()),
            exit_process=exit_process,
        )
        self._codec = codec
        self._engine = engine
        self._stop = asyncio.Event()
        self._session: Session | None = None
        self._rekeying: RekeyService | None = None
        self._control: ControlFollower | None = None
        if config.control_topic:
            self._control = ControlFollower(config, observer, self._on_control)

    @property
    def events_in_flight(self) -> int:
        """Number of events not yet acknowledged, or held for the next checkpoint."""
        return 0 if self._session is None else self._session.outbox.pending

    def stop(self) -> None:
        """Ask `run` to end, after a last checkpoint."""
        self._stop.set()

    async def switch_model(self, model: FleetModel | Profiles, codec: Codec) -> dict[TP, int]:
        """Score with another model, or other thresholds, from the next record on.

        Args:
            model: Configured model, or those of all profiles.
            codec: Codec for the channels of the model.

        Returns:
            First offset that it scores, by partition; empty before the worker runs.
        """
        self._codec = codec
        if self._rekeying is not None:
            self._rekeying.switch_codec(codec, model.sources)
        if self._session is not None:
            return await self._session.switch_model(model, self._engine_codec(model.sources))
        self._engine.switch_model(model)
        return {}

    def _on_control(self) -> None:
        """Ask the session to take over the documents that are in force now."""
        if self._session is not None:
            self._session.controls.request()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            RefusedError: Before joining, when topics or broker do not allow to start.
        """
        with Watchdog(self._context.config.hang_seconds, self._context.exit_process):
            await self._run()

    async def _run(self) -> None:
        preparing = asyncio.ensure_future(self._prepare())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # Asked to stop before it has joined: there is nothing to write to the changelog.
        if not preparing.done():
            preparing.cancel()
            await asyncio.wait({preparing})
            return
        context, cluster, producers = preparing.result()
        app = self._make_app(context, cluster, producers)
        if self._rekeying is not None:
            self._rekeying.start()
        following: asyncio.Future[Any] | None = None
        if self._control is not None:
            following = asyncio.ensure_future(self._control.forever())
        context.lifecycle.join(f"group {context.config.group}")
        starting = asyncio.ensure_future(app.start())
        starting.add_done_callback(lambda task: _end_if_failed(context, task))
        await stopping
        context.lifecycle.stop()
        seconds = context.config.shutdown_timeout_seconds
        try:
            if following is not None:
                following.cancel()
                await asyncio.wait({following}, timeout=seconds)
            if self._rekeying is not None:  # first: what it writes now would only wait
                await self._rekeying.stop(seconds)
            await asyncio.wait_for(_shut_down(app, starting), seconds)
            await _write_snapshots(app.session, seconds / 2)
            await producers.stop(seconds)
        except TimeoutError:
            context.fail(f"Stopping took longer than {seconds:g} s.")

    async def _prepare(self) -> tuple[Context, Cluster, ProducerSet]:
        """Prepare topics and producers before joining; begin again where a broker goes away."""
        context = self._context
        while True:
            try:
                cluster = await prepare(context.config, context.lifecycle)
                if self._control is not None:
                    await self._control.start(context.lifecycle.wait)
                await wait_for_fit(context, lambda: (self._codec, self._engine.channels))
                peer = "the transaction coordinator" if cluster.transactions else "a broker"
                context.lifecycle.wait(f"{peer} has not answered the producers yet")
                return await self._connect(cluster)
            except KafkaError as error:
                if not is_retriable(error):
                    raise
                log.warning("A broker went away while this worker began: %r.", error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _connect(self, cluster: Cluster) -> tuple[Context, Cluster, ProducerSet]:
        config, transactional_id = self._context.config, ""
        if cluster.transactions:
            # Unique per life, unless the member is static: then it fences off its own former life.
            transactional_id = f"{config.group}-{config.instance_id or uuid.uuid4().hex}"
        producers = ProducerSet(
            config.client_settings(),
            transactional_id,
            early_events=config.guarantee == "at_least_once",
            dead_letters=config.dead_letters,
        )
        await producers.start()
        context = replace(self._context, transactional_id=transactional_id)
        if config.rekeyed:
            self._rekeying = RekeyService(
                context,
                self._codec,
                self._engine.channels,
                partitions=cluster.inputs[config.topics[0]].partitions,
                transactions=cluster.transactions,
            )
            await self._rekeying.connect()
        return context, cluster, producers

    def _engine_codec(self, channels: Sequence[str]) -> Codec:
        """Return the codec of the records that the engine reads."""
        config = self._context.config
        return RekeyedCodec(channels, config.max_key_bytes) if config.rekeyed else self._codec

    def _make_app(self, context: Context, cluster: Cluster, producers: ProducerSet) -> App:
        files: SnapshotFiles | None = None
        if context.config.snapshot_seconds:
            files = SnapshotFiles(context.config.snapshot_directory)

        def open_session(client: GroupClient, fetching: FetchControl) -> Session:
            self._session = Session(
                context,
                self._engine,
                self._engine_codec(self._engine.channels),
                client,
                fetching,
                producers,
                files,
                self._control,
            )
            if self._rekeying is not None:
                self._session.quiet.upstream = self._rekeying.is_up_to_date
            return self._session

        # The session is opened when Faust makes its consumer.
        partitions = {topic: status.partitions for topic, status in cluster.inputs.items()}
        return make_app(context, partitions, open_session)


async def _shut_down(app: App, starting: asyncio.Future[Any]) -> None:
    await app.stop()
    starting.cancel()
    await asyncio.wait({starting})


async def _write_snapshots(session: Session, seconds: float) -> None:
    """Copy the state to the disk; where that takes too long, the former copy stays."""
    if session.loader.snapshots is None:
        return
    try:
        await asyncio.wait_for(session.loader.snapshots.write_released(), seconds)
    except TimeoutError:
        log.warning("The state was not copied to the disk in time.")


def _end_if_failed(context: Context, task: asyncio.Future[Any]) -> None:
    """End a worker that could not start: nobody awaits the start itself."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        context.fail(f"The worker did not start: {type(error).__name__}: {error}", error)
