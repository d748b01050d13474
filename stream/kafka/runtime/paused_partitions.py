"""Partitions that wait for a schema their next record needs, while all others go on.

A paused partition is not fetched, its position stays, and checkpoints commit that position: to
everything else it looks like a partition without news. When the schema is there, it is read again
from its position on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from stream.codecs import Codec
from stream.kafka.context import Context
from stream.kafka.protocol.ports import FetchControl, LookupCodec
from stream.kafka.protocol.positions import Positions
from stream.types import TP

log = logging.getLogger(__name__)

_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_HOLDER = "schemas"


class PausedPartitions:
    """Pauses partitions, asks the registry again and again, and lets them go on.

    Args:
        context: Surroundings of the worker.
        positions: Positions, with the partitions that are paused.
        fetching: Control of the fetches.
        fetch_lock: Lock held while a fetch is processed.
        codec: Codec that decodes now.
        delays: Seconds between the questions; the last one again and again.

    Attributes:
        codec: Codec that decodes now; replaced when the model is switched.
    """

    def __init__(
        self,
        context: Context,
        positions: Positions,
        fetching: FetchControl,
        fetch_lock: asyncio.Lock,
        codec: Codec,
        delays: tuple[float, ...] = _BACK_OFF_SECONDS,
    ) -> None:
        self._lifecycle = context.lifecycle
        self._positions = positions
        self._fetching = fetching
        self._fetch_lock = fetch_lock
        self._delays = delays
        self._any = asyncio.Event()
        self.codec = codec

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no more until their schemas are there."""
        self._positions.pause(tps)
        self._fetching.pause(self._positions.paused())
        self._hold("the schema registry does not answer")
        self._any.set()

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Ask again and again while a partition is paused.

        Args:
            stopped: Function that says whether the worker stops.
        """
        tries = 0
        while not stopped():
            await self._any.wait()
            await asyncio.sleep(self._delays[min(tries, len(self._delays) - 1)])
            tries += 1
            codec = self.codec
            reason = await asyncio.to_thread(codec.retry) if isinstance(codec, LookupCodec) else ""
            if not reason:
                await self._resume()
            if not self._positions.paused():
                self._any.clear()
                tries = 0
            else:
                self._hold(reason)
                log.warning("%d partitions wait: %s", len(self._positions.paused()), reason)

    async def _resume(self) -> None:
        self._fetching.pause(self._positions.paused())
        # A fetch on its way, or in hand, may hold records from behind the position.
        await self._fetching.wait_for_fetch()
        async with self._fetch_lock:
            positions = {tp: self._positions.position(tp) for tp in self._positions.paused()}
            if not positions:
                return
            await self._fetching.seek(positions)
            self._fetching.resume(positions)
            self._positions.resume(positions)
            self._lifecycle.hold(_HOLDER, "")
            log.info("%d partitions go on.", len(positions))

    def _hold(self, reason: str) -> None:
        names = ", ".join(sorted(f"{topic}-{number}" for topic, number in self._positions.paused()))
        self._lifecycle.hold(_HOLDER, f"{names}: {reason}")
