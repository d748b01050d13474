"""Forgotten keys, while a changelog is read: a late record is recognised by its offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .migration import HEAD_BYTES, offset_in

ABSORBED_HEADER = "ember.absorbed"
"""Header of a tombstone: offset up to which its writer had absorbed; rows have it in a field."""
_MOST = 10_000
"""Keys remembered: a late row follows soon, if at all."""


class Tombstone(NamedTuple):
    """A tombstone whose writer had absorbed its partition up to `absorbed`.

    It does not count for rows beyond that offset, and rows up to it do not count after it. Either
    comes from a worker that was suspended, and writes where nothing fences it off.
    """

    absorbed: int


def tombstone_of(headers: Mapping[str, bytes | None]) -> Tombstone | None:
    """Return the tombstone of a checkpoint; None for that of a state tool, which always counts."""
    absorbed = number_in(headers.get(ABSORBED_HEADER))
    return None if absorbed is None or absorbed < 0 else Tombstone(absorbed)


def number_in(header: bytes | None) -> int | None:
    """Return the number in a header; None where there is none, or something else."""
    try:
        return None if header is None else int(header)
    except ValueError:
        return None


class TombstoneIndex:
    """Forgotten keys of one partition, and the offset up to which each tombstone holds."""

    def __init__(self) -> None:
        self._until: dict[bytes, int] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._until

    def late(self, key: bytes, value: bytes | Tombstone | None, newest: int) -> bool:
        """Return whether a record comes too late to count.

        A tombstone that counts is remembered; a row that counts ends the tombstone of its key.

        Args:
            key: Its key.
            value: A row, or a tombstone.
            newest: Source offset of the newest row of the key; -1 or less where there is none.
        """
        if isinstance(value, Tombstone):
            if newest > value.absorbed:
                return True
            self._until[key] = value.absorbed
            if len(self._until) > _MOST:
                del self._until[next(iter(self._until))]
            return False
        absorbed = self._until.get(key, -1)
        # A rebased row, -1, has absorbed nothing and is never late.
        if value is not None and len(value) >= HEAD_BYTES and 0 <= offset_in(value) <= absorbed:
            return True
        self._until.pop(key, None)
        return False

    def clear(self) -> None:
        """Forget all tombstones: offsets begin anew, or the whole changelog was read."""
        self._until.clear()
