"""Rows of one batch between the stages of a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .planned_work import DividedRows, Phases, PlannedScores
from .rows import CompletedRows, Indices, ObservedRows, PackedSamples


@dataclass(frozen=True)
class CompletedBatch:
    """New samples of a batch, and the rows that they complete.

    Attributes:
        accepted: Samples that are not late.
        rows: The rows.
        phases: Phases of the rows; None: all are usual.
        row_counts: Rows of each key before the batch, `(K,)`.
        intervals: Usual interval of each key before the batch, seconds, `(K,)`.
    """

    accepted: PackedSamples
    rows: CompletedRows
    phases: Phases | None
    row_counts: Indices
    intervals: NDArray[np.float64]


@dataclass(frozen=True)
class ObservedBatch:
    """Completed rows of a batch, observed.

    Attributes:
        divided: The rows, those under planned work apart.
        observed: Usual rows, if any.
        planned: Scores of those under planned work, if any.
    """

    divided: DividedRows
    observed: ObservedRows | None
    planned: PlannedScores | None

    @property
    def planned_count(self) -> int:
        """Number of rows under planned work."""
        return 0 if self.divided.planned is None else int(self.divided.planned.line.size)

    @property
    def grace_count(self) -> int:
        """Number of rows in the grace after it."""
        return 0 if self.divided.in_grace is None else int(self.divided.in_grace.sum())
