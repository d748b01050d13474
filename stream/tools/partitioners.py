"""Partitioners of Kafka producers, and the one that a topic's keys were placed by."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Final

Partitioner = Callable[[bytes, int], int]

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes, partitions: int) -> int:
    """Return the partition by Kafka's own hash (Java clients, librdkafka's `murmur2_random`).

    Examples:
        >>> murmur2(b"web-1", 7)
        2
    """
    h = _SEED ^ len(key)
    aligned = len(key) - len(key) % 4
    for i in range(0, aligned, 4):
        k = int.from_bytes(key[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if aligned < len(key):
        h = (h ^ int.from_bytes(key[aligned:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    # Java's `toPositive`: the sign bit is cleared, not the absolute value taken.
    return ((h ^ (h >> 15)) & 0x7FFFFFFF) % partitions


def crc32(key: bytes, partitions: int) -> int:
    """Return the partition by the hash that is librdkafka's default (`consistent_random`).

    Examples:
        >>> crc32(b"web-1", 7)
        5
    """
    return zlib.crc32(key) % partitions


PARTITIONERS: Final[dict[str, Partitioner]] = {"murmur2": murmur2, "crc32": crc32}


def find_partitioner(placed_keys: Iterable[tuple[bytes, int]], partitions: int) -> str | None:
    """Return the name of the partitioner that chose the partition of every key, or None.

    Args:
        placed_keys: Keys, each with its partition.
        partitions: Number of partitions when the keys were written.
    """
    candidates = dict(PARTITIONERS)
    for key, partition in placed_keys:
        candidates = {
            name: partitioner
            for name, partitioner in candidates.items()
            if partitioner(key, partitions) == partition
        }
        if not candidates:
            return None
    return next(iter(candidates))
