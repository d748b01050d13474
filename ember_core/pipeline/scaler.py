"""Scale of every feature for one key, so that shared weights are as good as its own."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

CLIP = 10.0
SETTLING_ROWS = 64  # of an unknown key: the normaliser alone learns
FLOOR = 0.05  # smallest deviation of a feature, in usual deviations of its channel


class FeatureScaler(Stage):
    """`f = clip((f - mean) / (max(std, 0.05) heavy), -10, 10)` with each key's own moments.

    `heavy` is how much farther than a Gaussian's the fleet's extremes of a feature lie, as the
    geometric mean of 1 and that: bursts that are usual for a channel would otherwise outweigh
    faults of the calm ones.

    Args:
        n_features: Number of feature columns `D`.

    Attributes:
        heavy: Buffer `(D,)`, at least 1.
        prior_rows: Buffer `(D,)`: number of rows that a new key's first moments count as.
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
            StateField("feature_mean", "<f4", d, "mean of each feature", Role.LEARNED),
            StateField("feature_var", "<f4", d, "variance of each feature", Role.LEARNED),
        )

    def learn(self, state: State, features: Any, weight: Any) -> State:
        """Update the moments by one row per key.

        Args:
            state: Fields of this stage.
            features: Shape `(B, D)`, float32.
            weight: Weight of the new row among the key's own, `(B,)`, float32; 0 learns nothing.

        Returns:
            The two fields after the row.
        """
        learns = weight[:, None] > 0.0
        w = weight[:, None] / (1.0 + weight[:, None] * self.prior_rows)
        delta = features - state["feature_mean"]
        mean = state["feature_mean"] + w * delta
        spread = delta * (features - mean)
        var = ops.where(w >= 1.0, 0.0 * spread, state["feature_var"] * (1.0 - w) + w * spread)
        # Products with a weight of 0 change a -0, and are NaN where a number is too large.
        return {
            "feature_mean": ops.where(learns, mean, state["feature_mean"]),
            "feature_var": ops.where(learns, var, state["feature_var"]),
        }

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Scale features `(R, D)`; keys that warm up learn them first.

        Arguments as `Stage.forward` has them.
        """
        packed, observation.raw = observation.packed, x
        moments = {f.name: state[f.name] for f in self.state_fields()}
        learns = observation.warming & (observation.rows >= SETTLING_ROWS)
        if bool(ops.any(learns)):
            count = ops.astype(observation.rows, "float64") - (SETTLING_ROWS - 1.0)
            weight = ops.where(learns, 1.0 / ops.maximum(count, 1.0), 0.0)
            per_row = packed.scan(self.learn, moments, x, ops.astype(weight, "float32"))
            moments = {name: packed.last(value) for name, value in per_row.items()}
        else:
            per_row = {name: packed.expand(value) for name, value in moments.items()}
        return moments, self.scale(per_row, x)

    def scale(self, state: State, features: Any) -> Any:
        """Return scaled features within +-10, float32.

        Args:
            state: Moments of each row's key, `(B, D)` each.
            features: Shape `(B, D)`, float32.
        """
        std = ops.maximum(ops.sqrt(ops.maximum(state["feature_var"], 0.0)), FLOOR) * self.heavy
        return ops.clip((features - state["feature_mean"]) / std, -CLIP, CLIP)
