"""Keys that were forgotten, while a changelog is read: what comes late is told by its offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .migration import HEAD_BYTES, offset_in

ABSORBED_HEADER = "ember.absorbed"
"""On a tombstone: up to which offset its writer had absorbed, which a row says by itself."""
_MOST = 10_000
"""Keys remembered: a late row follows soon, if at all."""


class Tombstone(NamedTuple):
    """A tombstone whose writer had absorbed its partition up to `absorbed`.

    It says nothing of rows beyond that, and rows up to there say nothing after it: either comes
    from a worker that was suspended, and writes where nothing fences it off.
    """

    absorbed: int


def tombstone_of(headers: Mapping[str, bytes | None]) -> Tombstone | None:
    """A tombstone: of a checkpoint, or, None, of a state tool, whose word is the last."""
    absorbed = number_in(headers.get(ABSORBED_HEADER))
    return None if absorbed is None or absorbed < 0 else Tombstone(absorbed)


def number_in(header: bytes | None) -> int | None:
    """The number that a header is; None where there is none, or something else."""
    try:
        return None if header is None else int(header)
    except ValueError:
        return None


class TombstoneIndex:
    """Up to which offset rows of keys were forgotten, of one partition."""

    def __init__(self) -> None:
        self._until: dict[bytes, int] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._until

    def late(self, key: bytes, value: bytes | Tombstone | None, newest: int) -> bool:
        """Whether a record says nothing any more; else it is remembered, or ends what was.

        Args:
            key: Its key.
            value: A row, or a tombstone.
            newest: Source offset of what is there of the key; -1 where nothing is.
        """
        if isinstance(value, Tombstone):
            if newest > value.absorbed:
                return True
            self._until[key] = value.absorbed
            if len(self._until) > _MOST:
                del self._until[next(iter(self._until))]
            return False
        until = self._until.get(key, -1)
        # A rebased row, -1, has absorbed nothing and is never late.
        if value is not None and len(value) >= HEAD_BYTES and 0 <= offset_in(value) <= until:
            return True
        self._until.pop(key, None)
        return False

    def clear(self) -> None:
        """Offsets begin anew, or everything was read."""
        self._until.clear()
