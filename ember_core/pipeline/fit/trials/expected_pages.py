"""Pages that a model's own threshold promises."""

from __future__ import annotations

from math import exp
from typing import Final

from ember_core.pipeline.fleet import FleetModel
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.motor import Calibration
from ember_core.pipeline.page_rates import PageRates

USUAL_BUDGET: Final = 1.0 / 30.0
"""Pages that an operator accepts per key and day, where no budget is given: one a month."""
_DAY: Final = 86_400.0


def expected_pages(model: FleetModel, on: float | None = None) -> float:
    """Return the pages per key and day to expect of a model, by what its training counted.

    Args:
        model: The model; one a month where its report says nothing.
        on: Threshold; the model's own without it.
    """
    report, motor = model.report, model.pipeline.motor
    on = motor.on if on is None else on
    if isinstance(motor, GroupMotor):
        if "pages" not in report:
            return USUAL_BUDGET
        return PageRates.from_json(report["pages"]).pages_at(on)
    if "calibration" not in report:
        return USUAL_BUDGET
    peaks = Calibration(**report["calibration"])
    share = exp(-max(on - peaks.half, 0.0) / peaks.slope)
    return 0.5 * peaks.rate * share * _DAY / max(peaks.interval_seconds, 1e-6)
