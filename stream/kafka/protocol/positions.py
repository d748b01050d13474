"""Position of this worker in every input partition that it owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stream.types import TP


@dataclass(slots=True)
class PartitionPosition:
    """Position in one input partition.

    Attributes:
        position: Next offset to absorb; everything below is in memory.
        saved: Position of the last checkpoint; the start before the first.
        committed: Offset that the group is known to have; -1 none.
        paused: Whether the partition waits for something its next record needs.
        reopened: Whether it has to be written since it was last taken for a checkpoint.
    """

    position: int
    saved: int
    committed: int
    paused: bool = False
    reopened: bool = False


class Positions:
    """Positions by input partition. A partition that is not in it is not processed."""

    def __init__(self) -> None:
        self._entries: dict[TP, PartitionPosition] = {}

    def __contains__(self, tp: object) -> bool:
        return tp in self._entries

    def __iter__(self) -> Iterator[TP]:
        # A copy: partitions come and go at every await of a caller's loop.
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

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
            tp: Input partition.
            position: Next offset to absorb.
            committed: Offset that the group has; -1 none. A group that lags behind the state counts
                as unsaved: its writer died before the commit.
            fresh: Whether there is no state yet, so nothing that the group could lag behind.
            unwritten: Whether the meta row has to be written whatever the position.
        """
        # Below the position, the next checkpoint commits for a writer that died before it could.
        saved = position if fresh else min(position, committed)
        if unwritten:
            saved = -1
        self._entries[tp] = PartitionPosition(position, saved, committed)

    def drop(self, tp: TP) -> None:
        """Forget a partition."""
        self._entries.pop(tp, None)

    def position(self, tp: TP) -> int:
        """Return the next offset to absorb."""
        return self._entries[tp].position

    def committed(self, tp: TP) -> int:
        """Return the offset that the group is known to have; -1 none."""
        return self._entries[tp].committed

    def advance(self, tp: TP, position: int) -> None:
        """Note that everything below `position` is in memory now."""
        entry = self._entries[tp]
        if position < entry.position:
            raise ValueError(
                f"A position never goes back. Expected at least {entry.position} for {tp}. "
                f"Received: position={position}."
            )
        entry.position = position

    def reopen(self, tp: TP) -> None:
        """Let the next checkpoint write this partition, moved or not.

        A checkpoint that has taken the partition already does not count: what it writes is older.
        """
        entry = self._entries[tp]
        entry.saved, entry.reopened = -1, True

    def take(self, tp: TP) -> int:
        """Return the position for a checkpoint, which will `confirm` it."""
        entry = self._entries[tp]
        entry.reopened = False
        return entry.position

    def confirm(self, tp: TP, committed: int) -> None:
        """Note that a checkpoint up to `committed` is done."""
        entry = self._entries.get(tp)
        if entry is not None:
            entry.committed = committed
            entry.saved = -1 if entry.reopened else committed

    def moved(self, tp: TP) -> bool:
        """Return whether memory is ahead of the last checkpoint."""
        entry = self._entries[tp]
        return entry.position > entry.saved

    def pause(self, tps: Iterable[TP]) -> None:
        """Process these partitions no more until `resume`."""
        for tp in tps:
            self._entries[tp].paused = True

    def resume(self, tps: Iterable[TP]) -> None:
        """Process these partitions again, where they are still owned."""
        for tp in tps:
            if tp in self._entries:
                self._entries[tp].paused = False

    def paused(self) -> list[TP]:
        """Return the partitions that wait."""
        return [tp for tp, entry in self._entries.items() if entry.paused]

    def is_paused(self, tp: TP) -> bool:
        """Return whether a partition is owned and waits."""
        return tp in self._entries and self._entries[tp].paused
