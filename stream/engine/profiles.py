"""Profiles: which model judges a key, by the first pattern that its name matches.

The profile of a key depends on nothing but its name, so that a replay decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from stream.engine.state.model_version import ModelVersion, model_version_of, version_of_profiles
from stream.key_patterns import KeyPatterns

NO_PROFILE = -1
"""Number in the place of a profile's, of keys that no model is for."""


class Profiles:
    """Models by the pattern of their keys.

    Examples:
        >>> profiles = Profiles([("db-*", object()), ("*", object())])
        >>> profiles.find([b"db-1", b"web-1"]).tolist()
        [0, 1]

    Args:
        named: Patterns of keys, see `KeyPatterns`, and their models, in the order of the patterns.
        default: Model of the other keys; None: they are counted, and nothing else.

    Attributes:
        patterns: The patterns.
        models: The models: those of the patterns, then the default one where there is one.
    """

    def __init__(
        self, named: Sequence[tuple[str, FleetModel]], default: FleetModel | None = None
    ) -> None:
        self.patterns = tuple(pattern for pattern, _ in named)
        self.default = default
        models = [model for _, model in named]
        self.models = tuple(models if default is None else [*models, default])
        number = NO_PROFILE if default is None else len(models)
        self._keys = KeyPatterns(self.patterns, number)

    def find(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of each key's model among `models`, or `NO_PROFILE`."""
        return self._keys.find(keys)

    def model_of(self, key: bytes) -> FleetModel | None:
        """Return the model of a key; None where there is none."""
        (number,) = self.find([key]).tolist()
        return None if number == NO_PROFILE else self.models[number]

    def name(self, number: int) -> str:
        """Return the name of a profile: its pattern; that of the other keys is empty."""
        return self.patterns[number] if number < len(self.patterns) else ""

    def number(self, name: str) -> int:
        """Return the number of a profile, the inverse of `name`.

        Raises:
            ValueError: If no model is for it.
        """
        names = [self.name(number) for number in range(len(self.models))]
        if name in names:
            return names.index(name)
        raise ValueError(
            f"There is no model for such keys. Expected a profile of {list(self.patterns)}. "
            f"Received: profile={name!r}."
        )

    @property
    def version(self) -> ModelVersion:
        """The models, configured as they are."""
        profiles = list(zip(self.patterns, self.models, strict=False))
        return version_of_profiles(self.default, profiles)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names in the records that any of the models needs."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.sources))

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of all models."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.channels))

    @property
    def keys(self) -> list[bytes]:
        """Keys that the model of their profile knows."""
        return [key for model in self.models for key in model.keys if self.model_of(key) is model]

    def replaceable_by(self, other: Profiles) -> bool:
        """Return whether each key stays in its profile with these others."""
        same_default = (self.default is None) == (other.default is None)
        return self.patterns == other.patterns and same_default


def only_model(models: FleetModel | Profiles) -> FleetModel:
    """Return a model that is for all keys.

    Raises:
        ValueError: If there are several.
    """
    if isinstance(models, Profiles):
        raise ValueError(
            "Profiles begin with a start of the worker. Expected one model for all keys. Received: "
            f"models of {list(models.patterns)}. Restart the worker."
        )
    return models


def version_of(models: FleetModel | Profiles) -> ModelVersion:
    """Return the version of one model, or of those of all profiles."""
    return models.version if isinstance(models, Profiles) else model_version_of(models)


def same_profiles(models: FleetModel | Profiles, others: FleetModel | Profiles) -> bool:
    """Return whether each key stays in its profile where the others replace the models."""
    if isinstance(models, Profiles) and isinstance(others, Profiles):
        return models.replaceable_by(others)
    return not isinstance(models, Profiles) and not isinstance(others, Profiles)
