"""Gate between a trained candidate and the service: types, and the check that is always made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from stream.configure import load_model
from stream.errors import UserError
from stream.history import RowRules
from stream.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """Trained model that may go into service.

    Attributes:
        folder: Folder of its bundle.
        dataset: History; the rows that are not set apart for training are to judge it by.
        rules: Windows and channels by which that history becomes rows.
        settings: Settings of the service.
        in_service: Folder of the bundle in service; None: there is none.
        since_us: Time of the first row that it was trained without, in microseconds since the
            epoch; None: it was trained on all rows.
    """

    folder: Path
    dataset: Dataset
    rules: RowRules
    settings: Settings
    in_service: Path | None = None
    since_us: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Judgement of a candidate.

    Attributes:
        accepted: Whether it may go into service.
        reasons: Sentences that say why.
        figures: Figures that the judgement rests on, by name.
    """

    accepted: bool
    reasons: list[str] = field(default_factory=list)
    figures: Mapping[str, float] = field(default_factory=dict)


Gate = Callable[[Candidate], Verdict]


def usable_gate(candidate: Candidate) -> Verdict:
    """Accept a candidate that the workers can use, as `ember model deploy` does; nothing more.

    The bundle can be read, its thresholds can be reached with the settings, and it has a channel of
    the model in service. How well it detects is not judged.
    """
    try:
        new = load_model(candidate.settings, candidate.folder)
    except UserError as error:
        return Verdict(accepted=False, reasons=[error.message])
    figures = {"channels": float(len(new.channels)), "keys": float(len(new.keys))}
    old = _load(candidate)
    if old is not None and not set(old.channels) & set(new.channels):
        reason = "No channel of the model in service is in the candidate."
        return Verdict(accepted=False, reasons=[reason], figures=figures)
    return Verdict(accepted=True, figures=figures)


def _load(candidate: Candidate) -> FleetModel | None:
    """Return the model in service; None where there is none that can be used."""
    if candidate.in_service is None:
        return None
    try:
        return load_model(candidate.settings, candidate.in_service)
    except UserError:
        return None
