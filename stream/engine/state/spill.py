"""Rows beyond those that memory holds: what the engine asks of a place to put them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Spilled(NamedTuple):
    """A row on its way out.

    Attributes:
        key: Stream key.
        row: All of it.
        due_us: The partition's clock at which the key falls silent; far off where it does not.
    """

    key: bytes
    row: bytes
    due_us: int


class Spill(Protocol):
    """Rows of one partition outside of memory; gone with the process."""

    def put(self, rows: Sequence[Spilled]) -> list[bytes]:
        """Keep rows, in place of older ones of their keys.

        Returns:
            Keys that had to be forgotten for it, longest put away first.
        """

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Rows of those of `keys` that are here; they stay."""

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget keys."""

    def due(self, before_us: int) -> list[bytes]:
        """Keys that fall silent before the clock reaches this; each is named once."""

    def next_due(self) -> int:
        """When the next key falls silent, microseconds; far off where none does."""

    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Rows behind a place, in the order they were put away: place (from 1 on), key, row."""

    def last(self) -> int:
        """Place of the row put away last; 0 where there is none."""

    def __len__(self) -> int:
        """Rows here; some may have come back to memory since."""

    def close(self) -> None:
        """Give everything up."""
