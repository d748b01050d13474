"""Slow following of level and size of every channel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core import ops

from .normaliser import CLIP
from .observation import Observation
from .packing import PackedRows
from .recurrences import by_blocks, reflected_sum, slow_sums
from .stage import Role, Stage, State, StateField

FAR: Final = 3.0
SMALLEST: Final = 0.05
"""Smallest usual size of a channel, in usual deviations."""
MANY: Final = 0.25
"""Share of the channels that is far off in an incident."""
_LN2 = float(np.log(2.0))


class Drift(Stage):
    """Takes the drift of its level off every channel, and divides by the growth of its size.

    Both follow with one half-life, in bounded steps, and the size never falls below that of
    training. While a quarter of the channels is far off, nothing is learnt, for one period at most.

    Args:
        n_channels: Number of channels `C`.
        half_life: Half-life of the following, in usual intervals; 7 days by default at a minute.
        longest_hold: Longest time for which it stands still, in usual intervals.
    """

    def __init__(
        self, n_channels: int, half_life: float = 10_080.0, longest_hold: float = 1_440.0
    ) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.half_life, self.longest_hold = float(half_life), float(longest_hold)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "half_life": self.half_life,
            "longest_hold": self.longest_hold,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Drift of each channel, its size now and in training, and how long it stood still."""
        c = (self.n_channels,)
        return (
            StateField("drift_usual", "<f4", c, "size in training, deviations", Role.LEARNED),
            StateField("drift_size", "<f4", c, "size now, in usual deviations", Role.LEARNED),
            StateField("drift_level", "<f4", c, "drift of the level, in usual deviations"),
            StateField("drift_held", "<f4", (), "usual intervals for which nothing was learnt"),
        )

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return rows `(R, C)`, float32, without drift, within +-10; NaN stays NaN.

        Arguments as `Stage.forward` has them.
        """
        packed = observation.packed
        start = {f.name: state[f.name] for f in self.state_fields()}
        per_row = by_blocks(packed, self._follow, start, x, observation.elapsed)
        out = per_row.pop("out")
        return {name: packed.last(value) for name, value in per_row.items()}, out

    def _follow(self, packed: PackedRows, state: State, z: Any, elapsed: Any) -> State:
        """Follow rows."""
        usual = packed.expand(state["drift_usual"])
        present = ops.isfinite(z)
        follows = usual > 0  # an unknown key still learns its scales
        floor = ops.where(follows, ops.maximum(usual, SMALLEST), float("inf"))
        gain = (1.0 - ops.exact_exp(-_LN2 / self.half_life * elapsed))[:, None]
        gain = ops.where(follows & present, gain, 0.0)
        slow = {name: state[name] for name in ("drift_level", "drift_size")}
        others = {"drift_held": state["drift_held"]}
        columns = (ops.where(present, z, 0.0), present, floor, gain, elapsed)
        sums = slow_sums(packed, self._change, slow, others, *columns)
        sums["out"] = ops.where(present, sums["out"], float("nan"))
        return sums | {"drift_usual": usual}

    def _change(
        self,
        packed: PackedRows,
        before: State,
        others: State,
        z: Any,
        present: Any,
        floor: Any,
        gain: Any,
        elapsed: Any,
    ) -> tuple[State, State]:
        """Return what rows add to level and size, by those before them."""
        level, size = before["drift_level"], before["drift_size"]
        distance = ops.where(present, z - level, 0.0)
        out = ops.clip(distance / ops.maximum(size / floor, 1.0), -CLIP, CLIP)
        is_incident = (
            ops.sum(ops.astype(ops.abs(out) > FAR, "float32"), axis=1) > MANY * self.n_channels
        )
        hold_time = reflected_sum(
            packed, others["drift_held"], ops.where(is_incident, elapsed, -2.0 * elapsed)
        )
        stands = is_incident & (hold_time <= self.longest_hold)
        gain = gain * ops.astype(~stands, "float32")[:, None]
        changes = {
            "drift_level": gain * ops.clip(distance, -FAR, FAR),
            "drift_size": gain * (ops.minimum(ops.abs(distance), CLIP) - size),
        }
        return changes, {"drift_held": hold_time, "out": out}
