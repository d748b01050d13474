"""Channels of a key that have stopped coming, and their return.

How long a channel is usually absent is learnt, in rows of its key: one that comes with every
twentieth row is not missing between two of them. Nothing here depends on how a log is cut into
batches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .rows import CompletedRows

FIELDS = ("usual_gap", "missing_rows", "channel_gone")
STEPS = 8
"""Steps of a row that the usual gap is kept in."""
FIRST_GAP = 500 * STEPS
"""Gap that a new channel is given: some 180 rows later a regular one counts as regular."""
TIMES = 6
"""Usual gaps after which a channel is missing."""
_FORGOTTEN = 5  # bits: with each value a 32nd of the gap is forgotten
_MOST = 65_535


class ChannelChanges(NamedTuple):
    """Rows with which channels go missing or return, in order of rows; each of shape `(n,)`.

    Attributes:
        row: Index of the completed row.
        channel: Index of the channel.
        gone: True where it goes missing.
        rows: Rows without it so far.
    """

    row: NDArray[np.int64]
    channel: NDArray[np.int64]
    gone: NDArray[np.bool_]
    rows: NDArray[np.int64]


class MissingChannels:
    """Follows which channels come.

    Args:
        max_gap: Rows for which a missing channel is carried forward: no shorter absence is told.
    """

    def __init__(self, max_gap: float) -> None:
        self._max_gap = max_gap

    def follow(
        self, fields: dict[str, Any], rows: CompletedRows, may_fire: NDArray[np.bool_]
    ) -> ChannelChanges | None:
        """Take note of the channels of rows; the fields of their keys are updated.

        Args:
            fields: Fields of the batch's keys.
            rows: The completed rows.
            may_fire: Rows whose key may give events of the channel, `(R, 1)` or `(R, C)`.
        """
        keys, packed = rows.key_index, rows.packed
        usual, missing, marks = (fields[name][keys] for name in FIELDS)
        present = ~np.isnan(rows.values)
        settled = not missing.any() and not (usual > STEPS).any()
        if settled and bool((packed.expand(usual > 0) == present).all()):
            return None  # every channel comes with every row, or never did: the usual case
        start = {"usual": usual.astype(np.int64), "missing": missing.astype(np.int64)}
        states = packed.scan(self._advance, start | {"gone": marks}, present, may_fire)
        previous_marks = packed.previous(marks, states["gone"])
        previous_rows = packed.previous(start["missing"], states["missing"])
        for name, column in zip(FIELDS, ("usual", "missing", "gone"), strict=True):
            fields[name][keys] = packed.last(states[column])
        row, channel = np.nonzero(previous_marks != states["gone"])
        if not row.size:
            return None
        is_gone = states["gone"][row, channel] > 0
        count = np.where(is_gone, states["missing"][row, channel], previous_rows[row, channel])
        return ChannelChanges(row, channel, is_gone, count)

    def _advance(
        self, state: dict[str, Any], present: NDArray[np.bool_], may_fire: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Update one row of each key; arrays of shape `(B, C)`."""
        usual, missing = state["usual"], state["missing"]
        # At least one step is forgotten, or small gaps would never shrink.
        shorter = np.maximum(usual - np.maximum(usual >> _FORGOTTEN, 1), STEPS)
        longest = np.minimum(np.maximum(shorter, STEPS * missing), _MOST)
        first_gap = np.where(usual == 0, FIRST_GAP, longest)
        # Before it has come, a channel is not counted: the key may never have had it.
        absent = np.where(usual > 0, np.minimum(missing + 1, _MOST), 0)
        limit = np.maximum(STEPS * self._max_gap, TIMES * usual)
        is_gone = (state["gone"] > 0) | (may_fire & (STEPS * absent > limit))
        return {
            "usual": np.where(present, first_gap, usual),
            "missing": np.where(present, 0, absent),
            "gone": (~present & is_gone).astype(np.uint8),
        }
