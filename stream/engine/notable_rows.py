"""Columns of the scored rows that bring events about, as Python's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ember_core.pipeline import tail_probability
from stream.engine.state.layout import TOP

from .explanation import Explanation
from .scored_rows import ScoredRows


@dataclass
class NotableRows:
    """Scored rows that are told, and peaks of episodes: `n` of each column.

    Numbers of a list take a tenth of the time that those of an array take one by one.

    Attributes:
        row: Row of the batch's `keys` of each row's key.
        seq: Count of the key's scored rows.
        score: Free energy.
        severity: Severity of the row.
        alarm: Severity by which episodes are measured.
        evidence: Evidence of the motor neuron.
        probability: Tail probability.
        anomaly: True where the row is an anomaly.
        fires: True where an episode begins.
        resolves: True where it ends.
        updates: True where another channel joins it.
        peak: True where no earlier row of the episode was as severe.
        explanation: Channels that make the row improbable.
        top_channels: Fields of the state that keep the peak's channels, `(n, TOP)` each.
    """

    row: list[int]
    seq: list[int]
    score: list[float]
    severity: list[float]
    alarm: list[float]
    evidence: list[float]
    probability: list[float]
    anomaly: list[bool]
    fires: list[bool]
    resolves: list[bool]
    updates: list[bool]
    peak: list[bool]
    explanation: list[Explanation]
    top_channels: dict[str, Any]

    @classmethod
    def of(cls, scored: ScoredRows, index: Any, explanations: list[Explanation]) -> NotableRows:
        """Take rows out of the scored ones.

        Args:
            scored: All scored rows.
            index: Indices of the notable ones, `(n,)`.
            explanations: Explanation of each of these.
        """
        decision, severity = scored.decision, scored.decision.severity[index]
        updates = (
            np.zeros(index.size, bool) if decision.updates is None else decision.updates[index]
        )
        columns = (
            scored.key_index[scored.packed.key[index]],
            scored.seq[index],
            scored.score[index],
            severity,
            scored.alarm[index],
            decision.evidence[index],
            tail_probability(severity),
            scored.anomaly[index],
            decision.fires[index],
            decision.resolves[index],
            updates,
            scored.peak[index],
        )
        lists = [column.tolist() for column in columns]
        return cls(*(*lists, explanations, _top_channels(explanations)))


def _top_channels(explanations: list[Explanation]) -> dict[str, Any]:
    """Return the first channels of explanations by the field of the state, filled up to `TOP`."""
    columns: dict[str, tuple[list[list[Any]], float]] = {
        "peak_channel": ([explanation.channel for explanation in explanations], -1),
        "peak_share": ([explanation.share for explanation in explanations], 0.0),
        "peak_value": ([explanation.value for explanation in explanations], np.nan),
        "peak_expected": ([explanation.expected for explanation in explanations], np.nan),
    }
    top_channels = {}
    for name, (values, empty) in columns.items():
        channels = np.array(values)[:, :TOP]  # as many channels each: those of the model
        filled = top_channels[name] = np.full((len(values), TOP), empty, channels.dtype)
        filled[:, : channels.shape[1]] = channels
    return top_channels
