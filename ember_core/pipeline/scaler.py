"""A key's own scale for every feature: what makes shared weights as good as weights of its own."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Module

from .stage import State, StateField

CLIP = 10.0
FLOOR = 0.05  # smallest deviation of a feature, in usual deviations of its channel


class FeatureScaler(Module):
    """`f = clip((f - mean) / (max(std, 0.05) heavy), -10, 10)` with each key's own moments.

    `heavy` is how much farther than a Gaussian's the fleet's extremes of a feature lie, as the
    geometric mean of 1 and that: bursts that are usual for a channel would otherwise outweigh
    faults of the calm ones.

    Args:
        n_features: Number of feature columns `D`.

    Attributes:
        heavy: Buffer `(D,)`, at least 1.
        prior_rows: Buffer `(D,)`: as how many rows the moments count that a key begins with.
    """

    heavy: Any
    prior_rows: Any

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.register_buffer("heavy", ops.ones((n_features,)))
        self.register_buffer("prior_rows", ops.zeros((n_features,)))

    def state_fields(self) -> tuple[StateField, ...]:
        """Mean and variance of each feature."""
        d = (self.n_features,)
        return (
            StateField("feature_mean", "<f4", d, "mean of each feature"),
            StateField("feature_var", "<f4", d, "variance of each feature"),
        )

    def learn(self, state: State, features: Any, weight: Any) -> State:
        """Take one row per key into the moments.

        Args:
            state: This component's fields.
            features: Shape `(B, D)`, float32.
            weight: Shape `(B,)`, float32: share of the new row among its own; 0 learns nothing.

        Returns:
            The two fields after the row.
        """
        w = weight[:, None] / (1.0 + weight[:, None] * self.prior_rows)
        delta = features - state["feature_mean"]
        mean = state["feature_mean"] + w * delta
        spread = delta * (features - mean)
        var = ops.where(w >= 1.0, 0.0 * spread, state["feature_var"] * (1.0 - w) + w * spread)
        return {"feature_mean": mean, "feature_var": var}

    def forward(self, state: State, features: Any) -> Any:
        """Scaled features, shape `(B, D)`, float32, within +-10."""
        std = ops.maximum(ops.sqrt(ops.maximum(state["feature_var"], 0.0)), FLOOR) * self.heavy
        return ops.clip((features - state["feature_mean"]) / std, -CLIP, CLIP)
