"""Profiles: which model judges a key, by the first pattern that its name matches.

The profile of a key depends on nothing but its name, so that a replay decides the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from stream.engine.state.model_version import ModelVersion, version_of_profiles
from stream.keys import key_text

NO_PROFILE = -1
"""Number in the place of a profile's, of keys that no model is for."""
_REMEMBERED = 1 << 16
"""Keys whose profile is remembered: to find it costs about as much as a decoded field."""


class Profiles:
    """Models by the pattern of their keys.

    Examples:
        >>> profiles = Profiles([("db-*", object()), ("*", object())])
        >>> profiles.find([b"db-1", b"web-1"]).tolist()
        [0, 1]

    Args:
        named: Patterns and their models, in the order in which they are tried. A pattern is matched
            against the whole text of a key, letter by letter: `*`, `?`, `[abc]`.
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
        self._matches = [re.compile(translate(pattern)).match for pattern in self.patterns]
        self._other = NO_PROFILE if default is None else len(models)
        self._profile_of = lru_cache(_REMEMBERED)(self._first_match)

    def _first_match(self, key: bytes) -> int:
        text = key_text(key)
        for number, matches in enumerate(self._matches):
            if matches(text):
                return number
        return self._other

    def find(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of each key's model among `models`, or `NO_PROFILE`."""
        return np.fromiter(map(self._profile_of, keys), dtype=np.int64, count=len(keys))

    def model_of(self, key: bytes) -> FleetModel | None:
        """Return the model of a key; None where there is none."""
        number = self._profile_of(key)
        return None if number == NO_PROFILE else self.models[number]

    def name(self, number: int) -> str:
        """Return the name of a profile: its pattern, or `default`."""
        return self.patterns[number] if number < len(self.patterns) else "default"

    @property
    def version(self) -> ModelVersion:
        """The models, configured as they are."""
        named = list(zip(self.patterns, self.models, strict=False))
        return version_of_profiles(self.default, named)

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
