"""Ranges of a batch, each of one partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition


class PartitionSlice(NamedTuple):
    """Items `begin` to `end` of a batch, messages or samples, all of one partition."""

    part: Partition
    begin: int
    end: int


def slices_of(parts: Sequence[Partition], counts: Sequence[int]) -> Iterator[PartitionSlice]:
    """Return the slices of partitions whose items follow each other.

    Args:
        parts: Partitions in the order of their items.
        counts: Number of items of each partition.
    """
    bounds = pairwise(accumulate(counts, initial=0))
    return (PartitionSlice(part, *pair) for part, pair in zip(parts, bounds, strict=True))


def sample_slices(
    messages: Sequence[PartitionSlice], message: NDArray[np.int32]
) -> Iterator[PartitionSlice]:
    """Return the slices of samples, made from those of their messages.

    Args:
        messages: Slices of all messages.
        message: Index of each sample's message, `(n,)`, never falling.
    """
    # `message` is sorted, so the first sample of a later slice ends this one.
    ends = np.searchsorted(message, [part_messages.end for part_messages in messages]).tolist()
    pairs = pairwise([0, *ends])
    parts = [part_messages.part for part_messages in messages]
    return (PartitionSlice(part, *pair) for part, pair in zip(parts, pairs, strict=True))


def rows_of_ticks(
    slots: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots of the lines that have one, and the row of each line among these.

    Args:
        slots: Slot of each line; -1 of a tick, whose row means nothing.
    """
    keys = np.unique(slots[slots >= 0])
    return keys, np.searchsorted(keys, slots)
