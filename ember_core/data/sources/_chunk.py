"""Chunks: stretches of records as columns, which every source yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 100_000
"""Rows read at once: some 30 MiB for 38 channels."""


@dataclass(frozen=True)
class Chunk:
    """Records in the order of the input. `n` records, `C` channels, `K` keys."""

    keys: tuple[bytes, ...]
    """The keys that occur, in order of first appearance, `(K,)`."""
    key_index: NDArray[np.int64]
    """Which key each record has, `(n,)`."""
    position: NDArray[np.int64]
    """How many records of its key came before, in this source, `(n,)`."""
    time_us: NDArray[np.int64]
    """Event time in microseconds since the epoch, `(n,)`."""
    time_text: NDArray[np.object_] | None
    """The time as it stood in the input (str), `(n,)`; None where the input has no such text."""
    channels: tuple[str, ...]
    """Names of the channels of this chunk, `(C,)`; later chunks may know more."""
    values: NDArray[np.float64]
    """`(n, C)`; NaN where missing. Infinities are kept as they stood."""
    is_train: NDArray[np.bool_]
    """Whether the record is one to train on, `(n,)`; all False where nothing divides them."""
    label: NDArray[np.int8] | None
    """1 for a known anomaly, `(n,)`; None where there is no such column."""
    temporality: NDArray[np.uint8] | None = None
    """Kind of each sample, `(n,)`: 0 gauge, 1 delta, 2 cumulative; None where nothing tells."""
    start_us: NDArray[np.int64] | None = None
    """Start of the time that each sample covers, `(n,)`, 0 where unknown; None as above."""


class Source(Protocol):
    """Something records can be read from, as often as wanted, in constant memory."""

    @property
    def name(self) -> str:
        """Name that the user gave it, for messages."""

    def chunks(self) -> Iterator[Chunk]:
        """The records from the beginning.

        Raises:
            DataError: If they cannot be read as asked.
        """


class Frames(Protocol):
    """A reader of one format: tables of whatever columns there are, not yet understood."""

    @property
    def name(self) -> str:
        """Name that the user gave it, for messages."""

    @property
    def default_key(self) -> bytes:
        """The key of all its records where no column is the key."""

    def frames(self) -> Iterator[Any]:
        """DataFrames of at most the chunk size."""
