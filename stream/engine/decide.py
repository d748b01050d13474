"""Score all rows of a batch at once, then decide in the order of each key's rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ember_core.pipeline import PackedRows, Pipeline

from .batch import KeyRows, StepBatch, copies_of
from .planned_work import PlannedScores
from .rows import ObservedRows
from .rules_effect import RulesEffect
from .scored_rows import ScoredRows


class Decider:
    """Scores and decisions of one model.

    Args:
        pipeline: The model's pipeline.
        fields: Names of the fields that decisions write.
    """

    def __init__(self, pipeline: Pipeline, fields: Sequence[str]) -> None:
        self.pipeline = pipeline
        self._fields = fields

    def decide(
        self, batch: StepBatch, observed: ObservedRows, rules: RulesEffect
    ) -> ScoredRows | None:
        """Score the rows of warm keys and decide them; None where there are none.

        Args:
            batch: The batch.
            observed: Rows it completed.
            rules: Rules in force.
        """
        rows, observation, fields = observed.rows, observed.observation, batch.keys.fields
        if observation.scored.all():
            index, packed, key_index = np.arange(rows.line.size), rows.packed, rows.key_index
        else:
            # Keys that still warm up leave, so that the others have to be packed anew.
            index = np.flatnonzero(observation.scored)
            if not index.size:
                return None
            packed, key_index, order = PackedRows.of(rows.row[index])
            index = index[order]
        score = self.pipeline.score(observation.visible[index])
        # All keys of the batch in their order: a slice copies faster than an index.
        every_key = packed.once and key_index.size == len(fields["rows"])
        state = copies_of(fields, self._fields, None if every_key else key_index)
        channels, row_rules = self.pipeline.channel_rows(observation, index), None
        if batch.keys.rules is not None:
            score, channels, row_rules = rules.apply(
                batch.keys.rules, rows, observation, index, score, channels
            )
        may_fire = observation.may_fire[index] & ~batch.without_events[rows.line[index]]
        decision = self.pipeline.decide(
            state,
            score,
            may_fire,
            observation.learning[index],
            packed,
            channels,
            None if observation.confidence is None else observation.confidence[index],
            None if row_rules is None else row_rules.shift,
        )
        anomaly = may_fire & (decision.severity >= self.pipeline.config.anomaly_severity)
        scored = ScoredRows.of(fields, packed, key_index, index, score, decision, anomaly)
        scored.rules = row_rules
        return scored

    def score_planned(
        self, keys: KeyRows, observed: ObservedRows, rules: RulesEffect
    ) -> PlannedScores:
        """Score rows under planned work, each by itself; nothing is decided or learnt.

        Args:
            keys: Keys of the batch, as they are before their usual rows.
            observed: The rows.
            rules: Rules in force.
        """
        rows, observation = observed.rows, observed.observation
        index = np.flatnonzero(observation.scored)
        score = self.pipeline.score(observation.visible[index])
        channels, row_rules = self.pipeline.channel_rows(observation, index), None
        if keys.rules is not None and index.size:
            score, channels, row_rules = rules.apply(
                keys.rules, rows, observation, index, score, channels
            )
        key_row, tail = rows.row[index], self.pipeline.tail
        state = {field.name: keys.fields[field.name][key_row] for field in tail.state_fields()}
        severity = tail.severity(state, tail.log_score(score))
        if observation.confidence is not None:
            severity = severity * observation.confidence[index, -1]
        evidence = keys.fields["evidence"][key_row]
        severity = np.asarray(severity, np.float32)
        return PlannedScores(index, score, severity, evidence, observed, channels, row_rules)
