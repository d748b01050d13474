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
from ember_core.pipeline.normaliser import Normaliser
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import Stage, State

from .arrival import arrival
from .channel_evidence import channel_evidence
from .drift import drift
from .gaps import gaps
from .normaliser import normalise

CompiledStage = Callable[[Any, State, Any, Observation], tuple[State, Any]]
"""Function of a stage, its state, its input and the observation, as `Stage.forward`."""

STAGES: Final[Mapping[type[Stage], CompiledStage]] = {
    Arrival: arrival,
    ChannelEvidence: channel_evidence,
    Drift: drift,
    GapFiller: gaps,
    Normaliser: normalise,
}
