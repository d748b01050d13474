"""Events between engine and broker: those in flight, and those a checkpoint has to wait for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from stream.types import TP

from .ports import EventSink, Outgoing

LIMIT_BYTES: Final = 64 * 1_048_576
"""Bytes of events that may wait, of all partitions."""


class Entry:
    """Event on its way: its message until it is sent, its acknowledgement from then on."""

    __slots__ = ("ack", "message", "size")

    def __init__(self, message: Outgoing) -> None:
        self.message: Outgoing | None = message
        self.size = len(message.value or b"")
        self.ack: asyncio.Future[Any] | None = None


class Outbox:
    """Events of all partitions, in order.

    With a sink, events are sent at once, by `pump`, and a checkpoint only waits for their
    acknowledgement. Without one (exactly once) they stay here until a checkpoint takes them into
    its transaction, so that events after the snapshot belong to the next one.

    Args:
        sink: Sink that events go to at once; None holds them for the checkpoint.
        limit: Most events unacknowledged (or, held, not taken) before `wait_for_capacity` waits.
        limit_bytes: Most bytes of them: messages of scored rows are large.
        on_full: Function called when it has to wait: an early checkpoint makes room in a held
            outbox.
    """

    def __init__(
        self,
        sink: EventSink | None,
        *,
        limit: int = 20_000,
        limit_bytes: int = LIMIT_BYTES,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"An outbox needs room. Expected limit >= 1. Received: limit={limit}.")
        self._sink = sink
        self._limit, self._limit_bytes = limit, limit_bytes
        self._on_full = on_full
        self._entries: dict[TP, list[Entry]] = {}
        self._unsent: deque[Entry] = deque()
        self._pending = self._pending_bytes = 0
        self._sending = asyncio.Lock()
        self._freed = asyncio.Event()
        self._broken: BaseException | None = None

    @property
    def held(self) -> bool:
        """True where events wait for a checkpoint."""
        return self._sink is None

    @property
    def pending(self) -> int:
        """Number of events not yet acknowledged, or not yet taken."""
        return self._pending

    def add(self, tp: TP, messages: Iterable[Outgoing]) -> None:
        """Take events of a partition over; nothing is awaited."""
        entries = self._entries.setdefault(tp, [])
        for message in messages:
            entry = Entry(message)
            entries.append(entry)
            self._pending += 1
            self._pending_bytes += entry.size
            if not self.held:
                self._unsent.append(entry)

    def take(self, tp: TP) -> list[Entry]:
        """Give all events of a partition since the last `take` to a checkpoint."""
        entries = self._entries.pop(tp, [])
        # Held events are the checkpoint's from now on; others count until they are acknowledged.
        if self.held:
            self._done(entries)
        return entries

    def drop(self, tp: TP) -> None:
        """Forget a partition's events; those already sent stay sent."""
        for entry in self._entries.pop(tp, []):
            if entry.ack is None:
                self._done([entry])
                if not self.held:
                    self._unsent.remove(entry)

    async def wait_for_capacity(self) -> None:
        """Wait until fewer events are pending than the limits allow.

        Raises:
            Exception: If an event could not be delivered, as the broker said.
        """
        while self._pending >= self._limit or self._pending_bytes >= self._limit_bytes:
            self._raise_broken()
            # Cleared before the call: an acknowledgement in between sets it again.
            self._freed.clear()
            self._on_full()
            await self._freed.wait()
        self._raise_broken()

    async def pump(self) -> None:
        """Send the unsent events, in order. May be cancelled at any await without loss."""
        sink = self._sink
        if sink is None or not self._unsent:
            return
        async with self._sending:
            while self._unsent:
                entry = self._unsent[0]
                assert entry.message is not None
                ack = asyncio.ensure_future(await sink.send(entry.message))
                # No await between the hand-over and these lines: an event is sent once.
                entry.ack = ack
                entry.message = None
                self._unsent.popleft()
                ack.add_done_callback(partial(self._acknowledged, entry))

    async def settle(self, entries: Sequence[Entry]) -> None:
        """Wait until every one of these events is acknowledged.

        Raises:
            Exception: The first failure.
        """
        await self.pump()
        await settled([entry.ack for entry in entries if entry.ack is not None])

    def _acknowledged(self, entry: Entry, ack: asyncio.Future[Any]) -> None:
        self._done([entry])
        if ack.cancelled():
            self._broken = asyncio.CancelledError()
        elif ack.exception() is not None:
            self._broken = ack.exception()

    def _done(self, entries: Sequence[Entry]) -> None:
        self._pending -= len(entries)
        self._pending_bytes -= sum(entry.size for entry in entries)
        self._freed.set()

    def _raise_broken(self) -> None:
        if self._broken is not None:
            raise self._broken


async def settled(acks: Sequence[Awaitable[Any]]) -> list[Any]:
    """Wait for all acknowledgements, and return their results in order or raise the first failure.

    A plain `gather` returns at the first failure and leaves the others running; a flush reports
    no failure at all.
    """
    results = await asyncio.gather(*acks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
