"""Where this worker stands in every input partition it owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stream.types import TP


@dataclass(slots=True)
class Entry:
    """One input partition.

    Attributes:
        position: Next offset to absorb; everything below is in memory.
        saved: The position of the last checkpoint; the start before the first.
        committed: What the group is known to have; -1 nothing.
    """

    position: int
    saved: int
    committed: int


class Positions:
    """Positions by input partition. A partition that is not in it is not processed."""

    def __init__(self) -> None:
        self._entries: dict[TP, Entry] = {}

    def __contains__(self, tp: object) -> bool:
        return tp in self._entries

    def __iter__(self) -> Iterator[TP]:
        return iter(tuple(self._entries))

    def start(
        self,
        tp: TP,
        position: int,
        committed: int,
        *,
        fresh: bool = False,
        unwritten: bool = False,
    ) -> None:
        """Own a partition from `position` on.

        Args:
            tp: The partition.
            position: Next offset to absorb.
            committed: What the group has; -1 nothing. A group that lags behind the state counts
                as unsaved: its writer died before the commit.
            fresh: There is no state yet, so nothing that the group could lag behind.
            unwritten: The meta row has to be written whatever the position.
        """
        saved = position if fresh else min(position, committed)
        if unwritten:
            saved = -1
        self._entries[tp] = Entry(position, saved, committed)

    def drop(self, tp: TP) -> None:
        """Forget a partition."""
        self._entries.pop(tp, None)

    def position(self, tp: TP) -> int:
        """Next offset to absorb."""
        return self._entries[tp].position

    def committed(self, tp: TP) -> int:
        """What the group is known to have; -1 nothing."""
        return self._entries[tp].committed

    def advance(self, tp: TP, position: int) -> None:
        """Everything below `position` is in memory now."""
        entry = self._entries[tp]
        if position < entry.position:
            raise ValueError(
                f"A position never goes back. Expected at least {entry.position} for {tp}. "
                f"Received: position={position}."
            )
        entry.position = position

    def reopen(self, tp: TP) -> None:
        """The next checkpoint writes this partition, moved or not."""
        self._entries[tp].saved = -1

    def confirm(self, tp: TP, committed: int) -> None:
        """A checkpoint up to `committed` is done."""
        entry = self._entries.get(tp)
        if entry is not None:
            entry.committed = entry.saved = committed

    def moved(self, tp: TP) -> bool:
        """Whether memory is ahead of the last checkpoint."""
        entry = self._entries[tp]
        return entry.position > entry.saved
