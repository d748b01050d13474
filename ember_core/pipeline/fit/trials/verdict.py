"""Sides of a trial between two models, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.fleet import FleetModel


@dataclass(frozen=True)
class Contestant:
    """A model, and the rows that it is tried on.

    Attributes:
        model: The model, its threshold set for the budget in force.
        series: Rows of the keys, in the model's channels: the days that are judged, and about a
            day before them, from which the keys' memory begins.
    """

    model: FleetModel
    series: Sequence[Series]


@dataclass(frozen=True)
class Verdict:
    """Outcome of a trial.

    Attributes:
        accepted: True where the candidate may go in service.
        reasons: Findings against it, a sentence each; empty where it is accepted.
        figures: Measurements, by name.
    """

    accepted: bool
    reasons: list[str]
    figures: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as values of JSON."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "figures": {name: round(value, 4) for name, value in self.figures.items()},
        }
