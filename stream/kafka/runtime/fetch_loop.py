"""From fetches to the edge: one at a time, and none while partitions are given away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from .session import Session


class FetchLoop:
    """Hands fetches over, unless they are of an earlier assignment.

    Args:
        edge: Takes them.
        generation: The app's count of assignments.
        open_: Whether fetches may be handed over at all.
    """

    def __init__(
        self, edge: Session, generation: Callable[[], int], open_: Callable[[], bool]
    ) -> None:
        self._edge = edge
        self._generation = generation
        self._open = open_
        self._batch = asyncio.Lock()

    async def take(
        self,
        recovery: Any,
        records: Mapping[Any, Sequence[Any]],
        active: Iterable[Any],
        generation: int,
    ) -> None:
        """Hand a fetch over.

        Args:
            recovery: Faust's, told of changelog records.
            records: By partition; inputs and changelogs.
            active: Partitions that were asked for.
            generation: Of the fetch, not of the wait for the flow before it: fetches of this
                generation come after its seeks, and what they bring must not be dropped.
        """
        async with self._batch:
            if generation != self._generation():
                return  # all positions are set anew before the flow is resumed
            inputs = {}
            for tp, batch in records.items():
                if tp.topic in self._edge.sources:
                    await self._edge.load_changelog(recovery, tp, batch)
                else:
                    inputs[tp] = batch
            if inputs:
                await self._edge.process(inputs, lambda: self._going_on(generation))
            if self._open():
                self._edge.follow_recovery(recovery, active)

    def _going_on(self, generation: int) -> bool:
        return self._open() and generation == self._generation()

    @asynccontextmanager
    async def between(self) -> AsyncIterator[None]:
        """While no fetch is in hand, and none is taken."""
        async with self._batch:
            yield

    async def release(self, reason: str) -> None:
        """Finish the slice in hand, bring everything to the log, own nothing any more."""
        seconds = self._edge.config.shutdown_timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._batch:
                pass
        except TimeoutError:
            self._edge.fatal(f"The records in hand ({reason}) took longer than {seconds:g} s.")
        await self._edge.release(reason)
