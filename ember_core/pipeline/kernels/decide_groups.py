"""Group motor neuron over several rows a key.

While many keys have a row in a step they go together. Of the rows that few keys have left, those
at rest are decided in one go: no group is raised and no episode is open, so that the fields only
decay and count. Both have the bits of `GroupMotor.forward` on one row at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core.pipeline.group_motor import NEVER, GroupFiring, GroupMotor
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State

_FEW = 16  # keys in a step from which a step of all is cheaper than rows at rest of each
_SHORT = 3  # rows at rest that are not worth a go of their own


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
        new_state, brings = motor.forward(state, severities, observation)
        return GroupDecision(new_state, new_state["evidence"], new_state["firing"] > 0, brings)
    rows = _Rows(motor, severities, observation)
    current = {field.name: state[field.name].copy() for field in motor.state_fields()}
    step = 0
    for start, n in packed.spans():
        if n < _FEW:
            break
        step_state = {name: value[:n] for name, value in current.items()}
        _write(current, slice(0, n), rows.decide(step_state, slice(start, start + n)))
        step += 1
    if step < len(packed.sizes):
        starts, sizes = np.asarray(packed.starts[step:]), np.asarray(packed.sizes[step:])
        for key in range(packed.sizes[step]):
            part = slice(key, key + 1)
            key_state = {name: value[part] for name, value in current.items()}
            key_rows = starts[: int(np.count_nonzero(sizes > key))] + key
            _write(current, part, rows.decide_series(key_state, key_rows))
    return GroupDecision(current, rows.evidence, rows.firing, rows.brings)


class _Rows:
    """Rows to decide, and the decisions on them.

    Args:
        motor: The motor neuron.
        severities: Severities of the groups, `(R, G)`.
        observation: Columns of the rows.
    """

    def __init__(self, motor: GroupMotor, severities: Any, observation: Observation) -> None:
        count = observation.packed.row_count
        self._motor, self._severities, self._observation = motor, severities, observation
        self.evidence, self.firing = np.empty(count, np.float32), np.zeros(count, bool)
        fires, resolves, updates = (np.zeros(count, bool) for _ in range(3))
        self.brings = GroupFiring(fires, resolves, updates, np.empty(count, np.int64))

    def decide(self, state: State, rows: slice) -> State:
        """Decide one row of each of some keys, and return the state after them."""
        observation = self._observation
        columns = Observation(
            PackedRows([rows.stop - rows.start]),
            hold=observation.hold[rows],
            elapsed=observation.elapsed[rows],
            may_fire=observation.may_fire[rows],
        )
        state, brings = self._motor.forward(state, self._severities[rows], columns)
        self.evidence[rows], self.firing[rows] = state["evidence"], state["firing"] > 0
        for column, values in zip(self.brings, brings, strict=True):
            column[rows] = values
        return state

    def decide_series(self, state: State, rows: Any) -> State:
        """Decide the rows of one key in order, and return the state after them."""
        least = self._motor.on + min(float(state["feedback"][0]), -self._motor.off_below)
        raised = np.flatnonzero(self._severities[rows].max(axis=1) >= np.float32(least))
        ends = np.append(raised, len(rows)).tolist()
        i = next_end = 0
        while i < len(rows):
            while ends[next_end] < i:
                next_end += 1
            if not state["firing"][0] and ends[next_end] - i > _SHORT:
                state = self._rest(state, rows[i : ends[next_end]])
                i = ends[next_end]
            else:
                state = self.decide(state, slice(rows[i], rows[i] + 1))
                i += 1
        return state

    def _rest(self, state: State, rows: Any) -> State:
        """Decide rows of one key on which no group is raised and no episode is open.

        NumPy accumulates in the order of the rows, so that every row has the bits of its own step.
        """
        motor, x, elapsed = self._motor, self._severities[rows], self._observation.elapsed[rows]
        step = np.minimum(elapsed, motor.longest_step)[:, None] + np.zeros_like(x)
        lowered = np.add.accumulate(np.concatenate([state["lowered"], step]))[1:]
        raised = state["raised"] * (lowered < motor.return_intervals)
        decay = motor.decay(elapsed)[:, None] + np.zeros_like(x)
        habituation = np.multiply.accumulate(np.concatenate([state["habituation"], decay]))[1:]
        effective = np.where(motor.accepted({"raised": raised}), NEVER, x - habituation)
        self.evidence[rows] = evidence = effective.max(axis=1)
        self.brings.lead[rows] = effective.argmax(axis=1)
        refractory = np.maximum(state["refractory"] - len(rows), 0).astype(np.int32)
        fields = {"evidence": evidence, "raised": raised, "lowered": lowered}
        fields["habituation"] = habituation
        idle = {name: np.zeros_like(state[name]) for name in ("calm", "paged", "joined")}
        last = {name: value[-1:] for name, value in fields.items()}
        return state | last | idle | {"refractory": refractory}


def _write(state: State, keys: slice, fields: State) -> None:
    """Write the fields of some keys."""
    for name, value in fields.items():
        state[name][keys] = value
