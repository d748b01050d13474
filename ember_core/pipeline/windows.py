"""Stride-aware features: a key seen from several time perspectives.

Two forms of one interface. *Exponential windows in time* are the default: O(1) state, and right
for irregular and missing rows, because every weight follows from the time that has passed.
*Windows of rows* count rows instead, dilated or moved by hops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField


class ExponentialWindows(Stage):
    """Per channel and half-life: departure from the moving average, its deviation, its level.

    With `a = 2^(-dt / half_life)`: `ewma' = ewma + (1 - a)(z - ewma)` and
    `var' = a (var + (1 - a)(z - ewma)^2)` (West 1979, exponential form).

    Args:
        n_channels: Number of channels `C`.
        half_lives: One per stride, in usual intervals of the key.
        levels: Also give the slowest moving average itself (three levels beside `z` only count
            the same departure thrice: ASD .39 against .41, SMD equal).

    Raises:
        ValueError: If a half-life is not above 0.
    """

    rate: Any

    def __init__(
        self,
        n_channels: int,
        half_lives: tuple[float, ...] = (1.5, 5.0, 15.0),
        *,
        levels: bool = True,
    ) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.half_lives = tuple(float(h) for h in half_lives)
        if not all(h > 0.0 for h in self.half_lives):
            raise ValueError(
                "Half-lives do not fit. Expected numbers above 0. "
                f"Received: half_lives={self.half_lives}."
            )
        rate = [-np.log(2.0) / h for h in self.half_lives]
        self.register_buffer("rate", ops.asarray(rate, "float32"))
        self.levels = levels
        self.n_features = n_channels * (1 + 2 * len(self.half_lives) + int(levels))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "half_lives": list(self.half_lives),
            "levels": self.levels,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Moving average and variance per stride and channel."""
        shape = (len(self.half_lives), self.n_channels)
        return (
            StateField("ewma", "<f4", shape, "moving average, in usual deviations", Role.MEASURED),
            StateField(
                "ewvar",
                "<f4",
                shape,
                "moving variance, in usual deviations squared",
                Role.LEARNED | Role.MEASURED,
            ),
        )

    def channel_of_feature(self) -> list[int]:
        """Return the channel index of each feature column, length `D`."""
        blocks = self.n_features // self.n_channels
        return [c for _ in range(blocks) for c in range(self.n_channels)]

    def primed(self, feature_mean: Any) -> State:
        """Return the fields that begin at their usual size for a known key, instead of zero.

        Args:
            feature_mean: Usual features of each key, shape `(K, D)` or wider.
        """
        c, strides = self.n_channels, len(self.half_lives)
        deviations = c * (1 + strides)  # their column: after `z` and the departures
        usual = feature_mean[:, deviations : deviations + c * strides]
        return {"ewvar": usual.reshape(-1, strides, c) ** 2}

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return features of normalised rows `(R, C)`, float32.

        Arguments as `Stage.forward` has them.

        Returns:
            The state after the rows, and the features, shape `(R, D)`, float32: `z`, the
            departures and the deviations of each stride, the level; blocks of `C` columns.
        """
        packed, c, strides = observation.packed, self.n_channels, len(self.half_lives)
        # The first row of each key comes first; a new key's averages begin at it.
        is_new = observation.first[: packed.key_count, None]
        z = ops.tile(x, (1, strides))
        start = ops.where(is_new, z[: packed.key_count], self._flat(state["ewma"]))
        keep = ops.exact_exp(observation.elapsed[:, None] * self.rate[None, :])
        keep = ops.repeat(keep, c, 1)
        gain = 1.0 - keep
        average, departure = packed.ewma(start, z, gain)
        squares = gain * departure * departure
        variance = packed.decayed_sum(self._flat(state["ewvar"]), squares, keep)
        blocks = [x, keep * departure, ops.sqrt(variance)]
        if self.levels:
            blocks.append(average[:, -c:])
        new = {
            name: ops.reshape(packed.last(value), (-1, strides, c))
            for name, value in (("ewma", average), ("ewvar", variance))
        }
        return new, ops.concatenate(blocks, axis=1)

    def _flat(self, x: Any) -> Any:
        return ops.reshape(x, (-1, len(self.half_lives) * self.n_channels))


class RowWindows(Stage):
    """Per channel and stride: departure from the window's mean, its deviation, its level.

    Args:
        n_channels: Number of channels `C`.
        size: Rows in a window, `W`.
        strides: One window per stride `s`: every `s`-th of the last rows (`dilated`), or the last
            `W` rows looked at every `s` rows and held in between (`hop`).
        mode: `"dilated"` or `"hop"`.
        levels: Also give the window's mean.
    """

    def __init__(
        self,
        n_channels: int,
        size: int = 10,
        strides: tuple[int, ...] = (1, 3, 5),
        *,
        mode: str = "dilated",
        levels: bool = True,
    ) -> None:
        super().__init__()
        if mode not in ("dilated", "hop"):
            raise ValueError(
                f"Unknown window mode. Expected 'dilated' or 'hop'. Received: mode={mode!r}."
            )
        if size < 2 or min(strides) < 1:
            raise ValueError(
                "A window needs at least two rows and strides of at least one. "
                f"Received: size={size}, strides={strides}."
            )
        self.n_channels, self.size, self.mode, self.levels = n_channels, size, mode, levels
        self.strides = tuple(int(s) for s in strides)
        self.kinds = ("departure", "deviation", *(("level",) if levels else ()))
        self.n_features = n_channels * (1 + len(self.kinds) * len(self.strides))
        self.depth = (size - 1) * (max(self.strides) if mode == "dilated" else 1) + 1

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "size": self.size,
            "strides": list(self.strides),
            "mode": self.mode,
            "levels": self.levels,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Ring of the last rows, and in hop mode the moments held between hops."""
        s, c = len(self.strides), self.n_channels
        role = Role.MEASURED
        ring = StateField("ring", "<f4", (self.depth, c), "last rows, newest first", role)
        count = StateField("ring_rows", "<i8", (), "rows absorbed by the ring", role)
        if self.mode == "dilated":
            return (ring, count)
        return (
            ring,
            count,
            StateField("held_mean", "<f4", (s, c), "window mean of the last hop", role),
            StateField("held_std", "<f4", (s, c), "window deviation of the last hop", role),
        )

    def channel_of_feature(self) -> list[int]:
        """Return the channel index of each feature column, length `D`."""
        blocks = 1 + len(self.kinds) * len(self.strides)
        return [c for _ in range(blocks) for c in range(self.n_channels)]

    def primed(self, feature_mean: Any) -> State:
        """Return no field: a ring fills with a key's own rows."""
        return {}

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return features `(R, D)` of normalised rows `(R, C)`; these windows count rows.

        Arguments as `Stage.forward` has them.
        """
        packed = observation.packed
        if packed.once:
            return self._step(state, x, observation.first)

        def advance(state: State, z: Any, first: Any) -> State:
            new, features = self._step(state, z, first)
            return new | {"features": features}

        fields = {f.name: state[f.name] for f in self.state_fields()}
        per_row = packed.scan(advance, fields, x, observation.first)
        features = per_row.pop("features")
        return {name: packed.last(value) for name, value in per_row.items()}, features

    def _step(self, state: State, z: Any, first: Any) -> tuple[State, Any]:
        """Process one row per key."""
        is_new = ops.reshape(first, (-1, 1, 1))
        old = ops.where(is_new, z[:, None, :], state["ring"])  # a key's first row fills its ring
        ring = ops.concatenate([z[:, None, :], old[:, :-1, :]], axis=1)
        count = ops.where(first, 0 * state["ring_rows"], state["ring_rows"])
        means, stds = [], []
        for s in self.strides:
            step = s if self.mode == "dilated" else 1
            window = ring[:, : (self.size - 1) * step + 1 : step, :]
            means.append(ops.mean(window, axis=1))
            stds.append(ops.std(window, axis=1))
        mean, std = ops.stack(means, axis=1), ops.stack(stds, axis=1)
        new: State = {"ring": ring, "ring_rows": count + 1}
        if self.mode == "hop":
            due = ops.stack([count % s == 0 for s in self.strides], axis=1)[:, :, None]
            mean = ops.where(due, mean, state["held_mean"])
            std = ops.where(due, std, state["held_std"])
            new |= {"held_mean": mean, "held_std": std}
        blocks = [z, self._flat(z[:, None, :] - mean), self._flat(std)]
        if self.levels:
            blocks.append(self._flat(mean))
        return new, ops.concatenate(blocks, axis=1)

    def _flat(self, x: Any) -> Any:
        return ops.reshape(x, (-1, len(self.strides) * self.n_channels))
