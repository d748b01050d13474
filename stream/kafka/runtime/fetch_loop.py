"""Way of a fetch from the consumer to the processor: one at a time, and none of a past assignment.

The loop also sets the pace of fetching: the next fetch is taken at once when there is much to read,
else after a moment in which records gather.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from stream.kafka.context import Context
from stream.kafka.protocol.ports import Clock, FetchControl, Recovery
from stream.kafka.recovery.loader import StateLoader
from stream.types import TP

from .processor import Processor

GATHER_SECONDS: Final = 0.01
"""Between two fetches that bring little. A step costs as much as sixty records by itself, so that
a worker taking every record as it comes would be busy with a tenth of what it can do; a record
waits for this time twice at most: for its fetch to be asked for, and for it to be taken."""

MANY: Final = 1024
"""Records in a fetch from which a step's own cost does not matter."""


class Gathering:
    """Time for records to gather before the next fetch is taken.

    Args:
        clock: Monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = -math.inf

    def taken(self, count: int) -> None:
        """Note that a fetch of so many records was taken."""
        self._due = self._clock() + GATHER_SECONDS if 0 < count < MANY else -math.inf

    def pause(self) -> float:
        """Return the seconds to wait before the next fetch; 0 after a large or a late one."""
        return max(self._due - self._clock(), 0.0)


class FetchLoop:
    """Hands fetches of inputs to the processor, and those of changelogs to the loader.

    Args:
        context: Surroundings of the worker.
        fetching: Control of the fetches.
        fetch_lock: Lock held while a fetch is processed.
        loader: Part that merges changelogs into memory.
        processor: Part that absorbs records.
        on_processed: Function called with the partitions of every processed fetch.
    """

    def __init__(
        self,
        context: Context,
        fetching: FetchControl,
        fetch_lock: asyncio.Lock,
        loader: StateLoader,
        processor: Processor,
        on_processed: Callable[[Iterable[TP]], None],
    ) -> None:
        self._context = context
        self._inputs = frozenset(context.config.topics)
        self._fetching = fetching
        self._fetch_lock = fetch_lock
        self._loader = loader
        self._processor = processor
        self._on_processed = on_processed
        self._gathering = Gathering(context.clock)

    async def take(
        self,
        recovery: Recovery,
        records: Mapping[Any, Sequence[Any]],
        active: Iterable[TP],
        generation: int,
    ) -> None:
        """Process a fetch.

        Args:
            recovery: Progress of the recovery, told of changelog records.
            records: Records by partition, of inputs and changelogs.
            active: Partitions that were asked for.
            generation: Assignment that the fetch was made in. Fetches of the current assignment
                come after its seeks, and what they bring must not be dropped.
        """
        if not recovery.in_recovery:
            self._gathering.taken(sum(map(len, records.values())))
        async with self._fetch_lock:
            if generation != self._fetching.generation:
                return  # all positions are set anew before fetches go on
            inputs: dict[TP, Sequence[Any]] = {}
            for tp, batch in records.items():
                if tp[0] in self._inputs:
                    inputs[tp[0], tp[1]] = batch
                else:
                    await self._loader.load(recovery, tp, batch)
            if inputs:
                await self._processor.process(inputs, lambda: self._goes_on(generation))
                self._on_processed(inputs)
            # While the flow is stopped, partitions are being given back.
            if self._fetching.is_open:
                self._loader.follow(recovery, active)

    def pause(self) -> float:
        """Return the seconds to wait before the next fetch, in which records gather."""
        return self._gathering.pause()

    def _goes_on(self, generation: int) -> bool:
        return self._fetching.is_open and generation == self._fetching.generation

    @asynccontextmanager
    async def finished(self, reason: str) -> AsyncIterator[None]:
        """Wait for the slice in hand, in bounded time, and let none begin within the context.

        Nor does a change of the model, or a silence, that came meanwhile: its checkpoint would go
        on into the next generation of the group, which refuses it.

        Args:
            reason: Reason for which partitions are given back.
        """
        seconds = self._context.config.shutdown_timeout_seconds
        try:
            await asyncio.wait_for(self._fetch_lock.acquire(), seconds)
        except TimeoutError:
            self._context.fail(f"The records in hand ({reason}) took longer than {seconds:g} s.")
        try:
            yield
        finally:
            self._fetch_lock.release()
