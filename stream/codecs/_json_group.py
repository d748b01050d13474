"""Records of one shape, and the messages they came in."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._json_layout import Layout
from ._key import Path


class Group(abc.ABC):
    """Records of one shape, one a message.

    Args:
        indices: Indices of their messages in the slice.

    Attributes:
        indices: Those indices, a range for neighbouring messages that were decoded at once.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices

    @property
    def is_whole(self) -> bool:
        """True for neighbouring messages, decoded at once."""
        return isinstance(self.indices, range)

    @abc.abstractmethod
    def matrix(self) -> NDArray[np.float64]:
        """Return the channels `(n, C)` in model order, NaN where missing or null."""

    @abc.abstractmethod
    def times(self) -> Sequence[Any] | NDArray[Any]:
        """Return the times `(n,)` as decoded; None where missing. An array has one kind."""

    @abc.abstractmethod
    def field(self, path: Path) -> Sequence[Any]:
        """Return the values `(n,)` at one of the key expression's paths; None where missing."""


class TypedGroup(Group):
    """Records that a typed decoder has read.

    Args:
        layout: Their shape.
        indices: Indices of their messages in the slice.
        records: The records.
    """

    def __init__(self, layout: Layout, indices: Sequence[int], records: list[Any]) -> None:
        super().__init__(indices)
        self.layout, self.records = layout, records

    def matrix(self) -> NDArray[np.float64]:
        return self.layout.matrix(self.records)

    def times(self) -> Sequence[Any]:
        return self.layout.times(self.records)

    def field(self, path: Path) -> Sequence[Any]:
        return [self.layout.resolve(record, path) for record in self.records]
