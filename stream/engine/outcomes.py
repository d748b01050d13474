"""Outcomes of messages: their codes in a step, and their counts in the meta rows."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.meta import Outcome

from .result import StepResult
from .slices import PartitionSlice

REPEATED, LATE, WINDOWED, WARMING, SCORED = range(1, 6)
"""Codes of samples; the highest one of its samples is that of a message, 0 where it has none."""
REFUSED, DUPLICATE, NO_PROFILE = 6, 7, 8
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
    messages: PartitionSlice,
    offsets: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    result: StepResult,
) -> None:
    """Give every offset up to the last one of a partition's messages exactly one name.

    Args:
        messages: The partition and its messages.
        offsets: Offsets of all messages of the step, `(m,)`.
        outcome: Codes of all messages, `(m,)`.
        result: Result of the step: it has the refusals, and gets the counts.
    """
    part, begin, end = messages
    meta = part.meta
    new = offsets[begin:end] > meta.absorbed
    if not new.any():
        return
    new_offsets = offsets[begin:end][new]
    if meta.first_offset < 0:
        meta.first_offset = int(new_offsets[0])
        meta.absorbed = int(new_offsets[0]) - 1
    counts: dict[str, int] = {}
    # Offsets without a message are those of transaction markers, or were compacted away.
    absent = int(new_offsets[-1]) - meta.absorbed - int(new_offsets.size)
    if absent:
        counts[Outcome.ABSENT] = absent
    code_counts = np.bincount(outcome[begin:end][new], minlength=NO_PROFILE + 1).tolist()
    for code, outcome_name in enumerate(_OUTCOMES):
        if code and code_counts[code]:
            counts[outcome_name] = code_counts[code]
    if code_counts[DUPLICATE]:
        counts[Outcome.DUPLICATE] = code_counts[DUPLICATE]
    if code_counts[NO_PROFILE]:
        counts[Outcome.NO_PROFILE] = code_counts[NO_PROFILE]
    # Refused messages are sorted: those of this partition lie between its bounds.
    first, last = (bisect_left(result.rejected, bound, key=_message) for bound in (begin, end))
    for refusal in result.rejected[first:last]:
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    for name, number in counts.items():
        meta.add(str(name), number)
        result.counts[str(name)] = result.counts.get(str(name), 0) + number
    meta.absorbed = int(new_offsets[-1])
