"""Visible units of the RBM: scaled features, and the clock where it is one of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Stage, State

CLOCK_SCALE = 3.0  # of the clock among many visible units: at 1 the RBM hardly learns it
CLIP = 10.0


class VisibleUnits(Stage):
    """Appends the clock to scaled features, and takes out their usual correlations.

    Args:
        n_features: Number of scaled features, `D`.
        n_clock: Clock columns that become visible units; 0 for none.
        whiten: Smallest eigenvalue that counts when correlations are taken out; 0 leaves them.

    Attributes:
        whitener: Buffer `(V, V)`, only with `whiten`: the symmetric (ZCA) whitening matrix, so
            that each unit stays nearest to the feature it came from.
    """

    whitener: Any

    def __init__(self, n_features: int, n_clock: int = 0, whiten: float = 0.0) -> None:
        super().__init__()
        self.n_features, self.n_clock, self.whiten = n_features, n_clock, whiten
        self._exact_whitener: Any = None
        if whiten:
            self.register_buffer("whitener", ops.eye(n_features + n_clock))

    def arrays_changed(self) -> None:
        """Drop the exact matrix; it is prepared again at the next use."""
        self._exact_whitener = None

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return visible units `(R, V)`, float32, for scaled features `(R, D)`.

        Arguments as `Stage.forward` has them.
        """
        observation.scaled, observation.visible = x, self.units(x, observation.clock)
        return {}, observation.visible

    def units(self, scaled: Any, clock: Any) -> Any:
        """Return visible units.

        Args:
            scaled: Scaled features, shape `(R, D)`.
            clock: Clock features, shape `(R, n_clock)`.

        Returns:
            Shape `(R, V)`, float32.
        """
        return self.decorrelate(self.correlated(scaled, clock))

    def correlated(self, scaled: Any, clock: Any) -> Any:
        """Return the visible units before whitening; arguments as `units` has them."""
        if not self.n_clock:
            return scaled
        return ops.concatenate([scaled, CLOCK_SCALE * clock], axis=1)

    def decorrelate(self, units: Any) -> Any:
        """Return `clip(units W, -10, 10)`, or the units `(R, V)` as they are without `whiten`."""
        if not self.whiten:
            return units
        return ops.clip(ops.exact_matmul(units, self.exact_whitener()), -CLIP, CLIP)

    def exact_whitener(self) -> ops.ExactWeight:
        """Return the whitening matrix as `ops.exact_matmul` takes it; only with `whiten`."""
        if self._exact_whitener is None:
            self._exact_whitener = ops.exact_weight(self.whitener)
        weight: ops.ExactWeight = self._exact_whitener
        return weight

    def fit_whitener(self, units: Any) -> None:
        """Fit the whitening matrix on training rows, shape `(R, V)`."""
        covariance = np.cov(ops.to_numpy(units).astype(np.float64), rowvar=False)
        values, vectors = np.linalg.eigh(covariance)
        whitener = (vectors / np.sqrt(values + self.whiten)) @ vectors.T
        whitener = ops.from_numpy(whitener.astype(np.float32), like=self.whitener)
        self.assign({"whitener": whitener})
