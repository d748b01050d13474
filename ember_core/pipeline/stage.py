"""Base of the components a row passes through, and the named fields they remember of a key.

Parameters belong to a model and are shared by a fleet; *state* belongs to one key. A stage names
the fields it needs (`state_fields`), takes their arrays in and hands new ones back. The application
lays all fields of a pipeline out as one row per key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Flag, auto
from math import prod
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import Module

from .observation import Observation

State = dict[str, Any]
"""Field name -> array of shape `(B, *field.shape)`, one row per key."""


class Role(Flag):
    """Roles of a field outside its stage; everything else about a field is the stage's own."""

    NONE = 0
    LEARNED = auto()
    """Set by training for every key, and kept in the bundle; other fields begin at zero."""
    MEASURED = auto()
    """Measured in the key's own units: kept under another model of the same channels."""
    POSITION = auto()
    """Place of the key in the log: kept under any other model."""
    DECIDED = auto()
    """Written back by the decision, after a scored row; other fields after every row."""


@dataclass(frozen=True, slots=True)
class StateField:
    """One named part of a key's state.

    Attributes:
        name: Unique within a pipeline; the identity of the field in migrations.
        dtype: NumPy type string, little-endian.
        shape: Shape for one key; `()` for a scalar.
        doc: Meaning of the field, with its unit.
        role: Treatment of the field by training, bundles and migrations.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    doc: str
    role: Role = Role.NONE

    @property
    def nbytes(self) -> int:
        """Bytes of this field in one row."""
        return np.dtype(self.dtype).itemsize * prod(self.shape)


class Stage(Module):
    """Component of a pipeline: weights are its own, the state of keys is an argument.

    A stage without state has no fields and returns an empty state.
    """

    def __init__(self) -> None:
        super().__init__()

    def state_fields(self) -> tuple[StateField, ...]:
        """Fields of one key that this stage reads and writes."""
        return ()

    def forward(self, state: State, x: Any, seen: Observation) -> tuple[State, Any]:
        """Process rows of keys, one per key or as many as `seen.packed` says.

        Args:
            state: Fields of the keys before their rows, `(K, ...)`; at least this stage's own.
            x: Output of the stage before, one row each, `(R, ...)`.
            seen: Columns of the rows from earlier stages; this stage adds its own.

        Returns:
            Fields of this stage after the rows, `(K, ...)`, and its output, `(R, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward. Write one.")


def names_with(role: Role, fields: Iterable[StateField]) -> tuple[str, ...]:
    """Return the names of the fields that have a role, in their order.

    Args:
        role: One role, or several of which any counts.
        fields: Fields to choose from.
    """
    return tuple(field.name for field in fields if field.role & role)


def zero_state(fields: Iterable[StateField], batch: int, like: Any = None) -> State:
    """Return a fresh state for `batch` keys: every field zero.

    Args:
        fields: The fields to make.
        batch: Number of keys, `B`.
        like: An array whose backend and device the state has; NumPy's without one.

    Returns:
        Field name -> zero array of shape `(B, *field.shape)`.
    """
    state = {f.name: np.zeros((batch, *f.shape), dtype=f.dtype) for f in fields}
    return state if like is None else {n: ops.from_numpy(v, like=like) for n, v in state.items()}
