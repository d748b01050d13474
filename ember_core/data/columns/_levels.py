"""Distinct values of a column, how often each occurs, and the target's sum over each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Levels:
    """Counts of the first `most` distinct values; those that come later are only counted in sum.

    Args:
        most: Distinct values that are followed.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self.overflowed = False
        self._place: dict[Any, int] = {}
        self._counts: list[int] = []
        self._sums: list[float] = []
        self._targets: list[float] = []

    @property
    def distinct(self) -> int:
        """Distinct values that are followed."""
        return len(self._place)

    def add(
        self,
        values: list[Any],
        counts: NDArray[np.int64],
        sums: NDArray[np.float64] | None = None,
        targets: NDArray[np.int64] | None = None,
    ) -> None:
        """Take in the distinct values of a chunk.

        Args:
            values: Different ones, in order of appearance.
            counts: Occurrences of each.
            sums: Sum of the target over the rows of each.
            targets: Rows of each whose target is there.
        """
        self.total += int(counts.sum())
        for i, value in enumerate(values):
            index = self._place.get(value)
            if index is None:
                if len(self._place) >= self.most:
                    self.overflowed = True
                    continue
                index = self._place[value] = len(self._counts)
                self._counts.append(0)
                self._sums.append(0.0)
                self._targets.append(0.0)
            self._counts[index] += int(counts[i])
            if sums is not None and targets is not None:
                self._sums[index] += float(sums[i])
                self._targets[index] += float(targets[i])

    def items(self) -> list[tuple[Any, int]]:
        """Values and counts, the most frequent first, ties in the order of their text."""
        pairs = zip(self._place, self._counts, strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))

    def top(self, most: int) -> list[Any]:
        """The `most` most frequent values, in the order of their text."""
        return sorted((value for value, _ in self.items()[:most]), key=str)

    def means(self, values: list[Any], smoothing: float, prior: float) -> NDArray[np.float64]:
        """Smoothed mean of the target over the rows of each value.

        `(sum + smoothing * prior) / (count + smoothing)` (Micci-Barreca 2001).
        """
        indices = [self._place[value] for value in values]
        sums, counts = np.array(self._sums)[indices], np.array(self._targets)[indices]
        return (sums + smoothing * prior) / np.maximum(counts + smoothing, 1e-300)

    def as_text(self, text: Any) -> Levels:
        """The same with every value as `text(value)`."""
        texts = Levels(self.most)
        texts.overflowed = self.overflowed
        for value, index in self._place.items():
            texts.add(
                [text(value)],
                np.array([self._counts[index]]),
                np.array([self._sums[index]]),
                np.array([self._targets[index]], np.int64),
            )
        texts.total = self.total
        return texts

    def join(self, other: Levels) -> None:
        """Take in what another one has counted."""
        counted = sum(other._counts)
        self.add(
            list(other._place),
            np.array(other._counts, np.int64),
            np.array(other._sums),
            np.array(other._targets, np.int64),
        )
        self.total += other.total - counted
        self.overflowed |= other.overflowed
