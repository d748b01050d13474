"""Rows of one batch between the stages of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .detailed_scores import PlacedDetails
from .planned_work import DividedRows, Phases, PlannedScores
from .result import ScoreColumns
from .rows import CompletedRows, Indices, ObservedRows, PackedSamples
from .scored_rows import ScoredRows


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
        planned_details: The same in detail, of keys that are asked for.
    """

    divided: DividedRows
    observed: ObservedRows | None
    planned: PlannedScores | None
    planned_details: PlacedDetails | None = None

    @property
    def planned_count(self) -> int:
        """Number of rows under planned work."""
        return 0 if self.divided.planned is None else int(self.divided.planned.line.size)

    @property
    def grace_count(self) -> int:
        """Number of rows in the grace after it."""
        return 0 if self.divided.in_grace is None else int(self.divided.in_grace.sum())

    def columns(
        self, scored: ScoredRows | None, sample: Indices, silent: Sequence[bytes] = ()
    ) -> ScoreColumns:
        """Return the scored rows in order of arrival, also those under planned work.

        Args:
            scored: Usual rows of warm keys, if any.
            sample: Index in the slice of each line of the batch.
            silent: Keys of the batch, where their silence completed the rows.
        """
        columns = ScoreColumns.empty()
        if self.observed is not None and scored is not None:
            columns = scored.columns(self.observed.rows, sample, silent)
        planned = self.planned
        if planned is None:
            return columns
        row = np.zeros(0, dtype=np.int64)
        if self.observed is not None and scored is not None:
            row = scored.index[scored.arrival(self.observed.rows)]
        rows = self.divided.usual_of_all(row), self.divided.planned_of_all(planned.index)
        order = self.arrival(np.concatenate(rows))
        return columns.and_then(planned.columns(sample, silent)).take(order)

    def arrival(self, rows: Indices) -> Indices:
        """Return the order of arrival of rows, those of one sample as they are among all.

        Args:
            rows: Indices of the rows among all, `(n,)`.
        """
        order: Indices = np.lexsort((rows, self.divided.every.line[rows]))
        return order
