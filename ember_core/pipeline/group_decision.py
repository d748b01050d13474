"""Decision on rows whose channels are judged one by one and together."""

from __future__ import annotations

from typing import Any, NamedTuple

from ember_core import ops

from .evidence import JointEvidence
from .group_motor import GroupMotor
from .kernels.table import KERNELS
from .observation import Decision, Observation
from .stage import State
from .tail import Tail


class ChannelRows(NamedTuple):
    """Columns of rows that a decision needs beside their score.

    Attributes:
        severity: Severity of each channel, `(R, C)`.
        hold: Severity of what still goes on in it, `(R, C)`.
        elapsed: Usual intervals since the key's row before, `(R,)`.
        size: Sum of the sizes of the row's features, `(R,)`, float32.
    """

    severity: Any
    hold: Any
    elapsed: Any
    size: Any


def decide_groups(
    tail: Tail,
    joint: JointEvidence,
    motor: GroupMotor,
    state: State,
    score: Any,
    rows: ChannelRows,
    observation: Observation,
) -> Decision:
    """Decide rows by their channels and by all of them together.

    Args:
        tail: Tail of the free energy: probability and anomalies.
        joint: Evidence of the channels together.
        motor: Motor neuron of the groups.
        state: Fields of these three before the rows, `(K, ...)`.
        score: Free energy, `(R,)`.
        rows: The channels' evidence.
        observation: Columns of the rows: key, `may_fire`, the weights `learning`, `confidence`
            and `shift`.

    Returns:
        The decision on every row; its state holds each key's fields after its last row.
    """
    packed = observation.packed
    observation.elapsed = rows.elapsed
    scores = ops.stack([ops.astype(score, "float32"), rows.size], axis=1)
    joint_state, joint_severity = joint.forward(state, scores, observation)
    severities = ops.concatenate([rows.severity, joint_severity[:, None]], axis=1)
    hold = ops.concatenate([rows.hold, joint_severity[:, None]], axis=1)
    if observation.confidence is not None:
        share = observation.confidence
        # Below 0: seen more than once a day.
        severities = ops.where(severities > 0, severities * share, severities)
        hold = ops.where(hold > 0, hold * share, hold)
    observation.hold, evident = hold, severities
    if observation.shift is not None:
        observation.hold, evident = hold + observation.shift, severities + observation.shift
    names = [field.name for field in motor.state_fields()]
    motor_state = {name: state[name] for name in names}
    decided = KERNELS["decide_groups"](motor, motor_state, evident, observation)
    # The tail stands still in an episode; it decides nothing of it.
    alarming = packed.previous(state["firing"] > 0, decided.firing)
    tail_state = {field.name: state[field.name] for field in tail.state_fields()}
    observation.alarming = alarming
    new, severity = KERNELS["tail"](tail, tail_state, score, observation)
    if observation.confidence is not None:
        severity = severity * observation.confidence[:, -1]
    brings = decided.brings
    return Decision(
        new | joint_state | decided.state,
        severity,
        decided.evidence,
        decided.firing,
        brings.fires,
        brings.resolves,
        updates=brings.updates,
        lead=brings.lead,
        severities=severities,
        raised=decided.raised,
        confidence=_of_lead(observation.confidence, brings.lead),
    )


def _of_lead(confidence: Any, lead: Any) -> Any:
    """Return the confidence of each row's leading group, `(R,)`; None where all count in full."""
    if confidence is None:
        return None
    rows, groups = ops.shape(confidence)
    place = ops.arange(rows, dtype="int64", like=lead) * groups + lead
    return ops.take(ops.reshape(confidence, (-1,)), place)
