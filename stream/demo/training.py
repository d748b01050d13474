"""Training of the demo's bundle on the fleet's history."""

from __future__ import annotations

from pathlib import Path

from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline

from .fleet import CHANNELS
from .scenario import Scenario

EPOCHS = 6
MAX_ROWS = 60_000
# False triggers of a key. The history is short, so that later healthy rows vary more.
BUDGET_PER_WEEK = 0.25
HORIZONS = (1, 6, 24)
EVIDENCE_ROWS = 3.0  # half of the faults are mild and long: evidence must add up over rows


def train(scenario: Scenario, folder: Path) -> Path:
    """Fit the whole pipeline on the scenario's history.

    Args:
        scenario: Scenario with history and machines.
        folder: Folder of the bundle.

    Returns:
        The folder.
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
