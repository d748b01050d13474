"""Anomaly detection for keyed telemetry as a library: features, liquid networks, RBM, decision.

The names every program needs stand here, each loaded at its first use: `import ember_core` is
cheap, and `from ember_core import ops` loads arrays and nothing else.

Examples:
    >>> from ember_core import PipelineConfig, ops
    >>> PipelineConfig(("cpu", "latency")).channels
    ('cpu', 'latency')
    >>> ops.relu(ops.asarray([-1.0, 2.0])).tolist()
    [0.0, 2.0]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data as data
    from . import evaluate as evaluate
    from . import models as models
    from . import nn as nn
    from . import ops as ops
    from . import pipeline as pipeline
    from . import plots as plots
    from . import training as training
    from .models import RBM as RBM
    from .models import RBMDetector as RBMDetector
    from .pipeline import FleetModel as FleetModel
    from .pipeline import Pipeline as Pipeline
    from .pipeline import PipelineConfig as PipelineConfig
    from .pipeline import score_series as score_series
    from .pipeline.fit import Series as Series
    from .pipeline.fit import fit_pipeline as fit_pipeline
    from .training import fit_detector as fit_detector
    from .training import fit_rbm as fit_rbm

__all__ = [
    "RBM",
    "FleetModel",
    "Pipeline",
    "PipelineConfig",
    "RBMDetector",
    "Series",
    "data",
    "evaluate",
    "fit_detector",
    "fit_pipeline",
    "fit_rbm",
    "models",
    "nn",
    "ops",
    "pipeline",
    "plots",
    "score_series",
    "training",
]

_PACKAGES = ("data", "evaluate", "models", "nn", "ops", "pipeline", "plots", "training")
# Name -> the package that defines it.
_HOMES = {
    "RBM": "models",
    "RBMDetector": "models",
    "FleetModel": "pipeline",
    "Pipeline": "pipeline",
    "PipelineConfig": "pipeline",
    "score_series": "pipeline",
    "Series": "pipeline.fit",
    "fit_pipeline": "pipeline.fit",
    "fit_detector": "training",
    "fit_rbm": "training",
}


if not TYPE_CHECKING:  # type checkers read the imports above, and see a misspelt name

    def __getattr__(name: str) -> Any:
        """Load a name of the front door at its first use (PEP 562)."""
        if name in _PACKAGES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next use finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
