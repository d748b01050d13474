"""A spill in a dictionary: what `SpillFile` does, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from stream.engine.state.spill import Spilled

NEVER_US = 2**62


class DictSpill:
    """Rows by key, longest put away first.

    Args:
        limit: Most rows; more are forgotten.
    """

    def __init__(self, limit: int = 2**62) -> None:
        self.rows: dict[bytes, tuple[bytes, int, int]] = {}
        self._place = 0
        self._limit = limit

    def put(self, rows: Sequence[Spilled]) -> list[tuple[bytes, bytes]]:
        for key, row, due in rows:
            self.rows.pop(key, None)
            self._place += 1
            self.rows[key] = row, due, self._place
        keys = list(self.rows)[: max(0, len(self.rows) - self._limit)]
        forgotten = [(key, self.rows[key][0]) for key in keys]
        self.remove(keys)
        return forgotten

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[key][0] for key in keys if key in self.rows}

    def remove(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.rows.pop(key, None)

    def due(self, before_us: int) -> list[bytes]:
        found = [key for key, (_, due, _) in self.rows.items() if due < before_us]
        for key in found:
            row, _, place = self.rows[key]
            self.rows[key] = row, NEVER_US, place
        return found

    def next_due(self) -> int:
        return min((due for _, due, _ in self.rows.values()), default=NEVER_US)

    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        found = [(place, key, row) for key, (row, _, place) in self.rows.items() if place > after]
        return found[:limit]

    def last(self) -> int:
        return self._place

    def __len__(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.rows.clear()
