"""How rare the channels of a row are together, in the currency of the channels' evidence."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.recurrences import by_blocks, slow_sums
from ember_core.pipeline.stage import Role, Stage, State, StateField

from .curves import SeverityCurves

SCORES: Final = 2
"""Joint scores: the free energy, and the sum of the sizes of the features."""
USUAL: Final = ("joint_mid", "joint_size", "joint_extreme")
"""Fields with the usual values of a key."""
FAR: Final = 2.0
"""Deviations of a log score from its anchor that the anchor follows at most."""
SMALLEST_EXTREME: Final = 1e-3
LN2: Final = float(np.log(2.0))


class JointEvidence(Stage):
    """Severity of the joint scores of a row.

    The logarithm of each score, less its median, is followed by an anchor in bounded steps, and put
    over the key's own 99 % quantile. Curves turn it into a severity; the larger one counts.

    Args:
        floors: Constants taken off the scores before the logarithm.
        half_life: Half-life of the anchor, in usual intervals.
    """

    def __init__(
        self, floors: tuple[float, float] = (0.0, 0.0), half_life: float = 10_080.0
    ) -> None:
        super().__init__()
        self.floors, self.half_life = tuple(float(f) for f in floors), float(half_life)
        self.curves = SeverityCurves(SCORES)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {"floors": list(self.floors), "half_life": self.half_life}

    def state_fields(self) -> tuple[StateField, ...]:
        """Usual log scores of the key, and how far they have moved."""
        shape, learned = (SCORES,), Role.LEARNED | Role.DECIDED
        return (
            StateField("joint_mid", "<f4", shape, "median of each log score", learned),
            StateField("joint_size", "<f4", shape, "usual deviation of it", learned),
            StateField("joint_extreme", "<f4", shape, "99 % quantile of it, deviations", learned),
            StateField(
                "joint_anchor", "<f4", shape, "level of it now, in deviations", Role.DECIDED
            ),
        )

    def log_scores(self, scores: Any) -> Any:
        """Return the logs of the scores `(R, 2)` over their floors."""
        columns = [ops.maximum(scores[:, i] - floor, 1e-3) for i, floor in enumerate(self.floors)]
        return ops.exact_log(ops.stack(columns, axis=1))

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return the severity `(R,)` of the scores `(R, 2)` of rows.

        Arguments as `Stage.forward` has them.
        """
        packed = observation.packed
        start = {f.name: state[f.name] for f in self.state_fields()}
        per_row = by_blocks(packed, self.follow, start, self.log_scores(x), observation.elapsed)
        statistic = per_row.pop("statistic")
        severity = ops.max(self.curves(statistic), axis=1)
        return {name: packed.last(value) for name, value in per_row.items()}, severity

    def follow(self, packed: PackedRows, state: State, log_scores: Any, elapsed: Any) -> State:
        """Follow rows, and add their `statistic`: above 1 is past the 99 % quantile.

        Args:
            packed: Key of each row.
            state: Fields of this stage before the rows.
            log_scores: Logs of the scores, `(R, 2)`.
            elapsed: Usual intervals since the key's row before, `(R,)`.
        """
        usual = {name: packed.expand(state[name]) for name in USUAL}
        size = usual["joint_size"]
        is_known = size > 0
        distance = (log_scores - usual["joint_mid"]) / ops.where(is_known, size, 1.0)
        gain = 1.0 - ops.exact_exp(-LN2 / self.half_life * elapsed)[:, None]
        slow = {"joint_anchor": state["joint_anchor"]}
        sums = slow_sums(packed, _change, slow, {}, distance, is_known, gain)
        extreme = ops.maximum(usual["joint_extreme"], SMALLEST_EXTREME)
        excess = ops.maximum(sums.pop("distance"), 0.0)
        return {**sums, **usual, "statistic": ops.where(is_known, excess / extreme, 0.0)}


def _change(
    packed: PackedRows, before: State, others: State, distance: Any, is_known: Any, gain: Any
) -> tuple[State, State]:
    """Return what rows add to the anchor, by that before them."""
    distance = distance - before["joint_anchor"]
    step = gain * ops.clip(distance, -FAR, FAR)
    return {"joint_anchor": ops.where(is_known, step, 0.0)}, {"distance": distance}


def fit_joint(log_scores: Any) -> dict[str, Any]:
    """Return median and usual deviation of a key's log scores, `(2,)` each.

    Args:
        log_scores: Rows of the key, `(T, 2)`.
    """
    mid = np.median(log_scores, axis=0)
    size = 1.4826 * np.median(np.abs(log_scores - mid), axis=0) + 1e-6
    return {"joint_mid": mid, "joint_size": size}
