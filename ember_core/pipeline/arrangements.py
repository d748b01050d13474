"""Arrangements of stages: the order in which a row meets them.

A pipeline is a list of stages, and an arrangement makes that list. State and bundle come from the
stages themselves. The pipeline and its training still name the stages that they prepare or fit, so
a stage of another name needs a change there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .arrival import Arrival, Start
from .clock import Clock
from .config import PipelineConfig
from .drift import Drift
from .evidence import ChannelEvidence, JointEvidence
from .gaps import GapFiller
from .group_motor import GroupMotor
from .liquid import LiquidNetwork
from .motor import MotorNeuron
from .normaliser import Normaliser
from .rbm_score import RBMScore
from .scaler import FeatureScaler
from .stage import Stage
from .standardiser import Standardiser
from .tail import Tail
from .visible_units import VisibleUnits
from .windows import ExponentialWindows, RowWindows

ROW_ORDER: Final = (
    "arrival",
    "gaps",
    "normaliser",
    "windows",
    "scaler",
    "liquid",
    "tail",
    "motor",
    "channels",
    "drift",
    "joint",
)
"""Stages with state, in the order of their fields in a row.

Rows in changelogs have this order, so it must not follow a change of the chain.
"""
UNBOUNDED: Final = 1e6
"""Usual deviations of a row whose drift is still to be taken off."""


def service_stages(config: PipelineConfig) -> dict[str, Stage]:
    """Return the service's chain: the RBM scores the features and the liquid network's residuals.

    Args:
        config: Shape of the pipeline.

    Returns:
        Stages by name, in the order a row meets them.
    """
    c = len(config.channels)
    windows: ExponentialWindows | RowWindows
    if config.windows == "exponential":
        windows = ExponentialWindows(c, config.half_lives, levels=config.levels)
    else:
        windows = RowWindows(
            c, config.window_size, config.strides, mode=config.windows, levels=config.levels
        )
    clock = Clock(config.periods_seconds, config.harmonics)
    liquid = LiquidNetwork(
        c,
        clock.n_features,
        config.hidden,
        config.horizons,
        residuals=config.residuals,
        tau_max=config.tau_max,
        seed=config.seed,
    )
    n_features = windows.n_features + c * len(config.residuals)
    n_clock = clock.n_features if config.clock_visible else 0
    first: dict[str, Stage] = {"arrival": Arrival(), "normaliser": Normaliser(c)}
    last: dict[str, Stage] = {"tail": Tail(), "motor": MotorNeuron()}
    if config.evidence == "channels+joint":
        # The channels' usual values go off first, and then the drift.
        first = {
            "arrival": Arrival(c + 1),
            "channels": ChannelEvidence(c),
            "normaliser": Normaliser(c, UNBOUNDED),
            "drift": Drift(c),
        }
        last = {"tail": Tail(), "joint": JointEvidence(), "motor": GroupMotor(c + 1)}
    return {
        **first,
        "gaps": GapFiller(c),
        "windows": windows,
        "clock": clock,
        "liquid": liquid,
        "scaler": FeatureScaler(n_features),
        "visible": VisibleUnits(n_features, n_clock, config.whiten),
        "rbm_score": RBMScore(),
        **last,
    }


def cascade_stages(n_channels: int, half_lives: Sequence[float]) -> dict[str, Stage]:
    """Return the older pipeline's chain up to the RBM: scales are shared, rows need no warm-up.

    Its hidden units, liquid network and motor neuron follow on whole sequences, through which the
    network is trained.

    Args:
        n_channels: Numbers in a row, `C`.
        half_lives: Half-life of each exponential window; none for the rows as they are.

    Returns:
        Stages by name, in the order a row meets them; the last gives the RBM's visible units.
    """
    stages: dict[str, Stage] = {
        "start": Start(),
        "channels": Standardiser(n_channels),
        "gaps": GapFiller(n_channels),
    }
    n_features = n_channels
    if half_lives:
        windows = ExponentialWindows(n_channels, tuple(half_lives))
        stages["windows"], n_features = windows, windows.n_features
    return stages | {"features": Standardiser(n_features)}
