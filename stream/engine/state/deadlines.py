"""Deadlines of keys, by the clock of their partition: idle, or expired."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Pauses, usual_pause

from .layout import NEVER

NEVER_IDLE = 2**62
"""Deadline of a key that does not become idle."""
USUAL = 1.5
"""Part of its usual longest pause after which a key is idle."""


class Deadlines:
    """Clock at which keys become idle, and at which their rows need attention.

    Args:
        warm_rows: Rows after which a key that the bundle does not know may be idle.
        stale_intervals: Usual intervals after which a key is idle; 0: never.
        ttl_us: Idle time after which a key expires, microseconds; 0: never.
    """

    def __init__(self, warm_rows: int, stale_intervals: float, ttl_us: int) -> None:
        self._warm_rows, self._stale_intervals, self._ttl_us = warm_rows, stale_intervals, ttl_us

    def idle_after(
        self,
        interval: NDArray[np.float64],
        rows: NDArray[np.int64],
        known: NDArray[np.uint8],
        seen: NDArray[np.int64],
        pauses: Pauses | None = None,
    ) -> NDArray[np.int64]:
        """Return the clock beyond which keys are idle; `NEVER_IDLE` while they warm up.

        Args:
            interval: Usual interval, seconds; all of shape `(n,)`.
            rows: Rows absorbed.
            known: 1 where the bundle knows the key.
            seen: The clock when the key last sent.
            pauses: Pauses of the keys; None: they make none.
        """
        if self._stale_intervals <= 0:
            return np.full(seen.size, NEVER_IDLE, dtype=np.int64)
        warm = (known > 0) | (rows >= self._warm_rows)
        has_interval = warm & (rows > 0) & (interval > 0)
        deadlines = _deadlines(seen, interval, self._stale_intervals)
        if pauses is not None and pauses.longest[:, -1].any():
            usual_us = (usual_pause(pauses, seen) * (USUAL * 1e6)).astype(np.int64)
            deadlines = np.maximum(deadlines, seen + usual_us)
        return np.where(has_interval, deadlines, NEVER_IDLE)

    def idle(self, fields: dict[str, Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the clock beyond which keys are idle; `NEVER_IDLE` for those that are already.

        Args:
            fields: Fields of a block of rows.
            rows: Rows of the block, `(n,)`.
        """
        interval, count, known, seen = (
            fields[name][rows] for name in ("interval", "rows", "known", "seen")
        )
        pauses = None
        if "pauses" in fields:
            pauses = Pauses(fields["pauses"][rows], fields["pause_time"][rows])
        deadlines = self.idle_after(interval, count, known, seen, pauses)
        deadlines[fields["stale"][rows] > 0] = NEVER_IDLE
        return deadlines

    def due(self, fields: dict[str, Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the clock at which keys become idle or expire, whichever is first.

        Args:
            fields: Fields of a block of rows.
            rows: Rows of the block, `(n,)`.
        """
        deadlines = self.idle(fields, rows)
        if self._ttl_us:
            seen_us = fields["seen"][rows]
            expiry = np.minimum(deadlines, seen_us + self._ttl_us)
            deadlines = np.where(seen_us > NEVER, expiry, deadlines)
        return deadlines


def _deadlines(
    seen_us: NDArray[np.int64], interval_seconds: NDArray[np.float64], intervals: float
) -> NDArray[np.int64]:
    """Return the clock so many intervals after a time, at least a microsecond after it."""
    idle_us = np.maximum(interval_seconds * (intervals * 1e6), 1.0)
    return seen_us + idle_us.astype(np.int64)
