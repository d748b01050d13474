"""Faust's transport with whole fetches: the consumer hands every fetch to one function.

Faust keeps its part: lifecycle, group, assignment, tables, recovery. Offsets are ours: they are
committed by checkpoints only, and positions come from the state.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from faust.transport.drivers import aiokafka as driver
from mode import Service

from stream.kafka.client.consumer import ConsumerThread
from stream.kafka.runtime.fetch_loop import FetchLoop
from stream.kafka.runtime.pace import Pace

_POLL_SECONDS = 0.25
_RECOVERY_POLL_SECONDS = 0.1


class Consumer(driver.Consumer):
    """Hands fetches of input topics to the processor and of changelogs to the store."""

    mundane_level = "debug"  # that it starts and stops is not worth a line
    app: Any
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edge = self.app.edge
        self.edge.consumer = self
        self.flow = FetchLoop(
            self.edge,
            lambda: int(self.app.consumer_generation_id),
            lambda: self.flow_active and not self.app.should_stop,
        )
        self._pace = Pace(self.edge.clock)
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._fetch_generation = -1

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        """What runs aiokafka's consumer."""
        return self._thread

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                self.edge.fatal(f"The consumer stopped by itself: {error!r}.")
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except Exception as error:  # noqa: BLE001  # whatever it is, memory can no longer be trusted
            self.edge.fatal(f"The stream broke: {type(error).__name__}: {error}", error)

    async def _getmany(self, active_partitions: set[Any] | None, timeout: float) -> Any:  # noqa: ASYNC109
        self._fetch_generation = self.app.consumer_generation_id
        self._quiet.clear()
        try:
            # A copy: an empty set means "all" to aiokafka, and Faust empties its own meanwhile.
            return await super()._getmany(set(active_partitions or ()), timeout)
        finally:
            self._quiet.set()

    async def quiet(self) -> None:
        """Wait until no fetch is on its way: only then may positions be set."""
        await self._quiet.wait()

    async def _drain_once(self) -> None:
        recovering = self.app.tables.recovery.in_recovery
        # No lock here: a fetch waits for the new assignment while a rebalance is on, and the
        # assignment waits for `on_partitions_revoked`.
        records, active = await self._wait_next_records(
            _RECOVERY_POLL_SECONDS if recovering else _POLL_SECONDS
        )
        if not recovering:
            self._pace.taken(sum(map(len, (records or {}).values())))
        await self.flow.take(
            self.app.tables.recovery, records or {}, active or (), self._fetch_generation
        )
        await asyncio.sleep(self._pace.pause())

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish the slice in hand, bring everything to the log, then let go."""
        self.stop_flow()
        await self.flow.release("revoke")
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Note as whom the partitions are owned."""
        self.edge.joined()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Go on where the state ends; the group's offsets are only checked."""
        self.stop_flow()  # Faust resumes it next
        await self.quiet()
        await self.edge.resume(self.assignment())

    async def wait_empty(self) -> None:
        """The stop: one last checkpoint."""
        await self.flow.release("stop")

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: offsets are committed by checkpoints only."""
        return False

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Do nothing: Faust's check looks at events that whole fetches never make."""

    def verify_recovery_event_path(self, now: float, tp: Any) -> None:
        """Do nothing, for the same reason."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are made before the worker joins."""

    @Service.task
    async def _checkpointer(self) -> None:
        await self.edge.checkpoint_forever(lambda: self.should_stop)

    @Service.task
    async def _watcher(self) -> None:
        await self.edge.watch(lambda: self.should_stop)

    @Service.task
    async def _asker(self) -> None:
        await self.edge.look_up_forever(lambda: self.should_stop)

    @Service.task
    async def _snapshotter(self) -> None:
        await self.edge.snapshot_forever(lambda: self.should_stop)


class Producer(driver.Producer):
    """Faust's own producer, which nothing here uses: it never connects."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        """Do not connect."""

    async def on_stop(self) -> None:
        """There is nothing to close."""

    async def flush(self) -> None:
        """There is nothing to flush."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are made before the worker joins."""


class Transport(driver.Transport):
    """`ember://`: whole fetches."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
