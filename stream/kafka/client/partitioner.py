"""Partition of a key, as Kafka's own clients choose it."""

from __future__ import annotations

from typing import Final

from aiokafka.partitioner import murmur2

_MOST_KEYS: Final = 1_000_000


class KeyPartitioner:
    """Kafka's default partitioner, which remembers keys: the hash costs as much as a record.

    Args:
        partitions: Number of partitions of the topic.

    Examples:
        >>> KeyPartitioner(7)(b"web-1")
        2
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known: dict[bytes, int] = {}

    def __call__(self, key: bytes) -> int:
        """Return the partition of a key."""
        partition = self._known.get(key)
        if partition is None:
            # Bounded whatever comes: keys that are sent again are soon known again.
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
            # Java's `toPositive`: the sign bit is cleared.
            partition = self._known[key] = (murmur2(key) & 0x7FFFFFFF) % self._partitions
        return partition
