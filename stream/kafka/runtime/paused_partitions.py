"""Partitions that wait for an answer their next record needs, while all others go on.

A partition that waits is not fetched, its position stays, and checkpoints commit that position: to
everything else it looks like one without news. When the answer is there it is read again from its
position on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from faust.types import TP as FaustTP  # noqa: N811  # ours is a plain tuple

from stream.codecs import Codec
from stream.kafka.protocol.ports import LookingUp
from stream.kafka.protocol.positions import Positions
from stream.observer import Observer
from stream.types import TP

log = logging.getLogger(__name__)

_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class PausedPartitions:
    """Who waits, and the asking on their behalf.

    Args:
        ledger: Positions.
        observer: Told of the phase.
        consumer: What fetches.
        codec: The one that decodes now.
        delays: Seconds between the questions; the last one again and again.

    Attributes:
        why: Who waits for what; empty: nobody does.
    """

    def __init__(
        self,
        ledger: Positions,
        observer: Observer,
        consumer: Callable[[], Any],
        codec: Callable[[], Codec],
        delays: tuple[float, ...] = _BACK_OFF_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._consumer = consumer
        self._codec = codec
        self._delays = delays
        self._tps: set[TP] = set()
        self._any = asyncio.Event()
        self.why = ""

    def __contains__(self, tp: TP) -> bool:
        return tp in self._tps

    def hold(self, tps: Iterable[TP]) -> None:
        """Fetch these no more until the answer is there."""
        self._tps.update(tps)
        self._consumer().pause_partitions(_named(self._tps))
        self._say("the schema registry does not answer")
        self._any.set()

    def forget(self) -> None:
        """Partitions are given away: whoever gets them reads from their positions."""
        self._tps.clear()
        self._any.clear()
        self.why = ""

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Ask again and again while anybody waits."""
        tries = 0
        while not stopped():
            await self._any.wait()
            await asyncio.sleep(self._delays[min(tries, len(self._delays) - 1)])
            tries += 1
            codec = self._codec()
            why = await asyncio.to_thread(codec.retry) if isinstance(codec, LookingUp) else ""
            if not why:
                await self._go_on()
            if not self._tps:
                tries = 0
            else:
                self._say(why)
                log.warning("%d partitions wait: %s", len(self._tps), why)

    async def _go_on(self) -> None:
        consumer = self._consumer()
        consumer.pause_partitions(_named(self._tps))
        await consumer.quiet()  # no fetch on its way has records of theirs
        async with consumer.flow.between():
            positions = {
                FaustTP(*tp): self._ledger.position(tp) for tp in self._tps if tp in self._ledger
            }
            if positions:
                await consumer.seek_wait(positions)
                consumer.resume_partitions(set(positions))
                self._observer.phase("running", "the schema registry answers again")
                log.info("%d partitions go on.", len(positions))
            self.forget()

    def _say(self, why: str) -> None:
        names = ", ".join(sorted(f"{topic}-{number}" for topic, number in self._tps))
        self.why = f"{names}: {why}"
        self._observer.phase("waiting", self.why)


def _named(tps: Iterable[TP]) -> set[Any]:
    return {FaustTP(*tp) for tp in tps}
