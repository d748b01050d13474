"""Which part of a batch is which partition's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition


class PartitionSlice(NamedTuple):
    """What of a batch is one partition's: items `begin` to `end`, messages or samples."""

    part: Partition
    begin: int
    end: int


def slices_of(parts: Sequence[Partition], counts: Sequence[int]) -> Iterator[PartitionSlice]:
    """Shares of partitions whose items, so many of each, follow each other."""
    bounds = pairwise(accumulate(counts, initial=0))
    return (PartitionSlice(part, *pair) for part, pair in zip(parts, bounds, strict=True))


def samples_of(
    messages: Sequence[PartitionSlice], message: NDArray[np.int32]
) -> Iterator[PartitionSlice]:
    """Shares of samples, from those of their messages.

    Args:
        messages: Shares of the messages, all of them.
        message: Index of each sample's message, `(n,)`, never falling.
    """
    ends = np.searchsorted(message, [share.end for share in messages]).tolist()
    pairs = pairwise([0, *ends])
    return (PartitionSlice(share.part, *pair) for share, pair in zip(messages, pairs, strict=True))
