"""Scores of planned rows, and the rest of the motor neurons whose episodes planned work ends."""

from __future__ import annotations

from ember_core.pipeline import Pipeline
from ember_core.pipeline.present import rested
from stream.engine.state.table import Store

from .batch import StepBatch
from .decide import Decider
from .planned_work import PlannedScores
from .rows import CompletedRows, ObservedRows
from .rules_effect import RulesEffect


def score_planned(
    batch: StepBatch, rows: CompletedRows, store: Store, decider: Decider, rules: RulesEffect
) -> PlannedScores:
    """Score rows under planned work, each by a copy of its key's state.

    Args:
        batch: The batch, before its usual rows are observed.
        rows: The planned rows.
        store: Rows of all keys.
        decider: Scores of the model.
        rules: Documents in force.
    """
    state = {name: batch.keys.fields[name][rows.row] for name in store.observed}
    counted = rules.counted(batch.keys.rules, rows)
    observation = decider.pipeline.observe(
        state, rows.values, rows.time_us, rows.packed, counted=counted
    )
    return decider.score_planned(batch.keys, ObservedRows(rows, observation), rules)


def rest_motors(batch: StepBatch, pipeline: Pipeline) -> None:
    """Let the motor neurons rest whose open episodes end with planned work.

    Args:
        batch: The batch.
        pipeline: The model's pipeline.
    """
    if not batch.due_resolves:
        return  # the usual case
    fields, names = batch.keys.fields, [field.name for field in pipeline.state_fields()]
    for row in batch.due_resolves:
        state = {name: fields[name][row : row + 1].copy() for name in names}
        for name, value in rested(pipeline, state).items():
            fields[name][row] = value[0]
        fields["refractory"][row] = 0  # a fault that outlasts the work is a page
