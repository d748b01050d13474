"""Centre and scale of every channel of a key."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField

CLIP = 10.0  # in usual deviations; a clip of 5 cost SMD .07 VUS-PR
RANGE_FLOOR = 0.05  # of the range seen: near-constant channels do not explode
UNBOUNDED = 3e38


class Normaliser(Stage):
    """`z = clip((x - mean) / max(sigma, 0.05 * range), -10, 10)` per key and channel.

    Values enter as float64, are centred, and leave as float32. While a key learns (warm-up),
    mean, variance and range follow its own rows (Welford's update); after that they stand still.
    The variance that a key begins with counts as much as `prior_rows` rows of its own, its mean as
    much as `mean_rows`. It learns no value from outside what the fleet has shown: the first rows of
    a broken key are not its normal.

    Args:
        n_channels: Number of channels `C`.
        clip: Largest departure, in usual deviations.

    Attributes:
        prior_rows: Buffer `(C,)`; 0: a key begins with nothing.
        mean_rows: Buffer `(C,)`, likewise.
        least: Buffer `(C,)`: smallest value that is learnt.
        most: Buffer `(C,)`: largest.
    """

    prior_rows: Any
    mean_rows: Any
    least: Any
    most: Any

    def __init__(self, n_channels: int, clip: float = CLIP) -> None:
        super().__init__()
        self.n_channels, self.clip = n_channels, clip
        for name in ("prior_rows", "mean_rows"):
            self.register_buffer(name, ops.zeros((n_channels,)))
        self.register_buffer("least", ops.full((n_channels,), -UNBOUNDED))
        self.register_buffer("most", ops.full((n_channels,), UNBOUNDED))

    def state_fields(self) -> tuple[StateField, ...]:
        """Mean, variance, range and number of values of each channel."""
        c, role = (self.n_channels,), Role.LEARNED | Role.MEASURED
        return (
            StateField("norm_mean", "<f8", c, "mean of each channel, in its own unit", role),
            StateField("norm_var", "<f8", c, "variance of each channel, unit squared", role),
            StateField("norm_low", "<f8", c, "smallest value learnt, in its own unit", role),
            StateField("norm_high", "<f8", c, "largest value learnt, in its own unit", role),
            StateField("norm_count", "<i4", c, "values learnt of each channel", Role.MEASURED),
        )

    def learn(self, state: State, values: Any, learns: Any) -> State:
        """Update the moments by one row per key; a channel counts its own values only.

        Args:
            state: Fields of this stage.
            values: Shape `(B, C)`, float64; NaN where a channel is missing.
            learns: True where the key learns this row, shape `(B,)`.

        Returns:
            The five fields after the row.
        """
        learned = learns[:, None] & ops.isfinite(values)
        count = state["norm_count"] + ops.astype(learned, "int32")
        first = learned & (count == 1)
        least, most = (ops.astype(bound, "float64") for bound in (self.least, self.most))
        x = ops.where(learned, ops.clip(values, least, most), state["norm_mean"])
        rows = ops.astype(count, "float64") + ops.astype(self.mean_rows, "float64")
        w = ops.where(learned, 1.0 / ops.maximum(rows, 1.0), 0.0)
        delta = x - state["norm_mean"]
        mean = state["norm_mean"] + w * delta
        prior = ops.astype(self.prior_rows, "float64")
        total = ops.maximum(ops.astype(count, "float64") + prior, 1.0)
        share = ops.where(learned, 1.0 / total, 0.0)
        var = state["norm_var"] + share * (delta * (x - mean) - state["norm_var"])
        low = ops.where(first, x, ops.minimum(state["norm_low"], x))
        high = ops.where(first, x, ops.maximum(state["norm_high"], x))
        return {
            "norm_mean": mean,
            "norm_var": ops.where(first, (1.0 - share) * state["norm_var"], var),
            "norm_low": ops.where(learned, low, state["norm_low"]),
            "norm_high": ops.where(learned, high, state["norm_high"]),
            "norm_count": count,
        }

    def scale(self, state: State) -> Any:
        """Return the floored usual deviation `(B, C)` of each channel, in the channel's unit."""
        floor = RANGE_FLOOR * (state["norm_high"] - state["norm_low"])
        tiny = 1e-9 + 1e-3 * ops.abs(state["norm_mean"])  # for a channel that never moved
        sigma = ops.sqrt(ops.maximum(state["norm_var"], 0.0))
        usual = ops.maximum(sigma, floor)
        return ops.where(usual > 0, usual, tiny)

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Normalise rows `(R, C)`, float64; keys that warm up learn them first.

        Arguments as `Stage.forward` has them.
        """
        packed = observation.packed
        moments = {f.name: state[f.name] for f in self.state_fields()}
        if bool(ops.any(observation.warming)):
            per_row = packed.scan(self.learn, moments, x, observation.warming)
            moments = {name: packed.last(value) for name, value in per_row.items()}
        else:  # the very same arrays, so that a caller need not write them back
            per_row = {name: packed.expand(value) for name, value in moments.items()}
        observation.moments = per_row
        return moments, self.normalise(per_row, x)

    def normalise(self, state: State, values: Any) -> Any:
        """Return normalised rows.

        Args:
            state: Moments of each row's key, `(B, C)` each.
            values: Shape `(B, C)`, float64; NaN where missing.

        Returns:
            float32 of shape `(B, C)`, within +-`clip`; NaN where missing.
        """
        z = (values - state["norm_mean"]) / self.scale(state)
        return ops.astype(ops.clip(z, -self.clip, self.clip), "float32")

    def restore(self, state: State, z: Any) -> Any:
        """Return values `(B, C)`, float64, in the channel's own unit: the inverse of `normalise`.

        Args:
            state: Moments of each row's key, `(B, C)` each.
            z: Normalised rows, `(B, C)`.
        """
        return state["norm_mean"] + ops.astype(z, "float64") * self.scale(state)
