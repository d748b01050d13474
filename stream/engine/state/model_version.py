"""Model and thresholds that score the records of a partition, from an offset on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ember_core.pipeline import ADJUSTABLE, FleetModel

KEPT = 16
"""Epochs of models, and of control sets, that a meta row remembers, newest last."""


class ProfileVersion(msgspec.Struct, frozen=True):
    """Model of the keys that match a pattern, and the thresholds it was given."""

    pattern: str
    model: str
    thresholds: dict[str, float]


class ModelVersion(msgspec.Struct, frozen=True):
    """A model and the thresholds it was given.

    Two versions that compare equal give the same results from the same state.
    """

    model: str
    """SHA-256 of the bundle; empty where keys of no profile have no model."""
    thresholds: dict[str, float]
    """Settings that decide without training, by name."""
    profiles: tuple[ProfileVersion, ...] | msgspec.UnsetType = msgspec.UNSET
    """Models of the keys that match a pattern, the first one that does; only where there are
    profiles."""

    @property
    def models(self) -> set[str]:
        """SHA-256 of all bundles."""
        digests = {model for _, model in self._by_pattern}
        return digests if len(digests) == 1 else digests - {""}

    def same_models(self, other: ModelVersion) -> bool:
        """Return whether each key has the bundle that it has in another version."""
        return self._by_pattern == other._by_pattern

    @property
    def _by_pattern(self) -> list[tuple[str, str]]:
        profiles = () if self.profiles is msgspec.UNSET else self.profiles
        return [*((profile.pattern, profile.model) for profile in profiles), ("", self.model)]

    def model_for(self, profile: str) -> str:
        """Return the SHA-256 of the model of a profile; that of the other keys where it is new.

        Args:
            profile: Pattern of the keys; empty: those of no profile.
        """
        return dict(self._by_pattern).get(profile, self.model)

    def thresholds_of(self, model: str) -> dict[str, float]:
        """Return the thresholds of a model, by its SHA-256."""
        profiles = () if self.profiles is msgspec.UNSET else self.profiles
        if model == self.model or not profiles:
            return self.thresholds
        return next((p.thresholds for p in profiles if p.model == model), {})


class ModelEpoch(msgspec.Struct, frozen=True):
    """Version that scores from an input offset on."""

    offset: int
    version: ModelVersion = msgspec.field(name="judge")


class ControlEpoch(msgspec.Struct, frozen=True):
    """Digest of the documents that are in force from an input offset on; empty: of none."""

    offset: int
    digest: str


class FormerModel(msgspec.Struct, frozen=True):
    """Layout of the rows of another model: an earlier one, or that of a profile."""

    model: str
    fields: list[tuple[str, str, tuple[int, ...]]]
    channels: list[str]


def model_version_of(model: FleetModel) -> ModelVersion:
    """Return the version of a model, configured as it is."""
    return ModelVersion(model.sha256, _thresholds(model))


def version_of_profiles(
    default: FleetModel | None, profiles: Sequence[tuple[str, FleetModel]]
) -> ModelVersion:
    """Return the version of several models, configured as they are.

    Args:
        default: Model of the keys that no pattern matches, if there is one.
        profiles: Patterns and their models, in their order.
    """
    versions = tuple(
        ProfileVersion(pattern, model.sha256, _thresholds(model)) for pattern, model in profiles
    )
    if default is None:
        return ModelVersion("", {}, versions)
    return ModelVersion(default.sha256, _thresholds(default), versions)


def _thresholds(model: FleetModel) -> dict[str, float]:
    config = model.pipeline.config
    thresholds = {name: float(getattr(config, name)) for name in ADJUSTABLE}
    motor = model.pipeline.motor.get_config()
    return thresholds | {name: float(v) for name, v in motor.items()}
