"""Which partition producers give a key: the two ways there are, and which of them was used."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Final

Partitioner = Callable[[bytes, int], int]

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes, partitions: int) -> int:
    """Kafka's own (Java clients, librdkafka's `murmur2_random`).

    Examples:
        >>> murmur2(b"web-1", 7)
        2
    """
    h = _SEED ^ len(key)
    whole = len(key) - len(key) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return ((h ^ (h >> 15)) & 0x7FFFFFFF) % partitions


def crc32(key: bytes, partitions: int) -> int:
    """The default of librdkafka (`consistent_random`).

    Examples:
        >>> crc32(b"web-1", 7)
        5
    """
    return zlib.crc32(key) % partitions


PARTITIONERS: Final[dict[str, Partitioner]] = {"murmur2": murmur2, "crc32": crc32}


def which(placed: Iterable[tuple[bytes, int]], partitions: int) -> str | None:
    """Name of the partitioner that gave every key its place; None: neither did.

    Args:
        placed: Keys and the partitions they are in.
        partitions: Number of partitions then.
    """
    left = dict(PARTITIONERS)
    for key, partition in placed:
        left = {name: at for name, at in left.items() if at(key, partitions) == partition}
        if not left:
            return None
    return next(iter(left))
