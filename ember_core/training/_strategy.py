"""Training over processes: the rows each computes, and the mean of their gradients.

Every process runs the same loop over the same batches with generators of the same seed. Of each
batch it computes its own rows; the mean of the gradients, weighted by rows, is that of the joined
batch, so that all processes take the step that one process would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from ember_core import ops
from ember_core.ops import Array

Arrays = dict[str, Array]


class BatchSlice(NamedTuple):
    """Rows of a joined batch that one process computes.

    Attributes:
        start: First row.
        stop: Row after the last.
        total: Rows of the joined batch.
        weight: Of this process's gradients in the mean; all weights sum to 1.
    """

    start: int
    stop: int
    total: int
    weight: float

    @property
    def rows(self) -> slice:
        """The rows, to index the joined batch with."""
        return slice(self.start, self.stop)

    @property
    def is_whole(self) -> bool:
        """True where these are all rows of the batch."""
        return self.stop - self.start == self.total

    @classmethod
    def of(cls, total: int, rank: int = 0, size: int = 1) -> BatchSlice:
        """Rows of process `rank` of `size`: even parts, the first ones a row longer.

        A batch of fewer rows than processes is computed whole by each of them.

        Args:
            total: Rows of the batch.
            rank: Number of this process, from 0.
            size: Number of processes.
        """
        if total < size:
            return cls(0, total, total, 1.0 / size)
        part, remainder = divmod(total, size)
        start = rank * part + min(rank, remainder)
        stop = start + part + (rank < remainder)
        return cls(start, stop, total, (stop - start) / total)


class Strategy(Protocol):
    """Interface of a way to run a training in several processes.

    Attributes:
        rank: Number of this process, from 0.
        size: Processes.
    """

    rank: int
    size: int

    def average(self, arrays: Mapping[str, Array], weight: float) -> Arrays:
        """Weighted mean of each array over the processes, `weight` being this process's."""

    def broadcast(self, arrays: Mapping[str, Array]) -> Arrays:
        """The arrays of process 0, the same names and shapes everywhere."""


class OneProcess:
    """No other process; the default."""

    rank = 0
    size = 1

    def average(self, arrays: Mapping[str, Array], weight: float) -> Arrays:
        """The arrays as they are."""
        return dict(arrays)

    def broadcast(self, arrays: Mapping[str, Array]) -> Arrays:
        """The arrays as they are."""
        return dict(arrays)


def flatten(arrays: Mapping[str, Array]) -> Array:
    """All arrays one after the other as a vector: one message instead of many."""
    return ops.concatenate([ops.reshape(x, (-1,)) for x in arrays.values()])


def unflatten(vector: Array, like: Mapping[str, Array]) -> Arrays:
    """The arrays of a `flatten`ed vector, in the shapes of `like`."""
    out: Arrays = {}
    start = 0
    for name, x in like.items():
        shape = ops.shape(x)
        count = 1
        for n in shape:
            count *= n
        out[name] = ops.reshape(vector[start : start + count], shape)
        start += count
    return out


def take_rows(batch: Any, share: BatchSlice) -> Any:
    """A process's rows of a batch: an array, or a tuple of arrays with the same rows."""
    if share.is_whole:
        return batch
    if isinstance(batch, tuple):
        return tuple(x[share.rows] for x in batch)
    return batch[share.rows]
