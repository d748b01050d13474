"""Place for rows beyond those that memory holds, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Spilled(NamedTuple):
    """A row to be spilled.

    Attributes:
        key: Stream key.
        row: All of it.
        due_us: The partition's clock at which the key becomes idle; 2**62 if it does not.
    """

    key: bytes
    row: bytes
    due_us: int


class Spill(Protocol):
    """Rows of one partition outside of memory; gone with the process."""

    def put(self, rows: Sequence[Spilled]) -> list[tuple[bytes, bytes]]:
        """Keep rows, in place of older ones of their keys.

        Returns:
            Keys that had to be forgotten for it, longest spilled first, and their rows.
        """

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows of those of `keys` that are here; they stay."""

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget keys."""

    def due(self, before_us: int) -> list[bytes]:
        """Return keys that become idle before the clock reaches this; each is named once."""

    def next_due(self) -> int:
        """Return the clock at which the next key becomes idle; 2**62 where none does."""

    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Return rows behind a place, oldest first: place (from 1 on), key, row."""

    def last(self) -> int:
        """Return the place of the row spilled last; 0 where there is none."""

    def __len__(self) -> int:
        """Return the number of rows; some may have been restored to memory since."""

    def close(self) -> None:
        """Give everything up."""
