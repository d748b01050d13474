"""The demo's bundle: trained on what the fleet sent before."""

from __future__ import annotations

from pathlib import Path

from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline

from .fleet import CHANNELS
from .scenario import Scenario

EPOCHS = 6
MAX_ROWS = 60_000
BUDGET_PER_WEEK = (
    0.25  # false triggers of a key; the history is short, healthy rows to come vary more
)
HORIZONS = (1, 6, 24)
EVIDENCE_ROWS = 3.0  # half of the faults are mild and last


def train(scenario: Scenario, folder: Path) -> Path:
    """Fit the whole pipeline on the scenario's history.

    Args:
        scenario: gives history and machines.
        folder: where the bundle goes.

    Returns:
        The bundle's folder.
    """
    series = [
        Series(name.encode(), scenario.history_us, scenario.history[:, k])
        for k, name in enumerate(scenario.fleet.names)
    ]
    config = PipelineConfig(
        channels=CHANNELS,
        horizons=HORIZONS,
        residuals=HORIZONS,
        whiten=0.02,
        periods_seconds=(2400.0,),
    )
    model = fit_pipeline(
        series,
        config,
        epochs=EPOCHS,
        max_rows=MAX_ROWS,
        budget_per_week=BUDGET_PER_WEEK,
        evidence_rows=EVIDENCE_ROWS,
        adapt=False,
    )
    model.name = "demo"
    model.save(folder)
    return folder
