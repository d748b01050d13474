"""What the engine keeps per input partition besides the rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream.engine.result import TP

from .meta import MetaRow
from .migration import Description
from .spill import Spill
from .tombstones import TombstoneIndex


@dataclass
class Partition:
    """One attached input partition.

    Attributes:
        tp: Input topic and partition.
        number: Mark of its rows in the slab.
        index: Stream key -> slot.
        meta: Counts and the partition's clock.
        next_silence: No key falls silent before the clock passes this, microseconds.
        next_expiry: No sweep for keys to be forgotten before the clock passes this, microseconds.
        graves: Keys that were forgotten, while a changelog is read.
        foreign: Changelog rows of another layout or model, by key, until they are adopted.
        aside: Places in the spill behind which, and up to which, such rows wait as well.
        newer_aside: Whether a row of a newer layout version has been among those.
        spill: Where rows go that memory does not hold; None: nowhere.
        overdue: Keys put away that are silent, and found no room to say so.
        tombstones: Keys forgotten, in that order, of which nothing is held; to be written.
        departed: Keys put away since a walk through the rows began; None: there is none.
        gone: Whether it is owned no longer, or by another object.
        described: What such rows are, by their model's mark; from the meta rows that were read.
    """

    tp: TP
    number: int
    index: dict[bytes, int] = field(default_factory=dict)
    meta: MetaRow = field(default_factory=MetaRow)
    next_silence: int = -(2**62)
    next_expiry: int = -(2**62)
    spill: Spill | None = None
    overdue: list[bytes] = field(default_factory=list)
    tombstones: dict[bytes, None] = field(default_factory=dict)
    gone: bool = False
    departed: list[bytes] | None = None
    graves: TombstoneIndex = field(default_factory=TombstoneIndex)
    foreign: dict[bytes, bytes] = field(default_factory=dict)
    aside: tuple[int, int] = (0, 0)
    newer_aside: bool = False
    described: dict[int, Description] = field(default_factory=dict)

    def unmigrated(self) -> int:
        """Rows that wait to be adopted; of those in the spill the most there can be."""
        return len(self.foreign) + self.aside[1] - self.aside[0]
