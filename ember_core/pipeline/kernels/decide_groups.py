"""Group motor neuron over several rows a key: step after step, all keys of a step together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core.pipeline.group_motor import GroupFiring, GroupMotor
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State


class GroupDecision(NamedTuple):
    """Decision on rows, arrays of shape `(R,)`.

    Attributes:
        state: Fields of the motor neuron after each key's last row, `(K, ...)`.
        evidence: Largest severity less habituation, float32.
        firing: True while an episode is open after the row.
        brings: Pages and ends of episodes.
    """

    state: State
    evidence: Any
    firing: Any
    brings: GroupFiring


def decide_groups_packed(
    motor: GroupMotor, state: State, severities: Any, observation: Observation
) -> GroupDecision:
    """Decide several rows of keys, in order, with the bits of `GroupMotor.forward` row by row.

    Args:
        motor: The motor neuron.
        state: Its fields before each key's first row, `(K, ...)`.
        severities: Severities of the groups, `(R, G)`, float32.
        observation: Columns of the rows: `hold`, `may_fire` and `elapsed`.
    """
    packed = observation.packed
    if packed.once:
        after, brings = motor.forward(state, severities, observation)
        return GroupDecision(after, after["evidence"], after["firing"] > 0, brings)
    current = {field.name: state[field.name].copy() for field in motor.state_fields()}
    evidence = np.empty(packed.row_count, np.float32)
    firing, fires, resolves, updates = (np.empty(packed.row_count, bool) for _ in range(4))
    brings = GroupFiring(fires, resolves, updates, np.empty(packed.row_count, np.int64))
    step_state = current
    for start, n in packed.spans():
        part = slice(start, start + n)
        if n < len(step_state["firing"]):  # the keys that have no more rows stay as they are
            _write(current, step_state)
            step_state = {name: value[:n] for name, value in step_state.items()}
        columns = Observation(
            PackedRows([n]),
            hold=observation.hold[part],
            elapsed=observation.elapsed[part],
            may_fire=observation.may_fire[part],
        )
        step_state, step_brings = motor.forward(step_state, severities[part], columns)
        evidence[part], firing[part] = step_state["evidence"], step_state["firing"] > 0
        for column, values in zip(brings, step_brings, strict=True):
            column[part] = values
    _write(current, step_state)
    return GroupDecision(current, evidence, firing, brings)


def _write(state: State, first: State) -> None:
    """Write the fields of the first keys."""
    for name, value in first.items():
        state[name][: len(value)] = value
