"""What a component remembers of one stream key: named fields, their shape and meaning.

Parameters belong to a model and are shared by a fleet; *state* belongs to one key. A component
says which fields it needs (`state_fields`), takes their arrays in and hands new ones back. The
application lays all fields of a pipeline out as one row per key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ember_core import ops

State = dict[str, Any]
"""Field name -> array of shape `(B, *field.shape)`, one row per key."""


@dataclass(frozen=True, slots=True)
class StateField:
    """One named part of a key's state.

    Attributes:
        name: Unique within a pipeline; the identity of the field in migrations.
        dtype: NumPy type string, little-endian.
        shape: Shape for one key; `()` for a scalar.
        doc: What it holds, with its unit.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    doc: str

    @property
    def nbytes(self) -> int:
        """Bytes of this field in one row."""
        return np.dtype(self.dtype).itemsize * prod(self.shape)


def zero_state(fields: Iterable[StateField], batch: int, like: Any = None) -> State:
    """Fresh state for `batch` keys: every field zero.

    Args:
        fields: The fields to make.
        batch: Number of keys, `B`.
        like: An array whose backend and device the state has; NumPy's without one.

    Returns:
        Field name -> zero array of shape `(B, *field.shape)`.
    """
    state = {f.name: np.zeros((batch, *f.shape), dtype=f.dtype) for f in fields}
    return state if like is None else {n: ops.from_numpy(v, like=like) for n, v in state.items()}
