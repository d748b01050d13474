"""Partitioners of Kafka producers, and the one that a topic's keys were placed by."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Final, Literal

Partitioner = Callable[[bytes, int], int]

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes, partitions: int) -> int:
    """Return the partition by Kafka's own hash (Java clients, librdkafka's `murmur2`).

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


def fnv1a(key: bytes, partitions: int) -> int:
    """Return the partition by FNV-1a (Sarama's and kafka-go's default, librdkafka's `fnv1a`).

    Telegraf and most Go clients use it.

    Examples:
        >>> fnv1a(b"web-1", 7)
        1
    """
    # Go takes the remainder of a signed number, and then its absolute value.
    return abs(_signed(_fnv1a(key))) % partitions


def fnv1a_reference(key: bytes, partitions: int) -> int:
    """Return the partition by FNV-1a with the sign as Java takes it (Go's `ReferenceHash`).

    Examples:
        >>> fnv1a_reference(b"web-2", 7)
        6
    """
    return (_fnv1a(key) & 0x7FFFFFFF) % partitions


def _fnv1a(key: bytes) -> int:
    h = 0x811C9DC5
    for byte in key:
        h = (h ^ byte) * 0x01000193 & _MASK
    return h


def _signed(h: int) -> int:
    return h - (1 << 32) if h & 0x80000000 else h


HASHES: Final[dict[str, Partitioner]] = {
    "murmur2": murmur2,
    "crc32": crc32,
    "fnv1a": fnv1a,
    "fnv1a_reference": fnv1a_reference,
}
"""Partitioners that differ for records with a key, by name."""

PartitionerName = Literal[
    "murmur2",
    "murmur2_random",
    "crc32",
    "consistent",
    "consistent_random",
    "fnv1a",
    "fnv1a_random",
    "fnv1a_reference",
]
"""Names of partitioners, librdkafka's among them."""

_ALIASES: Final[dict[str, str]] = {
    "murmur2_random": "murmur2",
    "consistent": "crc32",
    "consistent_random": "crc32",
    "fnv1a_random": "fnv1a",
}
"""librdkafka's names; `random` and not differ for records without a key only."""


def partitioner_of(name: PartitionerName) -> Partitioner:
    """Return the partitioner of a name."""
    return HASHES[_ALIASES.get(name, name)]


def fitting_partitioners(placed_keys: Iterable[tuple[bytes, int]], partitions: int) -> list[str]:
    """Return the names in `HASHES` of the partitioners that chose the partition of every key.

    Args:
        placed_keys: Keys, each with its partition.
        partitions: Number of partitions when the keys were written.
    """
    names = list(HASHES)
    for key, partition in placed_keys:
        names = [name for name in names if HASHES[name](key, partitions) == partition]
        if not names:
            break
    return names
