"""Records of several source partitions, brought together in the order of their Kafka timestamps.

The records of a key may be in all partitions of a topic. Written partition after partition, most of
them would come behind later ones, and count as late. As in Kafka Streams, a record waits while a
partition that has more to read has shown none as late as it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.types import TP

_FEWEST: Final = 256
"""Records of a partition below which more of it are fetched, however many partitions there are."""
_NEVER: Final = 2**62


class TimeMerge:
    """Records that were fetched and not re-keyed yet, by source partition.

    Args:
        most: Records kept, divided between the partitions.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffers: dict[TP, list[Any]] = {}

    def open(self, tps: Collection[TP]) -> None:
        """Begin anew with these partitions."""
        self._buffers = {tp: [] for tp in tps}

    def add(self, fetch: Mapping[TP, Sequence[Any]]) -> None:
        """Add the next records of partitions."""
        for tp, records in fetch.items():
            if tp in self._buffers:
                self._buffers[tp] += records

    def wanted(self) -> list[TP]:
        """Return the partitions of which more records are to be fetched."""
        share = max(_FEWEST, self._most // max(1, len(self._buffers)))
        return [tp for tp, records in self._buffers.items() if len(records) < share]

    def __len__(self) -> int:
        return sum(map(len, self._buffers.values()))

    def empty(self) -> set[TP]:
        """Return the partitions without records."""
        return {tp for tp, records in self._buffers.items() if not records}

    def take(
        self, lagging: Collection[TP], most: int = _NEVER
    ) -> dict[TP, tuple[list[Any], NDArray[np.int64]]]:
        """Remove the records that no record yet to be fetched comes before.

        Args:
            lagging: Partitions that have more to read. One without records holds all others back.
            most: Records to remove; more only where several have the same time.

        Returns:
            Records by partition, each with the time by which all of them are ordered; it never
            falls within a partition.
        """
        times = {tp: _rising(records) for tp, records in self._buffers.items()}
        latest = [int(times[tp][-1]) if len(times[tp]) else -_NEVER for tp in lagging]
        bound = min(latest, default=_NEVER)
        if len(self) > most:
            together = np.concatenate(list(times.values()))
            bound = min(bound, int(np.partition(together, most - 1)[most - 1]))
        ready = {}
        for tp, rising in times.items():
            count = int(np.searchsorted(rising, bound, side="right"))
            if count:
                records = self._buffers[tp]
                ready[tp] = records[:count], rising[:count]
                self._buffers[tp] = records[count:]
        return ready


def _rising(records: Sequence[Any]) -> NDArray[np.int64]:
    """Return the timestamps of records in their order, none lower than the one before."""
    times = np.fromiter((record.timestamp for record in records), np.int64, len(records))
    return np.maximum.accumulate(times)
