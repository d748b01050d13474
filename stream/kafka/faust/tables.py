"""Faust's table store on the engine's slabs, and the recovery that fills it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from faust.stores.base import Store
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from stream.kafka.recovery.start import wait_for_stable_offsets
from stream.kafka.runtime.session import Session

_PROGRESS_SECONDS = 2.0
_FAUST = logging.getLogger("faust")
"""Logger of Faust's own messages, so that one setting quiets all of them."""


class SlabStore(Store):
    """Data of a table: slabs of the engine, by changelog partition."""

    logger = _FAUST
    app: Any

    def __post_init__(self) -> None:
        self.data: dict[Any, Any] = {}

    def persisted_offset(self, tp: Any) -> int | None:
        """Return the last changelog offset in memory: partitions that stay are not read again."""
        session: Session = self.app.session
        return session.loader.changelog.stored(session.context.config.source_of(tp))

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Note that memory contains the changelog up to an offset."""
        session: Session = self.app.session
        session.loader.changelog.reached(session.context.config.source_of(tp), offset)

    async def on_rebalance(
        self,
        assigned: set[Any],
        revoked: set[Any],
        newly_assigned: set[Any],
        generation_id: int = 0,
    ) -> None:
        """Give slabs back by the true difference, and open those that are needed."""
        name = self.table.changelog_topic.get_topic_name()
        for tp in revoked:
            if tp.topic == name:
                self.app.session.detach(tp)
        for tp in assigned:
            if tp.topic == name:
                self.app.session.attach(tp)

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Refuse: changelogs are loaded whole fetches at a time, past Faust's buffers."""
        if any(True for _ in batch):
            self.app.context.fail("A changelog event took Faust's path, which loses its source.")

    def reset_state(self) -> None:
        """Do nothing: no file is kept here."""

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is nothing to back up."""

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is nothing to restore."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("State is changed by the engine only.")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("State is changed by the engine only.")

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class SlabRecovery(Recovery):
    """Recovery of Faust, fed by the transport, up to the end of the readable log."""

    logger = _FAUST
    app: Any

    @Service.task
    async def _slurp_changelogs(self) -> None:
        await self.wait_for_stopped(self._stopped)  # the transport feeds the store

    @Service.task
    async def _publish_stats(self) -> None:
        while not self.should_stop:
            await self.sleep(_PROGRESS_SECONDS)
            if self.in_recovery:
                self.app.session.loader.report(self.active_remaining_total())

    async def _build_highwaters(
        self, consumer: Any, tps: set[Any], destination: Any, title: str
    ) -> None:
        if title == "active":
            self.signal_recovery_end.clear()  # of an earlier recovery
            # Faust seeks next: a fetch on its way would move the positions again.
            await consumer.wait_for_fetch()
            session: Session = self.app.session
            ends = await wait_for_stable_offsets(session.context, consumer.thread.client, tps)
            await session.loader.restore(self, ends)
        else:
            ends = await consumer.highwaters(*tps)
        # Faust's highwaters are the last offsets to read, not the ends.
        destination.clear()
        destination.update({tp: end - 1 for tp, end in ends.items()})

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109  # Faust's signature
        """Wait; unlike Faust's own, let no failure and no timeout pass for success."""
        if self.signal_recovery_start.is_set():
            # Closed, so that Python does not warn of a coroutine that was never awaited.
            if asyncio.iscoroutine(coro):
                coro.close()
            raise RebalanceAgain
        waits: list[Awaitable[Any]] = [
            coro,
            self.signal_recovery_start.wait(),
            self._stopped.wait(),
        ]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            finished: set[Any] = set()
            while not finished:
                finished, _ = await asyncio.wait(
                    tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
                )
                session: Session = self.app.session
                if session.context.clock() - session.loader.migrated_at >= (timeout or 0.0):
                    break  # else it has not stood still: rows of another model are migrated
            work, restarted, stopped = tasks
            if stopped.done():
                raise ServiceStopped
            if restarted.done():
                raise RebalanceAgain
            if not work.done():
                raise TimeoutError(f"Recovery: a step took longer than {timeout} s.")
            work.result()
        finally:
            for task in tasks:
                task.cancel()


class SlabTables(TableManager):
    """Table manager of Faust with `SlabRecovery`."""

    logger = _FAUST

    async def on_start(self) -> None:
        """Start at once: all tables are known."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """Recovery of this manager."""
        if self._recovery is None:
            self._recovery = SlabRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
