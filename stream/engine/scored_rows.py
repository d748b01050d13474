"""Scored rows of a batch, and the fields of their keys at any of these rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Decision, PackedRows

from .result import ScoreColumns
from .rows import CompletedRows
from .rules_effect import RowRules


@dataclass
class ScoredRows:
    """Scored rows, packed by key; arrays of shape `(n,)`.

    Attributes:
        packed: Key of each row, and its place among those of the key.
        key_index: Row of the batch's `keys` of each packed key, `(K,)`.
        index: Index of each row among the completed rows.
        score: Free energy.
        decision: Severity, evidence, where the motor neuron fires and resolves; state after.
        anomaly: Whether the row is an anomaly.
        alarm: Severity by which episodes are measured.
        seq: Count of the key's scored rows.
        in_episode: Whether the row belongs to an episode, its first and its last included.
        episode_rows: Rows of the episode so far; 0 outside.
        peak: Whether no earlier row of the episode was as severe.
        rules: Rules of operators that the rows have; None: no row has any.
    """

    packed: PackedRows
    key_index: NDArray[np.int64]
    index: NDArray[np.int64]
    score: NDArray[np.float32]
    decision: Decision
    anomaly: NDArray[np.bool_]
    alarm: NDArray[np.float32]
    seq: NDArray[np.int64]
    in_episode: NDArray[np.bool_]
    episode_rows: NDArray[np.int64]
    peak: NDArray[np.bool_]
    rules: RowRules | None = None

    @classmethod
    def of(
        cls,
        fields: dict[str, Any],
        packed: PackedRows,
        key_index: NDArray[np.int64],
        index: NDArray[np.int64],
        score: NDArray[np.float32],
        decision: Decision,
        anomaly: NDArray[np.bool_],
    ) -> ScoredRows:
        """Number the rows of every key and of its episodes.

        Args:
            fields: Fields of the batch's keys before the batch.
            packed: Key of each row.
            key_index: Row of `fields` of each packed key.
            index: Index of each row among the completed rows.
            score: Free energy.
            decision: Decision of the pipeline.
            anomaly: Whether the row is an anomaly.
        """
        in_episode = decision.firing | decision.resolves
        episode_rows = np.zeros(index.size, dtype=np.int64)
        peak, alarm = np.zeros(index.size, dtype=bool), decision.alarm
        # Keys in an episode: rows of it so far, and the largest severity. Few rows are in one, so
        # that a loop over them costs less than a recurrence over all rows.
        episodes: dict[int, tuple[int, float]] = {}
        for i in np.flatnonzero(in_episode).tolist():
            row, severity = int(key_index[packed.key[i]]), alarm[i]
            episode = episodes.get(row) or (
                fields["episode_rows"][row],
                fields["peak_severity"][row],
            )
            fires = bool(decision.fires[i])
            count, largest = (0, severity) if fires else episode
            peak[i] = fires or severity > largest
            episode_rows[i] = count + 1
            episodes[row] = int(count) + 1, severity if peak[i] else largest
        seq = packed.expand(fields["seq"][key_index]) + packed.step + 1
        numbered = seq, in_episode, episode_rows, peak
        return cls(packed, key_index, index, score, decision, anomaly, alarm, *numbered)

    @property
    def notable(self) -> NDArray[np.int64]:
        """Rows that bring events about, or are the peak of an episode."""
        decision = self.decision
        notable = self.anomaly | decision.fires | decision.resolves | self.peak
        if decision.updates is not None:
            notable |= decision.updates
        return np.flatnonzero(notable)

    def restore_fields(self, fields: dict[str, Any], row: int, i: int) -> None:
        """Set the fields that events read to their values after one row of a key.

        Args:
            fields: Fields of the batch's keys, written to.
            row: Row of `fields` of the key.
            i: Index of the scored row.
        """
        fields["seq"][row] = self.seq[i]
        fields["firing"][row] = self.decision.firing[i]
        fields["episode_rows"][row] = self.episode_rows[i]

    def write_back(self, fields: dict[str, Any]) -> None:
        """Set all fields to their values after the last row of each key."""
        for name, value in self.decision.state.items():
            fields[name][self.key_index] = value
        fields["seq"][self.key_index] = self.packed.last(self.seq)
        fields["episode_rows"][self.key_index] = self.packed.last(self.episode_rows)

    def arrival(self, rows: CompletedRows) -> NDArray[np.int64]:
        """Return the order of arrival of the scored rows, `(n,)`.

        Args:
            rows: The completed rows.
        """
        order: NDArray[np.int64] = np.argsort(rows.line[self.index], kind="stable")
        return order

    def columns(
        self,
        rows: CompletedRows,
        sample: NDArray[np.int64],
        silent: Sequence[bytes] = (),
    ) -> ScoreColumns:
        """Return the rows in order of arrival.

        Args:
            rows: The completed rows.
            sample: Index in the slice of each line of the batch.
            silent: Keys of the batch, where their silence completed the rows.
        """
        order = self.arrival(rows)
        index, decision = self.index[order], self.decision
        fires, resolves = decision.fires[order], decision.resolves[order]
        return ScoreColumns(
            sample=sample[rows.line[index]],
            time_us=rows.time_us[index],
            score=self.score[order],
            severity=decision.severity[order],
            evidence=decision.evidence[order],
            anomaly=self.anomaly[order],
            trigger=fires.astype(np.int8) - resolves.astype(np.int8),
            firing=self.in_episode[order],
            silent={i: silent[row] for i, row in enumerate(rows.row[index].tolist()) if silent},
        )
