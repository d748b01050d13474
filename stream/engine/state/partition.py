"""State of one input partition besides its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream.types import TP

from .given_up import GivenUp
from .meta import MetaRow
from .migration import Description
from .spill import Spill
from .tombstones import TombstoneIndex

ALWAYS = -(2**62)
"""Deadline that any clock has passed: look at the keys with the next batch."""


@dataclass
class Partition:
    """One attached input partition.

    Attributes:
        tp: Input topic and partition.
        number: Mark of its rows in the slab.
        stream: Name of the stream in events; that of the topic unless it is an internal one.
        index: Stream key -> slot.
        meta: Counts and the partition's clock.
        next_idle_us: No key becomes idle before the clock passes this, microseconds.
        next_expiry_us: No sweep for expired keys before the clock passes this, microseconds.
        spill: Place for rows that memory does not hold; None: there is none.
        idle_spilled: Spilled keys that are idle, and found no room in memory to emit it.
        tombstones: Forgotten keys without a row, oldest first; to be written to the changelog.
        gone: Whether the partition was detached, or is owned by another object.
        evicted_during_scan: Keys evicted since a scan of the rows began; None: there is no scan.
        tombstone_index: Forgotten keys, while a changelog is read.
        unmigrated: Changelog rows of another layout or model, by key, until they are migrated.
        unmigrated_pages: Place in the spill after which such rows lie as well, and the last one.
        has_newer_layout: Whether a row of a newer layout version has been spilled with those.
        descriptions: Layout of such rows by their model's mark; from the meta rows that were read.
        profile: Pattern of its keys, of those that one of several models is for; else empty.
        given_up: Alerts that rows do not hold open any more, by key; its owner resolves them.
    """

    tp: TP
    number: int
    stream: str
    index: dict[bytes, int] = field(default_factory=dict)
    meta: MetaRow = field(default_factory=MetaRow)
    next_idle_us: int = ALWAYS
    next_expiry_us: int = ALWAYS
    spill: Spill | None = None
    idle_spilled: list[bytes] = field(default_factory=list)
    tombstones: dict[bytes, None] = field(default_factory=dict)
    gone: bool = False
    evicted_during_scan: list[bytes] | None = None
    tombstone_index: TombstoneIndex = field(default_factory=TombstoneIndex)
    unmigrated: dict[bytes, bytes] = field(default_factory=dict)
    unmigrated_pages: tuple[int, int] = (0, 0)
    has_newer_layout: bool = False
    descriptions: dict[int, Description] = field(default_factory=dict)
    profile: str = ""
    given_up: dict[bytes, GivenUp] = field(default_factory=dict)

    def unmigrated_rows(self) -> int:
        """Number of rows to be migrated; of those in the spill the most there can be."""
        page_after, page_last = self.unmigrated_pages
        return len(self.unmigrated) + page_last - page_after
