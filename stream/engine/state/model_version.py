"""Who judges the records of a partition from which offset on: a model, under its thresholds."""

from __future__ import annotations

import msgspec

from ember_core.pipeline import ADJUSTABLE, FleetModel

KEPT = 16
"""Judges a meta row remembers, newest last."""


class ModelVersion(msgspec.Struct, frozen=True):
    """A model and the thresholds it was given.

    Two judges that compare equal give the same results from the same state.
    """

    model: str
    """SHA-256 of the bundle."""
    thresholds: dict[str, float]
    """What settings decide without training, by name."""


class ModelEpoch(msgspec.Struct, frozen=True):
    """From an input offset on, this judge."""

    offset: int
    judge: ModelVersion


class FormerModel(msgspec.Struct, frozen=True):
    """What rows of an earlier model are: some may still lie in the changelog."""

    model: str
    fields: list[tuple[str, str, tuple[int, ...]]]
    channels: list[str]


def model_version_of(model: FleetModel) -> ModelVersion:
    """The judge a model is, configured as it is."""
    config = model.pipeline.config
    thresholds = {name: float(getattr(config, name)) for name in ADJUSTABLE}
    motor = model.pipeline.motor.get_config()
    return ModelVersion(model.sha256, thresholds | {name: float(v) for name, v in motor.items()})
