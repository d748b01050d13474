"""What became of every message: the codes of a step, and their counts in the meta rows."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.meta import Outcome

from .result import StepResult
from .slices import PartitionSlice

REPEATED, LATE, WINDOWED, WARMING, SCORED = range(1, 6)
"""Of a message's samples the highest counts; 0: it had none."""
REFUSED = 6
_OUTCOMES = (
    Outcome.ABSENT,
    Outcome.REPEATED,
    Outcome.LATE,
    Outcome.WINDOWED,
    Outcome.WARMING,
    Outcome.SCORED,
)
_message = attrgetter("message")


def count_outcomes(
    share: PartitionSlice,
    offsets: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    result: StepResult,
) -> None:
    """Give every offset up to the last one of a partition's share exactly one name.

    Args:
        share: The partition and its messages.
        offsets: Of all messages, `(m,)`.
        outcome: Code of all messages, `(m,)`.
        result: Says why messages were refused; gets the counts.
    """
    meta = share.part.meta
    own = slice(share.begin, share.end)
    new = offsets[own] > meta.absorbed
    if not new.any():
        return
    offsets = offsets[own][new]
    if meta.first_offset < 0:
        meta.first_offset = int(offsets[0])
        meta.absorbed = int(offsets[0]) - 1
    counts: dict[str, int] = {}
    absent = int(offsets[-1]) - meta.absorbed - int(offsets.size)
    if absent:
        counts[Outcome.ABSENT] = absent
    named = np.bincount(outcome[own][new], minlength=REFUSED)[:REFUSED].tolist()
    for value, number in enumerate(named):
        if number and value:
            counts[_OUTCOMES[value]] = number
    bounds = (share.begin, share.end)
    first, last = (bisect_left(result.rejected, at, key=_message) for at in bounds)
    for r in result.rejected[first:last]:
        counts[r.reason] = counts.get(r.reason, 0) + 1
    for name, number in counts.items():
        meta.add(str(name), number)
        result.counts[str(name)] = result.counts.get(str(name), 0) + number
    meta.absorbed = int(offsets[-1])
