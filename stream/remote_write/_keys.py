"""Numbers of keys, so that whole batches are looked up at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream.key_patterns import KeyPatterns

_FIRST_ROOM = 1_024


class KeyTable:
    """Keys that were seen, by number.

    Args:
        patterns: Patterns of the keys that are always written.

    Attributes:
        names: Keys by number.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = KeyPatterns(patterns)
        self._numbers: dict[bytes, int] = {}
        self.names: list[bytes] = []
        self._is_always = np.zeros(_FIRST_ROOM, dtype=np.bool_)
        self._last_steps = np.zeros(_FIRST_ROOM, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of each key, `(n,)`; new keys get one."""
        number_of = self._numbers
        missing = [key for key in dict.fromkeys(keys) if key not in number_of]
        if missing:
            self._add(missing)
        return np.fromiter(map(number_of.__getitem__, keys), dtype=np.int64, count=len(keys))

    def find(self, key: bytes) -> int | None:
        """Return the number of a key; None if it was not seen."""
        return self._numbers.get(key)

    def _add(self, keys: Sequence[bytes]) -> None:
        begin = len(self.names)
        end = begin + len(keys)
        for number, key in enumerate(keys, begin):
            self._numbers[key] = number
        self.names += keys
        if end > len(self._is_always):
            room = max(end, 2 * len(self._is_always))
            self._is_always = np.resize(self._is_always, room)
            self._last_steps = np.resize(self._last_steps, room)
        self._is_always[begin:end] = self._patterns.find(keys) >= 0
        self._last_steps[begin:end] = np.iinfo(np.int64).min

    def is_always(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each row whether its key is always written, `(n,)`."""
        return self._is_always[numbers]

    def first_of_steps(
        self, numbers: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the indexes of the rows that are the first of their key in a step of time.

        Args:
            numbers: Numbers of the keys, `(n,)`.
            steps: Number of the step of each row, `(n,)`; those of a key never fall.
        """
        fresh = np.flatnonzero(self._last_steps[numbers] != steps)
        pairs = np.stack([numbers[fresh], steps[fresh]], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        rows = fresh[np.sort(first)]
        self._last_steps[numbers[rows]] = steps[rows]  # the last one of a key counts
        return rows

    def keep(self, kept: NDArray[np.int64]) -> NDArray[np.int64]:
        """Forget all keys but some; return the new number by the old one, `(n,)`.

        Args:
            kept: Numbers of the keys to keep, sorted.
        """
        new_of = np.full(len(self.names), -1, dtype=np.int64)
        new_of[kept] = np.arange(len(kept))
        self.names = [self.names[number] for number in kept.tolist()]
        self._numbers = {key: number for number, key in enumerate(self.names)}
        self._is_always[: len(kept)] = self._is_always[kept]
        self._last_steps[: len(kept)] = self._last_steps[kept]
        return new_of
