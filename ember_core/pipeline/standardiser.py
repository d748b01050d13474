"""Scale of columns that all keys share."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from .observation import Observation
from .stage import Stage, State

CLIP = 10.0  # in usual deviations


class Standardiser(Stage):
    """`clip((x - mean) / deviation, -10, 10)` with moments of the training rows.

    Args:
        n_columns: Number of columns `W`.

    Attributes:
        mean: Buffer `(W,)`.
        deviation: Buffer `(W,)`.
    """

    mean: Any
    deviation: Any

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns
        self.register_buffer("mean", ops.zeros((n_columns,)))
        self.register_buffer("deviation", ops.ones((n_columns,)))

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return scaled rows `(R, W)`; a missing value stays missing."""
        return {}, ops.clip((x - self.mean) / self.deviation, -CLIP, CLIP)
