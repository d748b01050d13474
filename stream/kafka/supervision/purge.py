"""Removal of re-keyed records that are absorbed.

Retention by time cannot do it: Kafka measures it by the records' own timestamps, and history is as
old when it is written as when it has been read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from stream.kafka.client.errors import KafkaError
from stream.kafka.context import Context
from stream.kafka.protocol.ports import GroupClient
from stream.kafka.protocol.positions import Positions
from stream.types import TP

log = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 60.0


class Purge:
    """Deletes records of the repartition topic below the committed offsets.

    Args:
        context: Surroundings of the worker.
        positions: Positions of the partitions, with their committed offsets.
        client: Member of the group.
    """

    def __init__(self, context: Context, positions: Positions, client: GroupClient) -> None:
        self._context = context
        self._positions = positions
        self._client = client
        self._deleted: dict[TP, int] = {}
        self._refused = False

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Delete until `stopped`, where records are re-keyed.

        Args:
            stopped: Function that says whether the worker stops.
        """
        while self._context.config.rekeyed and not stopped():
            await asyncio.sleep(_INTERVAL_SECONDS)
            await self.run()

    async def run(self) -> None:
        """Delete once; a broker that refuses is named in the log, once."""
        try:
            offsets = await self._absorbed()
            if offsets:
                await self._context.admin.delete_records(offsets)
        except (KafkaError, OSError) as error:
            if not self._refused:
                log.warning(
                    "Absorbed records of %s stay: the broker does not delete them (%r). Allow "
                    "this client to delete from the topic, or give it a retention.ms.",
                    ", ".join(self._context.config.topics),
                    error,
                )
            self._refused = True
            return
        self._refused = False
        self._deleted |= offsets

    async def _absorbed(self) -> dict[TP, int]:
        """Return the first offset to keep of each partition where there is something to delete."""
        committed = {tp: self._positions.committed(tp) for tp in self._positions}
        age = self._context.config.rekey_retention_seconds
        kept_from_ms = round((self._context.wall_clock() - age) * 1000)
        young = await self._client.offsets_for_time(list(committed), kept_from_ms)
        first = {tp: min(young.get(tp, offset), offset) for tp, offset in committed.items()}
        return {tp: offset for tp, offset in first.items() if offset > self._deleted.get(tp, 0)}
