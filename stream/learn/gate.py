"""Gate between a trained candidate and the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from ember_core.pipeline.fit import Incident, Verdict
from stream.configure import load_model
from stream.errors import UserError
from stream.history import RowRules
from stream.settings import Settings
from stream.trials import try_on


@dataclass(frozen=True)
class Candidate:
    """Trained model that may go into service.

    Attributes:
        folder: Folder of its bundle.
        dataset: The whole history.
        rules: Windows and channels by which that history becomes rows.
        settings: Settings of the service.
        in_service: Folder of the bundle in service; None: there is none.
        since_us: First time that it was trained without, in microseconds since the epoch; None: it
            was trained on all rows.
        incidents: Known incidents of the history.
    """

    folder: Path
    dataset: Dataset
    rules: RowRules
    settings: Settings
    in_service: Path | None = None
    since_us: int | None = None
    incidents: Sequence[Incident] = ()


Gate = Callable[[Candidate], Verdict]


def judge_candidate(candidate: Candidate) -> Verdict:
    """Judge a candidate by days that it was trained without, beside the model in service.

    A first model is only checked for its use. There is nothing to compare it with, and all of the
    history was needed to train it.
    """
    try:
        new = load_model(candidate.settings, candidate.folder)
    except UserError as error:
        return Verdict(accepted=False, reasons=[error.message], figures={})
    old = _in_service(candidate)
    if old is None:
        figures = {"channels": float(len(new.channels)), "keys": float(len(new.keys))}
        return Verdict(accepted=True, reasons=[], figures=figures)
    if not set(old.channels) & set(new.channels):
        reason = "No channel of the model in service is in the candidate."
        return Verdict(accepted=False, reasons=[reason], figures={})
    assert candidate.since_us is not None
    return try_on(
        new,
        old,
        candidate.dataset,
        candidate.rules.window,
        since_us=candidate.since_us,
        budget_per_week=candidate.settings.alerts.budget_per_week,
        incidents=candidate.incidents,
    )


def _in_service(candidate: Candidate) -> FleetModel | None:
    """Return the model in service; None where there is none that can be used."""
    if candidate.in_service is None:
        return None
    try:
        return load_model(candidate.settings, candidate.in_service)
    except UserError:
        return None
