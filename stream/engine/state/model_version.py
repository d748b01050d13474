"""Model and thresholds that score the records of a partition, from an offset on."""

from __future__ import annotations

import msgspec

from ember_core.pipeline import ADJUSTABLE, FleetModel

KEPT = 16
"""Epochs of models, and of control sets, that a meta row remembers, newest last."""


class ModelVersion(msgspec.Struct, frozen=True):
    """A model and the thresholds it was given.

    Two versions that compare equal give the same results from the same state.
    """

    model: str
    """SHA-256 of the bundle."""
    thresholds: dict[str, float]
    """Settings that decide without training, by name."""


class ModelEpoch(msgspec.Struct, frozen=True):
    """Version that scores from an input offset on."""

    offset: int
    version: ModelVersion = msgspec.field(name="judge")


class ControlEpoch(msgspec.Struct, frozen=True):
    """Digest of the documents that are in force from an input offset on; empty: of none."""

    offset: int
    digest: str


class FormerModel(msgspec.Struct, frozen=True):
    """Layout of the rows of an earlier model: some may still lie in the changelog."""

    model: str
    fields: list[tuple[str, str, tuple[int, ...]]]
    channels: list[str]


def model_version_of(model: FleetModel) -> ModelVersion:
    """Return the version of a model, configured as it is."""
    config = model.pipeline.config
    thresholds = {name: float(getattr(config, name)) for name in ADJUSTABLE}
    motor = model.pipeline.motor.get_config()
    return ModelVersion(model.sha256, thresholds | {name: float(v) for name, v in motor.items()})
