"""Faust's transport with whole fetches: the consumer hands every fetch to one function.

Faust keeps its part: lifecycle, group, assignment, tables, recovery. Offsets are committed by
checkpoints only, and positions come from the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from faust.transport.drivers import aiokafka as driver
from faust.types import TP as FaustTP  # noqa: N811  # `stream.types.TP` is a plain tuple
from mode import Service

from stream.kafka.client.consumer import GroupConsumer
from stream.kafka.runtime.session import Session
from stream.types import TP

_POLL_SECONDS = 0.25
_RECOVERY_POLL_SECONDS = 0.1


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Thread of Faust with the consumer of `stream.kafka.client`.

    Attributes:
        client: Requests to the consumer.
    """

    mundane_level = "debug"  # that it starts and stops is not worth a line
    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.app.context.config.consumer_settings()
        self.client = GroupConsumer(settings, self.call_thread)

    def _create_worker_consumer(self, transport: Any) -> Any:
        self._assignor = self.app.assignor
        return self.client.create(self._assignor)

    async def on_start(self) -> None:
        """Start the consumer, and follow its heartbeats."""
        await super().on_start()
        self.client.follow_heartbeats()


class Fetching:
    """Control of Faust's fetches, with partitions as plain tuples.

    Args:
        consumer: Faust's consumer.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    @property
    def generation(self) -> int:
        """Number of the assignments so far."""
        return int(self._consumer.app.consumer_generation_id)

    @property
    def is_open(self) -> bool:
        """True where fetches may be processed now."""
        return bool(self._consumer.flow_active) and not self._consumer.app.should_stop

    async def wait_for_fetch(self) -> None:
        """Wait until no fetch is on its way: only then may positions be set."""
        await self._consumer.wait_for_fetch()

    async def seek(self, positions: Mapping[TP, int]) -> None:
        """Set the next offsets to fetch."""
        await self._consumer.seek_wait({FaustTP(*tp): o for tp, o in positions.items()})

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no more."""
        self._consumer.pause_partitions({FaustTP(*tp) for tp in tps})

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions again."""
        self._consumer.resume_partitions({FaustTP(*tp) for tp in tps})


class Consumer(driver.Consumer):
    """Consumer of Faust that hands whole fetches to the session."""

    mundane_level = "debug"
    app: Any
    _thread: ConsumerThread
    session: Session

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._no_fetch = asyncio.Event()
        self._no_fetch.set()
        self._fetch_generation = -1
        self.session = self.app.open_session(self._thread.client, Fetching(self))
        self.app.session = self.session

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        """Thread of the consumer."""
        return self._thread

    async def _drain_messages(self, fetcher: Any) -> None:
        context = self.session.context
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                context.fail(f"The consumer stopped by itself: {error!r}.")
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except Exception as error:  # noqa: BLE001  # after any error memory cannot be trusted
            context.fail(f"The stream broke: {type(error).__name__}: {error}", error)

    async def _getmany(self, active_partitions: set[Any] | None, timeout: float) -> Any:  # noqa: ASYNC109
        self._fetch_generation = self.app.consumer_generation_id
        self._no_fetch.clear()
        try:
            # A copy: an empty set means "all" to aiokafka, and Faust empties its own meanwhile.
            return await super()._getmany(set(active_partitions or ()), timeout)
        finally:
            self._no_fetch.set()

    async def wait_for_fetch(self) -> None:
        """Wait until no fetch is on its way."""
        await self._no_fetch.wait()

    async def _drain_once(self) -> None:
        recovery = self.app.tables.recovery
        # No lock here: a fetch waits for the new assignment while a rebalance is on, and the
        # assignment waits for `on_partitions_revoked`.
        records, active = await self._wait_next_records(
            _RECOVERY_POLL_SECONDS if recovery.in_recovery else _POLL_SECONDS
        )
        loop = self.session.fetch_loop
        await loop.take(recovery, records or {}, active or (), self._fetch_generation)
        await asyncio.sleep(loop.pause())

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish the slice in hand, write all state to the changelog, then give partitions back."""
        self.stop_flow()
        await self.session.release("revoke")
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Keep the membership that owns the partitions."""
        self.session.on_assigned()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Go on at the end of the state; the group's offsets are only checked."""
        self.stop_flow()  # Faust resumes it next
        await self.wait_for_fetch()
        await self.session.start(self.app.tables.recovery, self.assignment())

    async def wait_empty(self) -> None:
        """Make one last checkpoint before the stop."""
        await self.session.release("stop")

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: offsets are committed by checkpoints only."""
        return False

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Do nothing: Faust's check looks at events that whole fetches never make."""

    def verify_recovery_event_path(self, now: float, tp: Any) -> None:
        """Do nothing, for the same reason."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are made before the worker joins."""

    def _stops(self) -> bool:
        return bool(self.should_stop)

    @Service.task
    async def _make_checkpoints(self) -> None:
        await self.session.checkpointer.forever(self._stops)

    @Service.task
    async def _monitor_cluster(self) -> None:
        await self.session.monitor.forever(self._stops)

    @Service.task
    async def _tell_silence(self) -> None:
        await self.session.quiet.forever(self._stops)

    @Service.task
    async def _take_over_control(self) -> None:
        await self.session.controls.forever(self._stops)

    @Service.task
    async def _purge_rekeyed(self) -> None:
        await self.session.purge.forever(self._stops)

    @Service.task
    async def _look_up_schemas(self) -> None:
        await self.session.paused.forever(self._stops)

    @Service.task
    async def _write_snapshots(self) -> None:
        snapshots = self.session.loader.snapshots
        if snapshots is not None:
            await snapshots.forever(self._stops, self.session.checkpointer.run)


class Producer(driver.Producer):
    """Faust's own producer, which nothing here uses: it never connects."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        """Do not connect."""

    async def on_stop(self) -> None:
        """Do nothing: there is no connection to close."""

    async def flush(self) -> None:
        """Do nothing: no message is ever sent."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are made before the worker joins."""


class Transport(driver.Transport):
    """Transport `ember://` of whole fetches."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
