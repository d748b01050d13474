"""Missing channels: carried forward for a while, then at their mean."""

from __future__ import annotations

from typing import Any

from ember_core import ops

from .observation import Observation
from .stage import Role, Stage, State, StateField


class GapFiller(Stage):
    """Replaces a missing channel by its last value, and after `max_gap` by its mean, 0.

    Args:
        n_channels: Number of channels `C`.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels

    def state_fields(self) -> tuple[StateField, ...]:
        """Last value of each channel, and its age."""
        c = (self.n_channels,)
        return (
            StateField(
                "carried",
                "<f4",
                c,
                "last value seen of each channel, usual deviations",
                Role.MEASURED,
            ),
            StateField(
                "age",
                "<f4",
                c,
                "how long a channel has been missing, usual intervals",
                Role.MEASURED,
            ),
        )

    def forward(self, state: State, x: Any, seen: Observation) -> tuple[State, Any]:
        """Fill the gaps of normalised rows `(R, C)`."""
        packed, missing = seen.packed, ~ops.isfinite(x)
        start = {"age": state["age"], "carried": state["carried"]}
        if not packed.once and not bool(ops.any(missing)):
            seen.z = x
            return {"age": 0.0 * start["age"], "carried": packed.last(x)}, x
        fields = packed.scan(_carry, start, x, missing, seen.elapsed)
        carried = packed.previous(start["carried"], fields["carried"])
        assert seen.config is not None
        carried = ops.where(fields["age"] <= seen.config.max_gap, carried, 0.0 * carried)
        seen.z = ops.where(missing, carried, x)
        return {name: packed.last(value) for name, value in fields.items()}, seen.z


def _carry(state: State, z: Any, missing: Any, elapsed: Any) -> State:
    """Update age and last value by one row per key."""
    age = ops.where(missing, state["age"] + elapsed[:, None], 0.0 * state["age"])
    return {"age": age, "carried": ops.where(missing, state["carried"], z)}
