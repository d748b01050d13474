"""Centre and scale every channel by what is usual for that key."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Module

from .stage import State, StateField

CLIP = 10.0  # in usual deviations; a clip of 5 cost SMD .07 VUS-PR
RANGE_FLOOR = 0.05  # of the range seen: near-constant channels do not explode


class Normaliser(Module):
    """`z = clip((x - mean) / max(sigma, 0.05 * range), -10, 10)` per key and channel.

    Values enter as float64, are centred, and leave as float32. While a key learns (warm-up),
    mean, variance and range follow its own rows (Welford's update); after that they stand still.
    The variance that a key begins with counts as much as `prior_rows` rows of its own.

    Args:
        n_channels: Number of channels `C`.

    Attributes:
        prior_rows: Buffer `(C,)`; 0: a key begins with nothing.
    """

    prior_rows: Any

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.register_buffer("prior_rows", ops.zeros((n_channels,)))

    def state_fields(self) -> tuple[StateField, ...]:
        """Mean, variance and range of each channel, and of how many values."""
        c = (self.n_channels,)
        return (
            StateField("norm_mean", "<f8", c, "mean of each channel, in its own unit"),
            StateField("norm_var", "<f8", c, "variance of each channel, unit squared"),
            StateField("norm_low", "<f8", c, "smallest value learnt, in its own unit"),
            StateField("norm_high", "<f8", c, "largest value learnt, in its own unit"),
            StateField("norm_count", "<i4", c, "values learnt of each channel"),
        )

    def learn(self, state: State, values: Any, learns: Any) -> State:
        """Take one row per key into the moments; a channel counts its own values only.

        Args:
            state: This component's fields.
            values: Shape `(B, C)`, float64; NaN where a channel is missing.
            learns: True where the key learns this row, shape `(B,)`.

        Returns:
            The five fields after the row.
        """
        taken = learns[:, None] & ops.isfinite(values)
        count = state["norm_count"] + ops.astype(taken, "int32")
        first = taken & (count == 1)
        x = ops.where(taken, values, state["norm_mean"])
        w = ops.where(taken, 1.0 / ops.maximum(ops.astype(count, "float64"), 1.0), 0.0)
        delta = x - state["norm_mean"]
        mean = state["norm_mean"] + w * delta
        prior = ops.astype(self.prior_rows, "float64")
        seen = ops.maximum(ops.astype(count, "float64") + prior, 1.0)
        share = ops.where(taken, 1.0 / seen, 0.0)
        var = state["norm_var"] + share * (delta * (x - mean) - state["norm_var"])
        low = ops.where(first, x, ops.minimum(state["norm_low"], x))
        high = ops.where(first, x, ops.maximum(state["norm_high"], x))
        return {
            "norm_mean": mean,
            "norm_var": ops.where(first, (1.0 - share) * state["norm_var"], var),
            "norm_low": ops.where(taken, low, state["norm_low"]),
            "norm_high": ops.where(taken, high, state["norm_high"]),
            "norm_count": count,
        }

    def scale(self, state: State) -> Any:
        """Usual deviation of each channel, floored, shape `(B, C)`, in the channel's unit."""
        floor = RANGE_FLOOR * (state["norm_high"] - state["norm_low"])
        tiny = 1e-9 + 1e-3 * ops.abs(state["norm_mean"])  # for a channel that never moved
        sigma = ops.sqrt(ops.maximum(state["norm_var"], 0.0))
        usual = ops.maximum(sigma, floor)
        return ops.where(usual > 0, usual, tiny)

    def forward(self, state: State, values: Any) -> Any:
        """Normalised rows.

        Args:
            state: This component's fields.
            values: Shape `(B, C)`, float64; NaN where missing.

        Returns:
            float32 of shape `(B, C)`, within +-10; NaN where missing.
        """
        z = (values - state["norm_mean"]) / self.scale(state)
        return ops.astype(ops.clip(z, -CLIP, CLIP), "float32")

    def restore(self, state: State, z: Any) -> Any:
        """Back to the channel's own unit: the inverse of `forward`, shape `(B, C)`, float64."""
        return state["norm_mean"] + ops.astype(z, "float64") * self.scale(state)
