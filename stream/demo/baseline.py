"""Baseline detector: the largest z-score of a row, allowed as many false alarms as the worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .evaluation import NAMED, Alarm, Evaluation, evaluate
from .faults import Fault
from .fleet import CHANNELS, START_US

QUIET_ROWS = 10  # rows below the threshold that end an episode


class LargestZ:
    """Detector that scores a row by the largest |z| of its channels.

    Args:
        names: Names of the K machines.
        mean: Mean of each channel in the history (K, C).
        deviation: Standard deviation of each channel in the history (K, C).
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
        """Score rows, which must be passed in order.

        Args:
            first_row: Number of the first row.
            values: Values (rows, K, C).
            sent: Mask of the records that were sent (rows, K); the others score 0.
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
        """Evaluate at the lowest threshold with no more than `false_triggers` false alarms.

        Returns:
            The evaluation, and the threshold in deviations.
        """
        if self._first_row is None:
            return evaluate(faults, (), interval_us, self._names), float("inf")
        largest, top = np.concatenate(self._largest), np.concatenate(self._top)
        levels = np.unique(largest)
        # Bisection over the scores that occur. Firing is strictly above the threshold, so that
        # nothing fires at the last level and the search always ends at a valid one.
        low, high = 0, len(levels) - 1
        while low < high:
            middle = (low + high) // 2
            evaluation = self._evaluate_at(float(levels[middle]), largest, top, faults, interval_us)
            if len(evaluation.false) <= false_triggers:
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
        over: Rows above the threshold (rows, K).

    Returns:
        Rows above the threshold with none above it among the `QUIET_ROWS` before (rows, K).
    """
    # The running totals before a row, and before its quiet rows, are equal when all of those were
    # below the threshold.
    total = np.cumsum(over, axis=0)
    previous_total = np.zeros_like(total)
    previous_total[1:] = total[:-1]
    earlier_total = np.zeros_like(total)
    earlier_total[QUIET_ROWS + 1 :] = total[: -(QUIET_ROWS + 1)]
    first: NDArray[np.bool_] = over & (previous_total == earlier_total)
    return first
