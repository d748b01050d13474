"""Silence of whole partitions, told by this worker's clock.

Keys are idle by the clock of their partition, and a partition without records has none that moves.
The time without a record counts only while this worker knows that the log is at its end: a check of
the cluster has just asked the broker. After a start, and after a time in which the broker did not
answer, it is counted anew. So a worker that lags, waits or was away calls nobody silent.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from stream.engine import AnyEngine, DetailedScores
from stream.kafka.context import Context
from stream.kafka.protocol.positions import Positions
from stream.records import Event
from stream.types import TP

log = logging.getLogger(__name__)

_LONGEST_SECONDS: Final = 45.0
"""Time between two checks after which nothing is known of the time between: records may have had
no broker to go to. Checks come every ten seconds, and wait for an answer for fifteen."""


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A partition at the end of its log.

    Attributes:
        position: Next offset to absorb.
        since: Time since which it is, by the worker's monotonic clock.
        clock_us: Clock of the partition at that time.
    """

    position: int
    since: float
    clock_us: int


class QuietPartitions:
    """Partitions of this worker that have no records, and the silence of their keys.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        positions: Positions of the partitions.
        fetch_lock: Lock held while a fetch is processed.
        checkpoint: Function that makes a checkpoint, given a reason for logs and metrics.
        send: Function that sends events and scored rows of a partition.
        prepare: Function called with a partition before the engine gives its events.

    Attributes:
        upstream: Function that says whether everything has reached the topics read here: records
            may wait to be re-keyed. None: nothing comes before them.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        positions: Positions,
        fetch_lock: asyncio.Lock,
        checkpoint: Callable[[str], Awaitable[None]],
        send: Callable[[TP, list[Event], list[DetailedScores]], None],
        prepare: Callable[[TP], None] = lambda _: None,
    ) -> None:
        self._context, self._clock = context, context.clock
        self._engine, self._positions = engine, positions
        self._fetch_lock, self._checkpoint, self._send = fetch_lock, checkpoint, send
        self._prepare = prepare
        self.upstream: Callable[[], Awaitable[bool]] | None = None
        self._quiet: dict[TP, _Quiet] = {}
        self._noted = -math.inf
        self._due = asyncio.Event()

    def note(self, at_end: Collection[TP]) -> None:
        """Take note of a check in which a broker has answered.

        Args:
            at_end: Partitions of whose log nothing is left to absorb, by the broker's answer.
        """
        now = self._clock()
        former = self._quiet if now - self._noted <= _LONGEST_SECONDS else {}
        self._noted, self._quiet = now, {}
        for tp in self._positions:
            quiet, position = former.get(tp), self._positions.position(tp)
            if quiet is not None and quiet.position != position:
                self._engine.note_quiet(tp, _us(now - quiet.since))
                quiet = None
            if tp in at_end:
                clock_us = self._engine.meta(tp).clock_us
                self._quiet[tp] = quiet or _Quiet(position, now, clock_us)
            elif quiet is not None and not self._positions.is_paused(tp):
                self._quiet[tp] = quiet  # its next record is on the way
        if self._context.config.tell_silence and self._silent(at_end):
            self._due.set()

    def _silent(self, tps: Collection[TP]) -> dict[TP, int]:
        """Return the clocks of partitions that show a key idle."""
        now = self._clock()
        clocks = {}
        for tp in tps:
            quiet = self._quiet.get(tp)
            # A record since then moves the clock itself.
            if quiet is None or tp not in self._positions or not self._stands(tp, quiet):
                continue
            clock_us = self._engine.silent_clock(tp, quiet.clock_us, _us(now - quiet.since))
            if clock_us is not None:
                clocks[tp] = clock_us
        return clocks

    def _stands(self, tp: TP, quiet: _Quiet) -> bool:
        return not self._positions.is_paused(tp) and self._positions.position(tp) == quiet.position

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Tell the silence of keys whenever a check has found one, until `stopped`.

        Args:
            stopped: Function that says whether the worker stops.
        """
        while not stopped():
            await self._due.wait()
            self._due.clear()
            await self.emit()

    async def emit(self) -> None:
        """Tell the silence of keys, after a checkpoint that says how far."""
        if self.upstream is not None and not await self.upstream():
            return  # a later check asks again
        async with self._fetch_lock:
            if not self._context.lifecycle.at_work:
                return
            clocks = self._silent(list(self._quiet))
            for tp, clock_us in clocks.items():
                self._engine.schedule_silence(tp, clock_us)
                self._positions.reopen(tp)
            if not clocks:
                return
            await self._checkpoint("silence")
            for tp in clocks:
                if tp in self._positions:
                    self.emit_scheduled(tp)
                    log.info("%s-%d: no records come, so this worker's clock tells silence.", *tp)

    def emit_scheduled(self, tp: TP) -> None:
        """Tell the silence that the meta row of a partition names, if it does.

        A worker that was killed between the checkpoint and this leaves it to the next one, which
        does so before the first record.
        """
        self._prepare(tp)
        result = self._engine.tell_silence(tp)
        if result.events or result.details:
            self._send(tp, result.events, result.details)
            self._positions.reopen(tp)  # so that the next checkpoint writes the rows


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
