"""Stride-aware features: what a key looks like from several time perspectives.

Two forms of one interface. *Exponential windows in time* are the default: O(1) state, and right
for irregular and missing rows, because every weight follows from the time that has passed.
*Windows of rows* count rows instead, dilated or moved by hops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import Module

from .packing import PackedRows
from .stage import State, StateField


class ExponentialWindows(Module):
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
        """Arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "half_lives": list(self.half_lives),
            "levels": self.levels,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Moving average and variance per stride and channel."""
        shape = (len(self.half_lives), self.n_channels)
        return (
            StateField("ewma", "<f4", shape, "moving average, in usual deviations"),
            StateField("ewvar", "<f4", shape, "moving variance, in usual deviations squared"),
        )

    def channel_of_feature(self) -> list[int]:
        """Channel index of each feature column, length `D`."""
        blocks = self.n_features // self.n_channels
        return [c for _ in range(blocks) for c in range(self.n_channels)]

    def forward(
        self, state: State, z: Any, elapsed: Any, first: Any, packed: PackedRows | None = None
    ) -> tuple[State, Any]:
        """One row per key, or as many as the packed say.

        Args:
            state: This component's fields.
            z: Normalised rows, shape `(B, C)`, float32.
            elapsed: Time since the key's previous row, in usual intervals, shape `(B,)`, float32.
            first: True where the key has no previous row, shape `(B,)`.
            packed: Which key each row is of; without them, rows and fields of the state are one
                to one.

        Returns:
            The state after the rows, and the features, shape `(B, D)`, float32: `z`, the
            departures and the deviations of each stride, the level; blocks of `C` columns.
        """
        if packed is not None and not packed.once:
            return self._turns(state, z, elapsed, first, packed)
        new = ops.reshape(z, (-1, 1, self.n_channels))
        fresh = ops.reshape(first, (-1, 1, 1))
        ewma = ops.where(fresh, new, state["ewma"])
        keep = ops.exact_exp(elapsed[:, None] * self.rate[None, :])[:, :, None]
        departure = new - ewma
        gain = 1.0 - keep
        ewma = ewma + gain * departure
        var = keep * (state["ewvar"] + gain * departure * departure)
        blocks = [z, self._flat(keep * departure), self._flat(ops.sqrt(var))]
        if self.levels:
            blocks.append(ewma[:, -1])
        return {"ewma": ewma, "ewvar": var}, ops.concatenate(blocks, axis=1)

    def _turns(
        self, state: State, z: Any, elapsed: Any, first: Any, packed: PackedRows
    ) -> tuple[State, Any]:
        """`forward` of several rows a key: in packed run five operations, the rest at once."""
        k, c, strides = packed.keys, self.n_channels, len(self.half_lives)
        x = ops.tile(z, (1, strides))
        start = ops.where(first[:k, None], x[:k], self._flat(state["ewma"]))
        keep = ops.repeat(ops.exact_exp(elapsed[:, None] * self.rate[None, :]), c, 1)
        gain = 1.0 - keep
        ewma, departure = packed.ewma(start, x, gain)
        var = packed.decayed_sum(self._flat(state["ewvar"]), gain * departure * departure, keep)
        blocks = [z, keep * departure, ops.sqrt(var)]
        if self.levels:
            blocks.append(ewma[:, -c:])
        after = {
            name: ops.reshape(packed.last(value), (k, strides, c))
            for name, value in (("ewma", ewma), ("ewvar", var))
        }
        return after, ops.concatenate(blocks, axis=1)

    def _flat(self, x: Any) -> Any:
        return ops.reshape(x, (-1, len(self.half_lives) * self.n_channels))


class RowWindows(Module):
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
        """Arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "size": self.size,
            "strides": list(self.strides),
            "mode": self.mode,
            "levels": self.levels,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """The ring of the last rows, and in hop mode the moments held between hops."""
        s, c = len(self.strides), self.n_channels
        ring = StateField("ring", "<f4", (self.depth, c), "last rows, newest first")
        seen = StateField("ring_rows", "<i8", (), "rows absorbed by the ring")
        if self.mode == "dilated":
            return (ring, seen)
        return (
            ring,
            seen,
            StateField("held_mean", "<f4", (s, c), "window mean of the last hop"),
            StateField("held_std", "<f4", (s, c), "window deviation of the last hop"),
        )

    def channel_of_feature(self) -> list[int]:
        """Channel index of each feature column, length `D`."""
        blocks = 1 + len(self.kinds) * len(self.strides)
        return [c for _ in range(blocks) for c in range(self.n_channels)]

    def forward(
        self, state: State, z: Any, elapsed: Any, first: Any, packed: PackedRows | None = None
    ) -> tuple[State, Any]:
        """Rows of keys; arguments and returns as `ExponentialWindows.forward`.

        `elapsed` is accepted for the common interface and not used: these windows count rows.
        """
        del elapsed
        if packed is None or packed.once:
            return self._step(state, z, first)

        def step(before: State, z: Any, first: Any) -> State:
            after, features = self._step(before, z, first)
            return after | {"features": features}

        after = packed.scan(step, state, z, first)
        features = after.pop("features")
        return {name: packed.last(value) for name, value in after.items()}, features

    def _step(self, state: State, z: Any, first: Any) -> tuple[State, Any]:
        """One row per key."""
        fresh = ops.reshape(first, (-1, 1, 1))
        old = ops.where(fresh, z[:, None, :], state["ring"])  # a key's first row fills its ring
        ring = ops.concatenate([z[:, None, :], old[:, :-1, :]], axis=1)
        seen = ops.where(first, 0 * state["ring_rows"], state["ring_rows"])
        means, stds = [], []
        for s in self.strides:
            step = s if self.mode == "dilated" else 1
            window = ring[:, : (self.size - 1) * step + 1 : step, :]
            means.append(ops.mean(window, axis=1))
            stds.append(ops.std(window, axis=1))
        mean, std = ops.stack(means, axis=1), ops.stack(stds, axis=1)
        new: State = {"ring": ring, "ring_rows": seen + 1}
        if self.mode == "hop":
            due = ops.stack([seen % s == 0 for s in self.strides], axis=1)[:, :, None]
            mean = ops.where(due, mean, state["held_mean"])
            std = ops.where(due, std, state["held_std"])
            new |= {"held_mean": mean, "held_std": std}
        blocks = [z, self._flat(z[:, None, :] - mean), self._flat(std)]
        if self.levels:
            blocks.append(self._flat(mean))
        return new, ops.concatenate(blocks, axis=1)

    def _flat(self, x: Any) -> Any:
        return ops.reshape(x, (-1, len(self.strides) * self.n_channels))
