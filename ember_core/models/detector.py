"""An RBM as a detector of its own: scaling, score, threshold; no state and no stream."""

from __future__ import annotations

from typing import Literal

from ember_core import ops
from ember_core.nn import Module
from ember_core.ops import Array

from .rbm import RBM

Score = Literal["free_energy", "reconstruction"]
_CLIP = 10.0
_UNFITTED = (
    "The detector has not seen rows to judge by yet. Expected a fitted one. Received: {}. Use "
    "ember_core.training.fit_detector, or ember_core.training.set_thresholds for one with weights."
)


class RBMDetector(Module):
    """Rows in, anomalies out; `ember_core.training.fit_detector` fits it.

    Rows are scaled, scored by the RBM, and held against thresholds that were met in training. Both
    scores have their unusual rows on the right: high is improbable.

    Args:
        rbm: The model of scaled rows.
        method: Score that decides: `"free_energy"` or `"reconstruction"` (its squared error).

    Attributes:
        centre: Buffer `(V,)`, taken off each column.
        scale: Buffer `(V,)`, what each column is divided by.
        thresholds: Buffer `(2,)`, of free energy and of reconstruction error: infinite until
            fitted.
        score_mean, score_std: Buffers `(2,)`, of the same scores over the training rows; zeros
            until fitted.
    """

    rbm: RBM
    method: Score
    centre: Array
    scale: Array
    thresholds: Array
    score_mean: Array
    score_std: Array

    def __init__(self, rbm: RBM, method: Score = "free_energy") -> None:
        _index(method)
        self.rbm = rbm
        self.method = method
        self.register_buffer("centre", ops.zeros((rbm.n_visible,)))
        self.register_buffer("scale", ops.ones((rbm.n_visible,)))
        self.register_buffer("thresholds", ops.full((2,), float("inf")))
        self.register_buffer("score_mean", ops.zeros((2,)))
        self.register_buffer("score_std", ops.zeros((2,)))

    def scaled(self, rows: Array) -> Array:
        """Rows `(B, V)` as the RBM sees them, `(B, V)`; Gaussian ones within 10 deviations."""
        rows = ops.to(rows, like=self.centre, dtype="float32")
        values = (rows - self.centre) / self.scale
        return ops.clip(values, -_CLIP, _CLIP) if self.rbm.visible == "gaussian" else values

    def score(self, rows: Array, method: Score | None = None) -> Array:
        """Improbability of each row of `rows` `(B, V)`, `(B,)`."""
        v = self.scaled(rows)
        if _index(method or self.method) == 0:
            return self.rbm.free_energy(v)
        return self.rbm.reconstruction_error(v)

    def forward(self, rows: Array) -> Array:
        """Flag the rows of `rows` `(B, V)` that are anomalies, `(B,)` of booleans.

        Raises:
            ValueError: If the detector is not fitted.
        """
        return self.predict(rows)

    def predict(self, rows: Array, method: Score | None = None) -> Array:
        """Flag the rows of `rows` `(B, V)` that are anomalies, `(B,)` of booleans.

        Raises:
            ValueError: If the detector is not fitted.
        """
        threshold = self._fitted(_index(method or self.method))
        return self.score(rows, method) > threshold

    def probability(self, rows: Array, method: Score | None = None) -> Array:
        """A figure in (0, 1) for each row, `(B,)`: sigmoid of the score in its deviations.

        One half at the training rows' mean score; an order, not a calibrated chance.

        Raises:
            ValueError: If the detector is not fitted.
        """
        i = _index(method or self.method)
        if float(self.score_std[i]) <= 0.0:
            raise ValueError(_UNFITTED.format("score_std=0"))
        return ops.sigmoid((self.score(rows, method) - self.score_mean[i]) / self.score_std[i])

    def reconstruct(self, rows: Array) -> Array:
        """Reconstruct `rows` `(B, V)` by the RBM, in their own units."""
        return self.rbm.reconstruct(self.scaled(rows)) * self.scale + self.centre

    def summary(self) -> str:
        """The RBM, and the thresholds, a few lines of text."""
        free, error = (float(x) for x in self.thresholds)
        return (
            f"{self.rbm.summary()}\ndecides by: {self.method}\n"
            f"thresholds: free energy {free:.4g}, reconstruction error {error:.4g}"
        )

    def _fitted(self, i: int) -> Array:
        if not bool(ops.isfinite(self.thresholds[i])):
            raise ValueError(_UNFITTED.format("threshold=inf"))
        return self.thresholds[i]


def _index(method: str) -> int:
    if method not in ("free_energy", "reconstruction"):
        raise ValueError(
            "There is no such score. Expected 'free_energy' or 'reconstruction'. "
            f"Received: method={method!r}."
        )
    return int(method == "reconstruction")
