"""Group motor neuron over several rows a key.

While many keys have a row in a step they go together. Rows that few keys have left are decided key
by key, those at rest in one go: no group is raised and no episode is open, so that the fields only
decay and count. All have the bits of `GroupMotor.forward` on one row at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core import ops
from ember_core.pipeline.group_motor import NEVER, GroupFiring, GroupMotor
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State

# Cost of deciding keys one by one, in steps of all of them at once: of each key, and of each row.
_KEY_COST, _ROW_COST = 0.75, 0.025
_SHORT = 3  # rows at rest that are not worth a go of their own


class GroupDecision(NamedTuple):
    """Decision on rows, arrays of shape `(R,)`.

    Attributes:
        state: Fields of the motor neuron after each key's last row, `(K, ...)`.
        evidence: Largest severity less habituation, float32.
        firing: True while an episode is open after the row.
        raised: Usual intervals for which the row's leading group has been raised, float32.
        brings: Pages and ends of episodes.
    """

    state: State
    evidence: Any
    firing: Any
    raised: Any
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
        raised = _of_lead(new_state["raised"], brings.lead)
        firing = new_state["firing"] > 0
        return GroupDecision(new_state, new_state["evidence"], firing, raised, brings)
    rows = _Rows(motor, severities, observation)
    current = {field.name: state[field.name].copy() for field in motor.state_fields()}
    step = 0
    for start, n in packed.spans():
        left_rows, left_steps = packed.row_count - start, len(packed.sizes) - step
        if left_steps > _KEY_COST * n + _ROW_COST * left_rows:
            break
        step_state = {name: value[:n] for name, value in current.items()}
        _write(current, slice(0, n), rows.decide(step_state, slice(start, start + n)))
        step += 1
    if step < len(packed.sizes):
        starts, sizes = np.asarray(packed.starts[step:]), np.asarray(packed.sizes[step:])
        for key in range(packed.sizes[step]):
            key_rows = starts[: int(np.count_nonzero(sizes > key))] + key
            one_key = _OneKey(motor, {name: value[key] for name, value in current.items()})
            one_key.run(key_rows, severities, observation, rows)
            _write(current, key, one_key.state)
    return GroupDecision(current, rows.evidence, rows.firing, rows.raised, rows.brings)


def _of_lead(values: Any, lead: Any) -> Any:
    """Return the value of each row's leading group, `(R,)`, of those of all groups, `(R, G)`."""
    groups = ops.arange(ops.shape(values)[1], dtype="int64", like=values)
    return ops.sum(ops.where(lead[:, None] == groups[None, :], values, 0.0), axis=1)


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
        self.evidence, self.raised = np.empty((2, count), np.float32)
        self.firing = np.zeros(count, bool)
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
        self.raised[rows] = _of_lead(state["raised"], brings.lead)
        for column, values in zip(self.brings, brings, strict=True):
            column[rows] = values
        return state


def _write(state: State, keys: slice | int, fields: State) -> None:
    """Write the fields of some keys, or of one."""
    for name, value in fields.items():
        state[name][keys] = value


_F = np.float32


class _OneKey:
    """Fields of a key, while its rows are decided one by one.

    Every line repeats one of `GroupMotor.forward`, in float32: numbers where that has one for a
    key, arrays `(G,)` where it has one for each group.

    Args:
        motor: The motor neuron.
        state: Fields of the key.
    """

    def __init__(self, motor: GroupMotor, state: State) -> None:
        self._motor = motor
        self._is_open, self._refractory = bool(state["firing"]), int(state["refractory"])
        self._calm, self._paged = int(state["calm"]), int(state["paged"])
        self._evidence, self._feedback = state["evidence"], state["feedback"]
        self._members = state["joined"] > 0
        self._habituation, self._raised = state["habituation"], state["raised"]
        self._lowered = state["lowered"]
        self._threshold = _F(motor.on) + self._feedback
        self._escalated = self._threshold + _F(motor.escalation)

    @property
    def state(self) -> State:
        """Fields after the rows."""
        return {
            "evidence": self._evidence,
            "firing": self._is_open,
            "refractory": self._refractory,
            "feedback": self._feedback,
            "calm": self._calm,
            "paged": self._paged,
            "joined": self._members,
            "habituation": self._habituation,
            "raised": self._raised,
            "lowered": self._lowered,
        }

    def run(self, rows: Any, severities: Any, observation: Observation, out: _Rows) -> None:
        """Decide the rows of the key, in order.

        Args:
            rows: Indices of the rows.
            severities: Severities of the groups of all rows, `(R, G)`.
            observation: Columns of all rows.
            out: Decisions, written to.
        """
        motor, x = self._motor, severities[rows]
        level = _F(motor.on - motor.off_below)
        is_raised, is_held = x >= level, observation.hold[rows] >= level
        elapsed, may_fire = observation.elapsed[rows], observation.may_fire[rows].tolist()
        steps, decays = np.minimum(elapsed, _F(motor.longest_step)), motor.decay(elapsed)
        sizes, most = x - _F(motor.on) + _F(motor.margin), _F(motor.habituation_most)
        # A row may change more than counts where a group is raised, or could fire below that.
        may_change = is_raised.any(axis=1) | (x.max(axis=1) >= self._threshold)
        ends = np.append(np.flatnonzero(may_change), len(rows)).tolist()
        i = next_end = 0
        while i < len(rows):
            while ends[next_end] < i:
                next_end += 1
            end = ends[next_end]
            if not self._is_open and end - i > _SHORT:
                part = slice(i, end)
                self._rest(rows[part], x[part], steps[part], decays[part], out)
                i = end
                continue
            self._count(is_raised[i], steps[i])
            decayed = self._habituation * decays[i]
            self._habituation = np.where(is_raised[i], decayed, np.minimum(decayed, most))
            self._decide(rows[i], x[i], is_raised[i], is_held[i], may_fire[i], sizes[i], out)
            i += 1

    def _count(self, is_raised: Any, step: Any) -> None:
        """Count how long groups are raised, and how long they have not been."""
        self._lowered = (self._lowered + step) * ~is_raised
        raised = self._raised + step * is_raised
        self._raised = raised * (self._lowered < _F(self._motor.return_intervals))

    def _decide(
        self,
        row: Any,
        x: Any,
        is_raised: Any,
        is_held: Any,
        may_fire: bool,
        size: Any,
        out: _Rows,
    ) -> None:
        """Decide a row, its counts and the decay of habituation already done."""
        motor = self._motor
        accepted = motor.accepted({"raised": self._raised})
        effective = np.where(accepted, _F(NEVER), x - self._habituation)
        lead = int(effective.argmax())
        evidence = effective[lead]
        rested, self._refractory = self._refractory <= 0, max(self._refractory - 1, 0)
        fires = not self._is_open and rested and may_fire and bool(evidence >= self._threshold)
        updates = False
        if self._is_open and may_fire and self._paged >= motor.joining_rows:
            late = np.where(self._members, _F(NEVER), effective)
            updates = bool(late.max() >= self._escalated)
            lead = int(late.argmax()) if updates else lead
        resolves = False
        if not self._is_open:
            self._calm = 0
        else:
            holds = updates or bool((is_held & ~accepted).any())
            self._calm = 0 if holds else self._calm + 1
            resolves = self._calm >= motor.calm_rows
        self._is_open = is_open = (self._is_open and not resolves) or fires
        self._paged = self._paged + 1 if is_open and not (fires or updates) else 0
        if fires or not is_open:
            self._members = np.zeros_like(self._members)
        if is_open and self._paged <= motor.joining_rows:
            self._members = self._members | (effective >= self._escalated)
        if fires or updates:
            self._members[lead] = True
        if resolves:
            self._calm, self._refractory = 0, motor.refractory_rows
        if is_open or resolves:
            used_to = is_raised & motor.is_channel
            used_to = used_to if resolves else used_to & self._members
            self._habituation = np.where(
                used_to, np.maximum(self._habituation, size), self._habituation
            )
        self._evidence = out.evidence[row] = evidence
        out.firing[row], out.raised[row] = is_open, self._raised[lead]
        brings = out.brings
        brings.fires[row], brings.resolves[row], brings.updates[row] = fires, resolves, updates
        brings.lead[row] = lead

    def _rest(self, rows: Any, x: Any, steps: Any, decays: Any, out: _Rows) -> None:
        """Decide rows on which no group is raised and no episode is open.

        NumPy accumulates in the order of the rows, so that every row has the bits of its own step.
        """
        motor, like = self._motor, np.zeros_like(x)
        lowered = np.add.accumulate(np.concatenate([self._lowered[None], steps[:, None] + like]))
        raised = self._raised * (lowered[1:] < _F(motor.return_intervals))
        kept = decays[:, None] + like
        kept[0] = np.minimum(self._habituation * decays[0], _F(motor.habituation_most))
        habituation = np.multiply.accumulate(kept)
        effective = np.where(motor.accepted({"raised": raised}), _F(NEVER), x - habituation)
        out.evidence[rows] = evidence = effective.max(axis=1)
        out.brings.lead[rows] = lead = effective.argmax(axis=1)
        out.raised[rows] = raised[np.arange(len(rows)), lead]
        self._evidence, self._raised = evidence[-1], raised[-1]
        self._lowered, self._habituation = lowered[-1], habituation[-1]
        self._refractory = max(self._refractory - len(rows), 0)
        self._calm = self._paged = 0
        self._members = np.zeros_like(self._members)
