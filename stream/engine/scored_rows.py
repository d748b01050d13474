"""What a batch's scored rows came to, and the fields of their keys at any row of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Decision, PackedRows

from .result import ScoreColumns
from .rows import Completed


@dataclass
class ScoredRows:
    """Scored rows, turn by turn; arrays of shape `(n,)`.

    Attributes:
        turns: Which key each is of.
        keys: Row of the block of each key, `(K,)`.
        chosen: Index of each among the completed rows.
        score: Free energy.
        decision: Severity, evidence, where the motor neuron fires and resolves; state after.
        anomaly: Whether the row is an anomaly.
        seq: Count of the key's scored rows.
        inside: Whether the row belongs to an episode, its first and its last included.
        episode_rows: Rows of the episode so far; 0 outside.
        peak: Whether no row of the episode before it was as severe.
    """

    turns: PackedRows
    keys: NDArray[np.int64]
    chosen: NDArray[np.int64]
    score: NDArray[np.float32]
    decision: Decision
    anomaly: NDArray[np.bool_]
    seq: NDArray[np.int64]
    inside: NDArray[np.bool_]
    episode_rows: NDArray[np.int64]
    peak: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        views: dict[str, Any],
        turns: PackedRows,
        keys: NDArray[np.int64],
        chosen: NDArray[np.int64],
        score: NDArray[np.float32],
        decision: Decision,
        anomaly: NDArray[np.bool_],
    ) -> ScoredRows:
        """Follow the episodes; `views` are the fields of the block before the batch."""
        inside = decision.firing | decision.resolves
        episode_rows = np.zeros(chosen.size, dtype=np.int64)
        peak = np.zeros(chosen.size, dtype=bool)
        rows: dict[int, tuple[int, float]] = {}  # of keys inside: rows so far, severest of them
        for i in np.flatnonzero(inside).tolist():
            row, severity = int(keys[turns.key[i]]), decision.severity[i]
            before = rows.get(row) or (views["episode_rows"][row], views["peak_severity"][row])
            fires = bool(decision.fires[i])
            count, top = (0, severity) if fires else before
            peak[i] = fires or severity > top
            episode_rows[i] = count + 1
            rows[row] = int(count) + 1, severity if peak[i] else top
        seq = turns.expand(views["seq"][keys]) + turns.step + 1
        return cls(turns, keys, chosen, score, decision, anomaly, seq, inside, episode_rows, peak)

    @property
    def told(self) -> NDArray[np.int64]:
        """Which of the rows have something to be told or remembered."""
        decision = self.decision
        return np.flatnonzero(self.anomaly | decision.fires | decision.resolves | self.peak)

    def recall(self, views: dict[str, Any], row: int, i: int) -> None:
        """Set the fields that events speak of to what they were after row `i` of the key."""
        views["seq"][row] = self.seq[i]
        views["firing"][row] = self.decision.firing[i]
        views["episode_rows"][row] = self.episode_rows[i]

    def close(self, views: dict[str, Any]) -> None:
        """Set all fields to what they are after the last row of each key."""
        for name, value in self.decision.state.items():
            views[name][self.keys] = value
        views["seq"][self.keys] = self.turns.last(self.seq)
        views["episode_rows"][self.keys] = self.turns.last(self.episode_rows)

    def columns(self, rows: Completed) -> ScoreColumns:
        """The rows in order of arrival."""
        order = np.argsort(rows.sample[self.chosen], kind="stable")
        at, decision = self.chosen[order], self.decision
        fires, resolves = decision.fires[order], decision.resolves[order]
        return ScoreColumns(
            sample=rows.sample[at],
            time_us=rows.time_us[at],
            score=self.score[order],
            severity=decision.severity[order],
            anomaly=self.anomaly[order],
            trigger=fires.astype(np.int8) - resolves.astype(np.int8),
            firing=self.inside[order],
        )
