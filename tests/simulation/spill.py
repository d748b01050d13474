"""A spill in a dictionary: what `SpillFile` does, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from stream.engine.spill import Spilled

NEVER_US = 2**62


class DictSpill:
    """Rows by key, longest put away first.

    Args:
        limit: Most rows; more are forgotten.
    """

    def __init__(self, limit: int = 2**62) -> None:
        self.rows: dict[bytes, tuple[bytes, int]] = {}
        self._limit = limit

    def put(self, rows: Sequence[Spilled]) -> list[bytes]:
        for key, row, due in rows:
            self.rows.pop(key, None)
            self.rows[key] = row, due
        forgotten = list(self.rows)[: max(0, len(self.rows) - self._limit)]
        self.remove(forgotten)
        return forgotten

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[key][0] for key in keys if key in self.rows}

    def remove(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.rows.pop(key, None)

    def due(self, before_us: int) -> list[bytes]:
        found = [key for key, (_, due) in self.rows.items() if due < before_us]
        for key in found:
            self.rows[key] = self.rows[key][0], NEVER_US
        return found

    def next_due(self) -> int:
        return min((due for _, due in self.rows.values()), default=NEVER_US)

    def __len__(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.rows.clear()
