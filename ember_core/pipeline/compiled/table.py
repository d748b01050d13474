"""Compiled forms of stages, by the class of the stage that they replace.

Each takes the stage and the arguments of its `forward`, and returns what that returns: the same
bits, on NumPy's arrays. One test holds every entry of the table to its stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ember_core.pipeline.arrival import Arrival
from ember_core.pipeline.clock import Clock
from ember_core.pipeline.drift import Drift
from ember_core.pipeline.evidence import ChannelEvidence
from ember_core.pipeline.explain import Explainer
from ember_core.pipeline.gaps import GapFiller
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.liquid import LiquidNetwork
from ember_core.pipeline.motor import MotorNeuron
from ember_core.pipeline.normaliser import Normaliser
from ember_core.pipeline.observation import Decision, Observation
from ember_core.pipeline.rbm_score import RBMScore
from ember_core.pipeline.scaler import FeatureScaler
from ember_core.pipeline.stage import Stage, State
from ember_core.pipeline.visible_units import VisibleUnits
from ember_core.pipeline.windows import ExponentialWindows, RowWindows

from .arrival import arrival
from .channel_evidence import channel_evidence
from .clock import clock
from .decide import decide_rows
from .decide_groups import decide_group_rows
from .drift import drift
from .explain import attribute
from .gaps import gaps
from .held import hold
from .liquid import liquid
from .normaliser import normalise
from .rbm import rbm_score
from .row_windows import row_windows
from .scaler import feature_scaler
from .visible_units import visible_units
from .windows import exponential_windows

CompiledStage = Callable[[Any, State, Any, Observation], tuple[State, Any]]
"""Function of a stage, its state, its input and the observation, as `Stage.forward`."""

STAGES: Final[Mapping[type[Stage], CompiledStage]] = {
    Arrival: arrival,
    ChannelEvidence: channel_evidence,
    Clock: clock,
    Drift: drift,
    ExponentialWindows: exponential_windows,
    FeatureScaler: feature_scaler,
    GapFiller: gaps,
    LiquidNetwork: liquid,
    Normaliser: normalise,
    RBMScore: rbm_score,
    RowWindows: row_windows,
    VisibleUnits: visible_units,
}

HOLDS: Final[Mapping[type[Stage], Callable[..., Any]]] = {LiquidNetwork: hold}
"""Compiled forms of `LiquidNetwork.held`, by the class of the network."""

EXPLANATIONS: Final[Mapping[type[Stage], Callable[..., Any]]] = {Explainer: attribute}
"""Compiled forms of `Explainer.attribute`, by the class of the explainer."""

CompiledDecision = Callable[..., Decision]
"""Function of tail, joint evidence and motor neuron, of their state, and of the score, the
`ChannelRows` and the observation of rows; without channel evidence, two of them are None."""

DECISIONS: Final[Mapping[type[Stage], CompiledDecision]] = {
    MotorNeuron: decide_rows,
    GroupMotor: decide_group_rows,
}
"""Compiled forms of `Pipeline.decide`, by the class of the motor neuron."""
