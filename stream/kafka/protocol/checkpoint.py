"""Checkpoint: memory is brought to the log, in the one allowed order.

Per partition one synchronous step takes the position, the events in flight and a copy of the
dirty rows. Then, and never in another order:

1. the events are acknowledged (or, exactly once, are part of the transaction),
2. the rows, the meta row last, are written to the changelog and acknowledged,
3. the input offsets are committed, as the member of the group that took them.

With transactions 2 and 3 are one fenced transaction. Exactly once, 1 is part of it too and then
comes after 2: all of it becomes readable at once, and a transaction left open by a death shows in
the changelog, where the next owner looks for it and ends it; events alone would stay unreadable
until the broker's timeout. The stream goes on meanwhile. A checkpoint that fails is the end of the
process: memory is ahead of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from stream.engine import ABSORBED_HEADER, AnyEngine
from stream.observer import Observer
from stream.types import TP

from .outbox import Entry, Outbox, settled
from .ports import Clock, Group, StateLog
from .positions import Positions

COMMITTED_HEADER = "ember.committed"
"""Header of the meta row with the offset that the group had committed before; next to the absorbed
offset, the only value a group can honestly be found at."""


class CheckpointError(Exception):
    """Failure to bring memory to the log; the process must end and recover."""


@dataclass(frozen=True, slots=True)
class Part:
    """Position, events and rows of one partition, taken at the same moment."""

    tp: TP
    position: int
    committed: int
    events: list[Entry]
    keys: list[bytes]
    rows: Sequence[bytes | None]


class Checkpoint:
    """Writer of checkpoints; at most one is on its way at a time.

    Attributes:
        taken: Number of times the dirty rows of each partition were taken.
        began: Time at which the one on its way began, on the clock; None: there is none.

    Args:
        engine: State of all keys, with the dirty rows.
        positions: Positions; confirmed when a checkpoint is done.
        outbox: Events in flight.
        log: Log of changelog and offsets.
        group: Group that knows the member to commit as.
        clock: Monotonic clock, for durations only.
        observer: Receiver of reports on every checkpoint.
        on_written: Function called with partition, changelog offset of its last row, the offset
            committed before, the position committed now, and the meta row.
        settle_dead_letters: Function awaited before the offsets are committed; must be bounded in
            time, and never raises.
    """

    def __init__(
        self,
        *,
        engine: AnyEngine,
        positions: Positions,
        outbox: Outbox,
        log: StateLog,
        group: Group,
        clock: Clock,
        observer: Observer,
        on_written: Callable[[TP, int, int, int, bytes], None] = lambda *_: None,
        settle_dead_letters: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._positions = positions
        self._outbox = outbox
        self._log = log
        self._group = group
        self._clock = clock
        self._observer = observer
        self._on_written = on_written
        self._settle_dead_letters = settle_dead_letters
        self._lock = asyncio.Lock()
        self.taken: dict[TP, int] = {}
        self.began: float | None = None
        self._failed: BaseException | None = None

    async def run(self, reason: str) -> int:
        """Make one checkpoint of all that moved since the last.

        Cancelling the caller does not cancel it: half a checkpoint would lose dirty marks.

        Args:
            reason: `start`, `interval`, `full`, `clock`, `silence`, `switch`, `revoke` or `stop`;
                for logs and metrics.

        Returns:
            Rows written, meta rows included.

        Raises:
            CheckpointError: Memory is ahead of the log; also on every later call.
        """
        # A cancelled caller leaves the checkpoint running; the lock makes the next one wait.
        return await asyncio.shield(asyncio.ensure_future(self._run(reason)))

    async def _run(self, reason: str) -> int:
        async with self._lock:
            if self._failed is not None:
                raise CheckpointError("An earlier checkpoint failed.") from self._failed
            started = self.began = self._clock()
            stalled = 0.0
            parts: list[Part] = []
            try:
                for tp in self._positions:
                    taking = self._clock()
                    part = self._take(tp)
                    if part is not None:
                        parts.append(part)
                        stalled = max(stalled, self._clock() - taking)
                        await asyncio.sleep(0)  # partitions are independent: the stream goes on
                if not parts:
                    return 0
                await self._write(parts)
            except BaseException as error:
                self._failed = error
                raise CheckpointError(
                    f"A checkpoint ({reason}) failed: {type(error).__name__}: {error}"
                ) from error
            finally:
                self.began = None
            rows = sum(len(part.keys) for part in parts)
            self._observer.checkpointed(reason, self._clock() - started, stalled, rows)
            return rows

    def _take(self, tp: TP) -> Part | None:
        """Take position, events and rows of the same moment: no await in here."""
        if tp not in self._positions:
            return None
        # Rows change without a record too: another model or layout migrates them. Unwritten, they
        # could not leave a full memory, and the next new key would find no room.
        if not (self._positions.moved(tp) or self._engine.has_unwritten(tp)):
            return None
        dirty = self._engine.take_dirty(tp)
        self.taken[tp] = self.taken.get(tp, 0) + 1
        return Part(
            tp=tp,
            position=self._positions.take(tp),
            committed=self._positions.committed(tp),
            events=self._outbox.take(tp),
            keys=dirty.keys,
            rows=dirty.rows,
        )

    async def _write(self, parts: list[Part]) -> None:
        membership = self._group.membership()
        if not self._outbox.held:
            await self._outbox.settle([entry for part in parts for entry in part.events])
        if self._settle_dead_letters is not None:
            await self._settle_dead_letters()
        await self._log.begin()
        try:
            stored = await settled([self._append(part) for part in parts])
            # After the rows: a transaction left open by a death then shows in the changelog.
            if self._outbox.held:
                await self._send_held(parts)
            await self._log.commit({part.tp: part.position for part in parts}, membership)
        except BaseException:
            # Without it the next owner would have to wait for the broker's transaction timeout.
            await self._log.abort()
            raise
        for part, offset in zip(parts, stored, strict=True):
            self._positions.confirm(part.tp, part.position)
            # `take_dirty` puts the meta row last.
            meta = part.rows[-1] or b""
            self._on_written(part.tp, offset, part.committed, part.position, meta)

    async def _send_held(self, parts: list[Part]) -> None:
        acks = []
        for part in parts:
            for entry in part.events:
                assert entry.message is not None
                acks.append(await self._log.send(entry.message))
        await settled(acks)

    async def _append(self, part: Part) -> int:
        headers = [(COMMITTED_HEADER, str(part.committed).encode())]
        tombstone = [(ABSORBED_HEADER, str(part.position - 1).encode())]
        return await self._log.append(part.tp, part.keys, part.rows, headers, tombstone)
