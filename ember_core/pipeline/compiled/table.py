"""Compiled forms of stages, by the class of the stage that they replace.

Each takes the stage and the arguments of its `forward`, and returns what that returns: the same
bits, on NumPy's arrays. One test holds every entry of the table to its stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ember_core.pipeline.arrival import Arrival
from ember_core.pipeline.drift import Drift
from ember_core.pipeline.evidence import ChannelEvidence
from ember_core.pipeline.gaps import GapFiller
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.normaliser import Normaliser
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.rbm_score import RBMScore
from ember_core.pipeline.stage import Stage, State

from .arrival import arrival
from .channel_evidence import channel_evidence
from .decide import decide_rows
from .decide_groups import decide_group_rows
from .drift import drift
from .gaps import gaps
from .normaliser import normalise
from .rbm import rbm_score

CompiledStage = Callable[[Any, State, Any, Observation], tuple[State, Any]]
"""Function of a stage, its state, its input and the observation, as `Stage.forward`."""

STAGES: Final[Mapping[type[Stage], CompiledStage]] = {
    Arrival: arrival,
    ChannelEvidence: channel_evidence,
    Drift: drift,
    GapFiller: gaps,
    Normaliser: normalise,
    RBMScore: rbm_score,
}

CompiledDecision = Callable[..., Decision]
"""Function of tail, joint evidence and motor neuron, of their state, and of the score, the
`ChannelRows` and the observation of rows; without channel evidence, two of them are None."""

DECISIONS: Final[Mapping[type[Stage], CompiledDecision]] = {
    MotorNeuron: decide_rows,
    GroupMotor: decide_group_rows,
}
"""Compiled forms of `Pipeline.decide`, by the class of the motor neuron."""
