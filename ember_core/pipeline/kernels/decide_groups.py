"""Group motor neuron over several rows a key.

While many keys have a row in a step they go together. Rows that few keys have left are decided key
by key, all those in one go between which no episode begins or ends and no group joins one: the
fields only decay and count there. All have the bits of `GroupMotor.forward` on one row at a time.
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
_FIRST_ROWS, _MOST_ROWS = 32, 512  # looked at in one go: each time without a change, twice as many


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
        left = _RowsLeft(motor, current, severities, observation, step)
        for key, key_rows in packed.left(step):
            one_key = _OneKey(motor, {name: value[key] for name, value in current.items()})
            one_key.run(key_rows, left, rows)
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


class _RowsLeft:
    """Columns of the rows that are decided key by key: all that no decision changes.

    Args:
        motor: The motor neuron.
        state: Its fields before these rows, `(K, ...)`.
        severities: Severities of the groups of all rows, `(R, G)`.
        observation: Columns of all rows.
        step: Their first step.

    Attributes:
        begin: The first of these rows.
        columns: By name, `(N, ...)`.
    """

    def __init__(
        self, motor: GroupMotor, state: State, severities: Any, observation: Observation, step: int
    ) -> None:
        packed = PackedRows(observation.packed.sizes[step:])
        self.begin = observation.packed.starts[step]
        rows = slice(self.begin, None)
        x, elapsed = severities[rows], observation.elapsed[rows]
        level = _F(motor.on - motor.off_below)
        is_raised = x >= level
        steps = np.minimum(elapsed, _F(motor.longest_step))[:, None] + np.zeros_like(x)
        lowered, raised = (state[name][: packed.key_count] for name in ("lowered", "raised"))
        lowered = packed.decayed_sum(lowered, steps, (~is_raised).astype(np.float32))
        returns = (lowered < _F(motor.return_intervals)).astype(np.float32)
        raised = packed.decayed_sum(raised, steps * is_raised, returns)
        accepted = motor.accepted({"raised": raised})
        self.columns = {
            "x": x,
            "is_raised": is_raised,
            "is_held": ((observation.hold[rows] >= level) & ~accepted).any(axis=1),
            "may_fire": observation.may_fire[rows],
            "decay": motor.decay(elapsed)[:, None],
            "most": np.where(is_raised, _F(np.inf), _F(motor.habituation_most)),
            "size": x - _F(motor.on) + _F(motor.margin),
            "lowered": lowered,
            "raised": raised,
            "accepted": accepted,
        }


class _OneKey:
    """Fields of a key, while its rows are decided.

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

    def run(self, rows: Any, left: _RowsLeft, out: _Rows) -> None:
        """Decide the rows of the key, in order.

        Args:
            rows: Indices of the rows.
            left: Their columns.
            out: Decisions, written to.
        """
        own = {name: value[rows - left.begin] for name, value in left.columns.items()}
        i, length = 0, _FIRST_ROWS
        while i < len(rows):
            end = min(i + length, len(rows))
            part = {name: value[i:end] for name, value in own.items()}
            i += self._pass(rows[i:end], part, out)
            length = min(2 * length, _MOST_ROWS) if i == end else _FIRST_ROWS
            if i < end:
                self._decide(rows[i], {name: value[i] for name, value in own.items()}, out)
                i += 1
        self._raised, self._lowered = own["raised"][-1], own["lowered"][-1]

    def _pass(self, rows: Any, own: State, out: _Rows) -> int:
        """Decide rows up to the first on which an episode or its groups change.

        Args:
            rows: Indices of the rows.
            own: Their columns.
            out: Decisions, written to.

        Returns:
            The number of rows decided.
        """
        decayed, habituation = self._habituations(own)
        effective = np.where(own["accepted"], _F(NEVER), own["x"] - decayed)
        evidence = effective.max(axis=1)
        passed = np.arange(len(rows))
        if self._is_open:
            calm, changes = self._open_changes(own, effective, passed)
        else:
            rested = passed >= self._refractory
            calm, changes = 0 * passed, rested & own["may_fire"] & (evidence >= self._threshold)
        changed_rows = np.flatnonzero(changes)
        count = int(changed_rows[0]) if changed_rows.size else len(rows)
        if not count:
            return 0
        rows, lead = rows[:count], effective[:count].argmax(axis=1)
        out.evidence[rows], out.firing[rows] = evidence[:count], self._is_open
        out.brings.lead[rows], out.raised[rows] = lead, own["raised"][passed[:count], lead]
        self._evidence, self._habituation = evidence[count - 1], habituation[count - 1]
        self._refractory = max(self._refractory - count, 0)
        self._calm = int(calm[count - 1])
        self._paged = self._paged + count if self._is_open else 0
        if not self._is_open:
            self._members = np.zeros_like(self._members)
        return count

    def _habituations(self, own: State) -> tuple[Any, Any]:
        """Return the habituation on rows, and that after them, as long as the groups stay so."""
        decay, most = own["decay"], own["most"]
        decayed = np.empty_like(own["x"])
        if not self._is_open and not own["is_raised"].any():
            # NumPy accumulates in the order of the rows, with the bits of each own step.
            decayed[...] = decay
            decayed[0] = np.minimum(self._habituation * decay[0], most[0])
            np.multiply.accumulate(decayed, out=decayed)
            return decayed, decayed
        used_to = own["is_raised"] & (self._motor.is_channel & self._members & self._is_open)
        least = np.where(used_to, own["size"], _F(-np.inf))
        after, habituation = np.empty_like(decayed), self._habituation
        for factor, top, low, value, result in zip(decay, most, least, decayed, after, strict=True):
            np.multiply(habituation, factor, value)
            np.minimum(value, top, out=value)
            habituation = np.maximum(value, low, out=result)
        return decayed, after

    def _open_changes(self, own: State, effective: Any, passed: Any) -> tuple[Any, Any]:
        """Return the calm rows of the open episode, and where a group joins or the episode ends."""
        motor = self._motor
        paged = self._paged + passed
        late = np.where(self._members, _F(NEVER), effective)
        is_late = late.max(axis=1) >= self._escalated
        updates = own["may_fire"] & (paged >= motor.joining_rows) & is_late
        joins = (paged + 1 <= motor.joining_rows) & is_late
        last_held = np.maximum.accumulate(np.where(own["is_held"], passed, -1 - self._calm))
        calm = passed - last_held
        return calm, updates | joins | (calm >= motor.calm_rows)

    def _decide(self, row: Any, own: State, out: _Rows) -> None:
        """Decide a row on which something may change."""
        motor, x, is_raised = self._motor, own["x"], own["is_raised"]
        self._habituation = np.minimum(self._habituation * own["decay"], own["most"])
        effective = np.where(own["accepted"], _F(NEVER), x - self._habituation)
        lead = int(effective.argmax())
        evidence, may_fire = effective[lead], bool(own["may_fire"])
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
            self._calm = 0 if updates or own["is_held"] else self._calm + 1
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
                used_to, np.maximum(self._habituation, own["size"]), self._habituation
            )
        self._evidence = out.evidence[row] = evidence
        out.firing[row], out.raised[row] = is_open, own["raised"][lead]
        brings = out.brings
        brings.fires[row], brings.resolves[row], brings.updates[row] = fires, resolves, updates
        brings.lead[row] = lead
