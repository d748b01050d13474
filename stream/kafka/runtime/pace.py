"""When to take the next fetch: at once when behind, else after a moment in which records gather."""

from __future__ import annotations

import math
from typing import Final

from stream.kafka.protocol.ports import Clock

GATHER_SECONDS: Final = 0.01
"""Between two fetches that bring little. A step costs as much as sixty records by itself, so that
a worker taking every record as it comes would be busy with a tenth of what it can do; a record
waits for this time twice at most: for its fetch to be asked for, and for it to be taken."""

MANY: Final = 1024
"""Records in a fetch from which a step's own cost does not matter."""


class Pace:
    """Says how long to wait before a fetch is taken.

    Args:
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = -math.inf

    def taken(self, count: int) -> None:
        """Note that a fetch of so many records was taken."""
        self._due = self._clock() + GATHER_SECONDS if 0 < count < MANY else -math.inf

    def pause(self) -> float:
        """Seconds to wait before the next fetch; 0 after a large one, or a late one."""
        return max(self._due - self._clock(), 0.0)
