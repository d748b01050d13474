"""Rows of one key on their way to the store: float32, so that a row has the same bits each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch

KEY_COLUMNS: Final = ("score", "severity", "evidence", "threshold", "firing")
"""Columns with one number a row."""
CHANNEL_COLUMNS: Final = ("value", "usual", "lower", "upper")
"""Columns with a number for each channel of a row."""


@dataclass(frozen=True)
class KeyRows:
    """Rows of one key, by time.

    Attributes:
        topic: Input topic, as events name it.
        key: Stream key.
        channels: Names of the channels, `C`.
        time_us: Event times, `(n,)`.
        table: `KEY_COLUMNS`, then each of `CHANNEL_COLUMNS` for all channels, `(n, 5 + 4 C)`; NaN
            where there is no number.
    """

    topic: str
    key: bytes
    channels: tuple[str, ...]
    time_us: NDArray[np.int64]
    table: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def samples(self) -> int:
        """Numbers in the rows: those that are not NaN."""
        return int(np.count_nonzero(~np.isnan(self.table)))

    def part(self, begin: int, end: int | None = None) -> KeyRows:
        """Return some of the rows.

        Args:
            begin: Index of the first one.
            end: Index after the last one; None: all the rest.
        """
        rows = slice(begin, end)
        return KeyRows(self.topic, self.key, self.channels, self.time_us[rows], self.table[rows])

    def columns(self) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        """Iterate over the series: column, channel or nothing, and the values `(n,)`."""
        width = len(self.channels)
        for index, name in enumerate(KEY_COLUMNS):
            yield name, "", self.table[:, index]
        for number, name in enumerate(CHANNEL_COLUMNS):
            first = len(KEY_COLUMNS) + number * width
            for index, channel in enumerate(self.channels):
                yield name, channel, self.table[:, first + index]


def series_count(channels: tuple[str, ...]) -> int:
    """Return the number of series of a key."""
    return len(KEY_COLUMNS) + len(CHANNEL_COLUMNS) * len(channels)


def table_of(batch: ScoreBatch) -> NDArray[np.float32]:
    """Return the numbers of a batch as `KeyRows.table` has them, `(n, 5 + 4 C)`."""
    single = [getattr(batch, name)[:, None] for name in KEY_COLUMNS]
    wide = [getattr(batch, name) for name in CHANNEL_COLUMNS]
    # A value beyond the range of float32 becomes infinite, and is left out as a missing one.
    with np.errstate(over="ignore"):
        table = np.concatenate([*single, *wide], axis=1).astype(np.float32)
    table[np.isinf(table)] = np.nan
    return table
