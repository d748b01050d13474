"""Compiled forms of stages, by the class of the stage that they replace.

Each takes the stage and the arguments of its `forward`, and returns what that returns: the same
bits, on NumPy's arrays. One test holds every entry of the table to its stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ember_core.pipeline.clock import Clock
from ember_core.pipeline.liquid import LiquidNetwork
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.rbm_score import RBMScore
from ember_core.pipeline.scaler import FeatureScaler
from ember_core.pipeline.stage import Stage, State
from ember_core.pipeline.visible_units import VisibleUnits
from ember_core.pipeline.windows import ExponentialWindows, RowWindows

from .clock import clock
from .held import hold
from .liquid import liquid
from .rbm import rbm_score
from .row_windows import row_windows
from .scaler import feature_scaler
from .visible_units import visible_units
from .windows import exponential_windows

CompiledStage = Callable[[Any, State, Any, Observation], tuple[State, Any]]
"""Function of a stage, its state, its input and the observation, as `Stage.forward`."""

STAGES: Final[Mapping[type[Stage], CompiledStage]] = {
    Clock: clock,
    ExponentialWindows: exponential_windows,
    FeatureScaler: feature_scaler,
    LiquidNetwork: liquid,
    RBMScore: rbm_score,
    RowWindows: row_windows,
    VisibleUnits: visible_units,
}

HOLDS: Final[Mapping[type[Stage], Callable[..., Any]]] = {LiquidNetwork: hold}
"""Compiled forms of `LiquidNetwork.held`, by the class of the network."""
