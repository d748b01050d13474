"""The detector to beat: the largest z-score of a row, with as many false alarms as we had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .evaluation import NAMED, Alarm, Evaluation, evaluate
from .faults import Fault
from .fleet import CHANNELS, START_US

QUIET_ROWS = 10  # below the threshold until an episode is over


class LargestZ:
    """Scores the same live rows by the largest |z| of their channels.

    Args:
        names: the machines, K.
        mean: of each channel in the history (K, C).
        deviation: of each channel in the history (K, C).
    """

    def __init__(
        self,
        names: Sequence[str],
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
    ) -> None:
        self._names = tuple(names)
        self._mean, self._deviation = mean, deviation
        self._first_row: int | None = None
        self._largest: list[NDArray[np.float32]] = []
        self._top: list[NDArray[np.int8]] = []

    def feed(self, first_row: int, values: NDArray[np.float64], sent: NDArray[np.bool_]) -> None:
        """Score rows, which must come in order.

        Args:
            first_row: number of the first of them.
            values: (rows, K, C).
            sent: whether each record was sent (rows, K); one that was not scores nothing.
        """
        if self._first_row is None:
            self._first_row = first_row
        z = np.abs((values - self._mean) / self._deviation)
        order = np.argsort(-z, axis=2, kind="stable")[:, :, :NAMED]
        self._top.append(order.astype(np.int8))
        self._largest.append(np.where(sent, z.max(axis=2), 0.0).astype(np.float32))

    def evaluate(
        self, faults: Sequence[Fault], interval_us: int, false_triggers: int
    ) -> tuple[Evaluation, float]:
        """Judge it at the lowest threshold with no more than `false_triggers` false alarms.

        Returns:
            Its judgement, and the threshold in deviations.
        """
        if self._first_row is None:
            return evaluate(faults, (), interval_us, self._names), float("inf")
        largest, top = np.concatenate(self._largest), np.concatenate(self._top)
        levels = np.unique(largest)
        low, high = 0, len(levels) - 1  # firing is strictly above: at the last level nothing does
        while low < high:
            middle = (low + high) // 2
            found = self._evaluate_at(float(levels[middle]), largest, top, faults, interval_us)
            if len(found.false) <= false_triggers:
                high = middle
            else:
                low = middle + 1
        threshold = float(levels[high])
        return self._evaluate_at(threshold, largest, top, faults, interval_us), threshold

    def _evaluate_at(
        self,
        threshold: float,
        largest: NDArray[np.float32],
        top: NDArray[np.int8],
        faults: Sequence[Fault],
        interval_us: int,
    ) -> Evaluation:
        first = self._first_row or 0
        alarms = [
            Alarm(
                key=self._names[key],
                time_us=int(START_US + (first + row) * interval_us),
                top=tuple(CHANNELS[c] for c in top[row, key]),
            )
            for row, key in zip(*np.nonzero(starts(largest > threshold)), strict=True)
        ]
        return evaluate(faults, alarms, interval_us, self._names)


def starts(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the first row of every episode.

    Args:
        over: rows above the threshold (rows, K).

    Returns:
        Rows above it with none above it among the `QUIET_ROWS` before (rows, K).
    """
    total = np.cumsum(over, axis=0)
    before = np.zeros_like(total)
    before[1:] = total[:-1]
    long_before = np.zeros_like(total)
    long_before[QUIET_ROWS + 1 :] = total[: -(QUIET_ROWS + 1)]
    first: NDArray[np.bool_] = over & (before == long_before)
    return first
