"""Progress of a bridge in one partition, and its text in the metadata of a commit.

The committed offset is that of the first trigger which the receiver has not accepted. Some later
ones may be accepted already; the metadata says which, and from where the firing ones are read.
Without it, after another tool has set the offset, only duplicates come of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

_MOST_CHARACTERS = 3_900
"""Brokers accept 4,096 bytes by default (`offset.metadata.max.bytes`)."""

_PART = re.compile(r"([a-z-]+)=([0-9A-Za-z.,:_-]+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Progress:
    """Progress in one partition.

    Attributes:
        offset: Committed offset: every trigger before it is accepted.
        read_to: Offset of the first trigger that was not read.
        unsent: Offsets from `offset` to `read_to` that are not accepted, as ranges [first, last].
        oldest: Offset of the oldest trigger that still fires, or whose end is unsent.
        threads: Messages that later ones refer to, by group.
    """

    offset: int
    read_to: int
    unsent: tuple[tuple[int, int], ...] = ()
    oldest: int | None = None
    threads: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        position: int,
        unsent: Collection[int],
        oldest: int | None,
        threads: Mapping[str, str],
    ) -> Progress:
        """Return the progress at a position.

        Args:
            position: Offset of the next trigger to read.
            unsent: Offsets of the triggers that are not accepted.
            oldest: Offset of the oldest trigger that still fires.
            threads: Messages that later ones refer to, by group.
        """
        return cls(min(unsent, default=position), position, _ranges(unsent), oldest, threads)

    @classmethod
    def read(cls, offset: int, metadata: str) -> Progress:
        """Return the progress that a commit says.

        Args:
            offset: Committed offset.
            metadata: Its metadata; empty, or of another tool.
        """
        parts = {match[1]: match[2] for match in _PART.finditer(metadata)}
        oldest = parts.get("firing-from", "")
        read_to = parts.get("read-to", "")
        ranges = _RANGE.finditer(parts.get("unsent", ""))
        pairs = (pair.partition(":") for pair in parts.get("threads", "").split(",") if pair)
        return cls(
            offset,
            max(offset, int(read_to)) if read_to.isdigit() else offset,
            tuple((int(m[1]), int(m[2] or m[1])) for m in ranges),
            int(oldest) if oldest.isdigit() else None,
            {group: message for group, _, message in pairs if message},
        )

    @property
    def start(self) -> int:
        """Offset to read from after a restart."""
        return self.offset if self.oldest is None else min(self.oldest, self.offset)

    def is_sent(self, offset: int) -> bool:
        """Return True if the trigger at an offset was accepted."""
        if offset < self.offset:
            return True
        return offset < self.read_to and not any(a <= offset <= b for a, b in self.unsent)

    def metadata(self) -> str:
        """Return the text for the commit; what finds no room only costs duplicates."""
        parts = [] if self.oldest is None else [f"firing-from={self.oldest}"]
        if self.read_to > self.offset:
            texts = (str(a) if a == b else f"{a}-{b}" for a, b in self.unsent)
            parts.append(f"read-to={self.read_to} unsent={','.join(texts)}")
        if sum(map(len, parts)) > _MOST_CHARACTERS:
            parts.pop()
        room = _MOST_CHARACTERS - sum(map(len, parts)) - len("  threads=")
        pairs: list[str] = []
        # The newest groups first: they will be answered next.
        for pair in (
            f"{group}:{message}" for group, message in reversed(list(self.threads.items()))
        ):
            room -= len(pair) + 1
            if room < 0:
                break
            pairs.append(pair)
        if pairs:
            parts.append(f"threads={','.join(reversed(pairs))}")
        return " ".join(parts)


def _ranges(offsets: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return offsets as ranges [first, last]."""
    ranges: list[list[int]] = []
    for offset in sorted(offsets):
        if ranges and offset <= ranges[-1][1] + 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    return tuple((first, last) for first, last in ranges)
