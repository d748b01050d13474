"""Score of rows as if some of their channels were usual."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .pipeline import Pipeline
from .rbm_score import freeze_rbm
from .visible_units import CLIP

_KEPT_MATRICES = 256


class LeftOut:
    """Takes channels out of the joint score, on NumPy's arrays.

    Their visible units become those that the rest of the row lets expect. Without whitening the
    hidden units reconstruct them, as in an explanation. With it they are the ones that make the
    whitened row smallest: the correlations of the channel are part of every whitened unit.

    Args:
        pipeline: The pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, rbm = pipeline, pipeline.rbm
        owner = np.asarray(pipeline.explainer.channel_of_visible)
        self._owner = np.where(owner >= 0, owner, len(pipeline.config.channels))
        self._frozen = freeze_rbm(rbm)
        weights = ops.to_numpy(rbm.weights.data).astype(np.float64)
        sigma = ops.to_numpy(rbm.sigma).astype(np.float64)[:, None]
        self._to_visible = ops.exact_weight(np.ascontiguousarray((weights * sigma).T))
        self._matrices: dict[bytes, Any] = {}

    def visible(self, visible: Any, scaled: Any, clock: Any, weight: Any) -> Any:
        """Return the visible units of rows whose channels count by a weight, `(N, V)`.

        Args:
            visible: Visible units as they are, `(N, V)`.
            scaled: Scaled features, `(N, D)`.
            clock: Clock features, `(N, n_clock)`.
            weight: Weight of each channel, `(N, C)`, float32; 0 leaves it out.
        """
        of_units = np.concatenate([weight, np.ones_like(weight[:, :1])], axis=1)[:, self._owner]
        stage = self._pipeline.visible
        if stage.whiten:
            units = np.clip(stage.correlated(scaled, clock) * of_units, -CLIP, CLIP)
            return self._whitened(units, weight)
        units = np.clip(visible * of_units, -CLIP, CLIP)
        drive = self._frozen.drive(units)
        expected = ops.exact_matmul(ops.exact_sigmoid(drive), self._to_visible)
        return np.where(of_units > 0, units, expected + self._frozen.visible_bias)

    def _whitened(self, units: Any, weight: Any) -> Any:
        """Return whitened units without the directions of the features that are left out."""
        out = np.empty_like(units)
        is_left_out = weight == 0
        patterns, pattern = np.unique(is_left_out, axis=0, return_inverse=True)
        for number, mask in enumerate(patterns):
            rows = np.flatnonzero(pattern.reshape(-1) == number)
            product = ops.exact_matmul(np.ascontiguousarray(units[rows]), self._matrix(mask))
            out[rows] = np.clip(product, -CLIP, CLIP)
        return out

    def _matrix(self, mask: Any) -> Any:
        """Return the whitener without the directions of the channels of a mask `(C,)`."""
        name = mask.tobytes()
        if name not in self._matrices:
            if len(self._matrices) >= _KEPT_MATRICES:
                self._matrices.clear()
            whitener = ops.to_numpy(self._pipeline.visible.whitener).astype(np.float64)
            features = np.append(mask, False)[self._owner]
            directions = whitener[features]
            remainder = whitener - (whitener @ np.linalg.pinv(directions)) @ directions
            remainder[features] = 0.0
            self._matrices[name] = ops.exact_weight(remainder.astype(np.float32))
        return self._matrices[name]
