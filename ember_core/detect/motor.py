"""Motor neuron: one `firing` and one `resolved` per episode.

Its synapse is the severity, its membrane a leaky integral of it:
`e' = e + (1 - exp(-1 / time_constant)) (severity - e)`. It fires when the evidence crosses the
on-threshold, resolves when it falls below the lower off-threshold (hysteresis), and does not fire
again within the refractory time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import Module
from ember_core.state import State, StateField


class MotorNeuron(Module):
    """Untrained motor neuron over the tail's severity.

    Args:
        on: Evidence at which it fires.
        off: Evidence below which it resolves; lower than `on`.
        time_constant_rows: Leak, in rows.
        refractory_rows: Rows after a resolve in which it does not fire.
    """

    def __init__(
        self,
        on: float = 4.0,
        off: float = 1.5,
        time_constant_rows: float = 3.0,
        refractory_rows: int = 10,
    ) -> None:
        super().__init__()
        if not off < on:
            raise ValueError(
                "The off-threshold must lie below the on-threshold. "
                f"Received: on={on}, off={off}."
            )
        self.on, self.off = float(on), float(off)
        self.time_constant_rows = float(time_constant_rows)
        self.refractory_rows = int(refractory_rows)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal component."""
        return {
            "on": self.on,
            "off": self.off,
            "time_constant_rows": self.time_constant_rows,
            "refractory_rows": self.refractory_rows,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Evidence, whether it fires, and the rest it still needs."""
        return (
            StateField("evidence", "<f4", (), "leaky integral of severity"),
            StateField("firing", "<u1", (), "1 while an episode is open"),
            StateField("refractory", "<i4", (), "rows until it may fire again"),
            StateField("feedback", "<f4", (), "added to the on-threshold by an operator's feedback"),
        )

    def forward(self, state: State, severity: Any, may_fire: Any) -> tuple[State, Any, Any]:
        """One scored row per key.

        Args:
            state: This component's fields.
            severity: Shape `(B,)`, float32.
            may_fire: False while the key warms up, shape `(B,)`.

        Returns:
            The state after the row, where it fires now, and where it resolves now, shape `(B,)`.
        """
        leak = float(1.0 - np.exp(-1.0 / self.time_constant_rows))
        evidence = state["evidence"] + leak * (severity - state["evidence"])
        open_now = state["firing"] > 0
        rested = state["refractory"] <= 0
        fires = ~open_now & rested & may_fire & (evidence >= self.on + state["feedback"])
        resolves = open_now & (evidence < self.off)
        firing = (open_now & ~resolves) | fires
        refractory = ops.where(
            resolves,
            0 * state["refractory"] + self.refractory_rows,
            ops.maximum(state["refractory"] - 1, 0),
        )
        return (
            {
                "evidence": evidence,
                "firing": ops.astype(firing, "uint8"),
                "refractory": ops.astype(refractory, "int32"),
                "feedback": state["feedback"],
            },
            fires,
            resolves,
        )
