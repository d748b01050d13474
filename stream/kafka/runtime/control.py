"""Documents of operators in a worker: taken over between two fetches, at a noted offset.

Every partition has its own set for as long as it takes. An event may have left this group before
the worker that made it was killed, and its record is scored again. So a partition goes on with the
set that its meta row names, up to the end that its log has at the start: no killed worker can have
been further. Events in the checkpoint's transaction do not leave before it, and then the present
set is used at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from stream.control import NO_CONTROL, ControlSet
from stream.engine import AnyEngine
from stream.kafka.context import Context
from stream.kafka.protocol.positions import Positions
from stream.types import TP

log = logging.getLogger(__name__)

_SHORT = 12


class ControlSource(Protocol):
    """Documents of operators, as the control topic brings them."""

    @property
    def current(self) -> ControlSet:
        """Documents in force now."""

    def find(self, digest: str) -> ControlSet | None:
        """Return the documents of a digest; None where they are not known."""

    async def refresh(self) -> None:
        """Read the topic now; where that fails, the source stays as it is."""


class NoControl:
    """Source without documents, of a group that has no control topic."""

    current = NO_CONTROL

    def find(self, digest: str) -> ControlSet | None:
        """Return no documents where those are asked for; others are not known."""
        return None if digest else NO_CONTROL

    async def refresh(self) -> None:
        """Do nothing: there is no topic."""


class PartitionControls:
    """Documents of operators by which the records of each partition are scored.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        positions: Positions of the partitions.
        fetch_lock: Lock held while a fetch is processed.
        checkpoint: Function that makes a checkpoint, given a reason for logs and metrics.
        source: Documents of the control topic.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        positions: Positions,
        fetch_lock: asyncio.Lock,
        checkpoint: Callable[[str], Awaitable[None]],
        source: ControlSource,
    ) -> None:
        self._context, self._engine, self._positions = context, engine, positions
        self._fetch_lock, self._checkpoint, self._source = fetch_lock, checkpoint, source
        self._repeats = context.config.guarantee != "exactly_once"
        self._used: dict[TP, ControlSet] = {}
        self._held: dict[TP, int] = {}
        self._in_engine = NO_CONTROL
        self._due = asyncio.Event()

    def of(self, tp: TP) -> ControlSet:
        """Return the documents that score the next record of a partition."""
        return self._used.get(tp, NO_CONTROL)

    def bring_into_force(self, tp: TP) -> None:
        """Let the engine use the documents of a partition; called before each of its steps."""
        control = self.of(tp)
        if control != self._in_engine:
            self._engine.use_control(control)
            self._in_engine = control

    async def prepare(self, tps: Collection[TP]) -> None:
        """Read the topic where a partition's last owner knew of a later change than this worker.

        Args:
            tps: Partitions whose meta rows are loaded, and which will be opened.
        """
        owned = set(self._engine.attached())
        noted = {self._engine.meta(tp).control_digest for tp in tps if tp in owned}
        if any(self._source.find(digest) is None for digest in noted):
            await self._source.refresh()

    def open(self, tp: TP, end: int, *, fresh: bool) -> None:
        """Choose the documents of a partition before its first record.

        Args:
            tp: The partition; its position is known, and a checkpoint follows.
            end: End of its log.
            fresh: Whether this group has read nothing of it yet.
        """
        self._held.pop(tp, None)
        meta, current = self._engine.meta(tp), self._source.current
        noted = meta.control_digest
        control = current
        follows = not isinstance(self._source, NoControl)
        # One that has noted its documents may have gone on, and died before it committed.
        begun = not fresh or bool(meta.control_epochs)
        if follows and self._repeats and begun and self._positions.position(tp) < end:
            # Also where the noted documents are the present ones: these may change meanwhile.
            noted_set = current if noted == current.digest else self._source.find(noted)
            if noted_set is not None:
                control, self._held[tp] = noted_set, end
            else:
                log.warning(
                    "%s-%d: the documents %s of its last records are not in the control topic any "
                    "more; events that are sent again may differ.",
                    *tp,
                    noted[:_SHORT],
                )
        self._used[tp] = control
        # Even no documents are noted: the owner after this one has to know that none were used.
        if noted != control.digest or (follows and not meta.control_epochs):
            self._note([tp], control)

    def drop(self, tp: TP) -> None:
        """Forget a partition that is given back."""
        self._used.pop(tp, None)
        self._held.pop(tp, None)

    def request(self) -> None:
        """Ask for a look at the documents in force; they may have changed."""
        self._due.set()

    def on_processed(self, tps: Iterable[TP]) -> None:
        """Take note of partitions whose position has moved."""
        ready = [tp for tp in tps if tp in self._held and self._is_ready(tp)]
        for tp in ready:
            del self._held[tp]
        if ready:
            self._due.set()

    def note_at_end(self, tps: Collection[TP]) -> None:
        """Take note of partitions of whose log nothing is left to absorb.

        The last offset of a log may be the marker of a transaction, which no fetch brings.
        """
        ended = [tp for tp in tps if self._held.pop(tp, None) is not None]
        if ended:
            self._due.set()

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Take over other documents whenever there are some, until `stopped`.

        Args:
            stopped: Function that says whether the worker stops.
        """
        while not stopped():
            await self._due.wait()
            self._due.clear()
            await self.take_over()

    async def take_over(self) -> dict[TP, int]:
        """Score by the documents in force from the next record on.

        Each partition's meta row says so before that record is absorbed: a replay changes there.

        Returns:
            First offset that they score, by partition; without those that are replayed now.
        """
        async with self._fetch_lock:
            if not self._context.lifecycle.at_work:
                return {}  # the end of the start asks again
            current = self._source.current
            changing = [
                tp for tp in self._positions if self.of(tp) != current and self._is_ready(tp)
            ]
            if not changing:
                return {}
            offsets = self._note(changing, current)
            await self._checkpoint("control")
            # No await in between: nothing may be scored otherwise than it was noted.
            owned = [tp for tp in changing if tp in self._positions]
            for tp in owned:
                self._used[tp] = current
                self._held.pop(tp, None)
            self._context.observer.control_used(owned, current)
            log.info(
                "%d documents (%s) score from these offsets on: %s.",
                len(current.documents),
                current.digest[:_SHORT] or "none",
                ", ".join(f"{topic}-{number}: {offsets[topic, number]}" for topic, number in owned),
            )
            return {tp: offsets[tp] for tp in owned}

    def _is_ready(self, tp: TP) -> bool:
        """Return whether a partition is past what a killed worker may have sent."""
        return tp in self._positions and self._positions.position(tp) >= self._held.get(tp, 0)

    def _note(self, tps: Collection[TP], control: ControlSet) -> dict[TP, int]:
        """Note documents in the meta rows, which the next checkpoint writes."""
        offsets = {tp: self._positions.position(tp) for tp in tps}
        for tp, offset in offsets.items():
            self._engine.schedule_control(tp, offset, control)
            self._positions.reopen(tp)
        return offsets
