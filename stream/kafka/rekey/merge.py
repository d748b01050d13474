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
        self._times: dict[TP, NDArray[np.int64]] = {}

    def open(self, tps: Collection[TP]) -> None:
        """Begin anew with these partitions."""
        self._buffers = {tp: [] for tp in tps}
        self._times = {tp: np.empty(0, np.int64) for tp in tps}

    def add(self, fetch: Mapping[TP, Sequence[Any]]) -> None:
        """Add the next records of partitions."""
        for tp, records in fetch.items():
            if tp in self._buffers and records:
                self._buffers[tp] += records
                stamps = np.fromiter((r.timestamp for r in records), np.int64, len(records))
                # None is lower than the one before.
                all_times = np.concatenate([self._times[tp], stamps])
                self._times[tp] = np.maximum.accumulate(all_times)

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
        times = self._times
        latest = [int(times[tp][-1]) if len(times[tp]) else -_NEVER for tp in lagging]
        bound = min(latest, default=_NEVER)
        if len(self) > most:
            all_times = np.concatenate(list(times.values()))
            bound = min(bound, int(np.partition(all_times, most - 1)[most - 1]))
        ready = {}
        for tp, records in self._buffers.items():
            count = int(np.searchsorted(times[tp], bound, side="right"))
            if count:
                ready[tp] = records[:count], times[tp][:count]
                self._buffers[tp], times[tp] = records[count:], times[tp][count:]
        return ready
