"""A detector from rows: scaling, RBM, thresholds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ember_core import ops
from ember_core.models import RBM, RBMDetector

from ._batches import Batches, Rows
from ._rbm import fit_rbm

Scaling = Literal["standard", "minmax", "none"]


def fit_detector(
    data: Rows,
    *,
    hidden: int = 64,
    visible: Literal["gaussian", "binary"] = "gaussian",
    scaling: Scaling = "standard",
    percentile: float = 95.0,
    method: Literal["free_energy", "reconstruction"] = "free_energy",
    batch_size: int = 128,
    seed: int = 0,
    **options: Any,
) -> RBMDetector:
    """Fit an RBM on rows of normal life, and say from where on a row is unusual.

    Args:
        data: Rows as for `fit_rbm`; read twice more, for scales and thresholds.
        hidden: Hidden units N.
        visible: Kind of the visible units.
        scaling: `"standard"` (mean 0, deviation 1), `"minmax"` (0 to 1) or `"none"`.
        percentile: Percent of the training rows below the thresholds.
        method: Score that decides.
        batch_size: Most rows of a batch.
        seed: Seed of weights, order and draws.
        **options: Further arguments of `fit_rbm`.

    Raises:
        ValueError: If a setting is out of range, or `data` cannot be read again.

    Examples:
        >>> import numpy as np
        >>> from ember_core.training import fit_detector
        >>> rng = np.random.default_rng(1)
        >>> rows = rng.standard_normal((800, 1)) * [1.0, 20.0, -3.0] + [0.0, 500.0, 7.0]
        >>> rows += 0.1 * rng.standard_normal(rows.shape)
        >>> detector = fit_detector(rows, hidden=16, learning_rate=0.02, percentile=99, epochs=40)
        >>> detector.predict(np.array([[1.5, 530.0, 2.5], [1.5, 470.0, 2.5]])).tolist()
        [False, True]
    """
    if not 0.0 < percentile < 100.0 or scaling not in ("standard", "minmax", "none"):
        raise ValueError(
            "A detector cannot be fitted so. Expected 0 < percentile < 100 and scaling 'standard', "
            f"'minmax' or 'none'. Received: percentile={percentile}, scaling={scaling!r}."
        )
    reads = 2 + int(options.get("epochs", 20))
    source = Batches(data, batch_size=batch_size, epochs=reads, generator=None)
    centre, scale = _scales(source, scaling)
    generator = ops.generator(seed)
    rbm = RBM(len(centre), hidden, visible=visible, generator=generator)
    detector = RBMDetector(rbm, method)
    detector.assign({"centre": ops.from_numpy(centre), "scale": ops.from_numpy(scale)})
    scaled = _Scaled(detector, data, batch_size, reads, generator)
    fit_rbm(rbm, scaled.epoch, batch_size=batch_size, generator=generator, **options)
    set_thresholds(detector, source.epoch, percentile=percentile)
    return detector


def set_thresholds(
    detector: RBMDetector, data: Rows, *, percentile: float = 95.0, batch_size: int = 4096
) -> None:
    """Set the thresholds: the percentile of both scores over rows of normal life.

    Args:
        detector: Detector with weights; its thresholds and the moments of its scores are replaced.
        data: Rows `(B, V)`, read once.
        percentile: Percent of the rows below the thresholds.
        batch_size: Most rows scored at a time.

    Raises:
        ValueError: If there are no rows, or of another width.
    """
    rows = Batches(
        data, width=detector.rbm.n_visible, batch_size=batch_size, epochs=1, generator=None
    )
    parts: list[tuple[Any, Any]] = []
    for batch in rows.epoch():
        scores = (detector.score(batch, "free_energy"), detector.score(batch, "reconstruction"))
        parts.append((ops.to_numpy(scores[0]), ops.to_numpy(scores[1])))
    row_scores = np.stack([np.concatenate(x) for x in zip(*parts, strict=True)])
    for name, value in (
        ("thresholds", np.percentile(row_scores, percentile, axis=1)),
        ("score_mean", row_scores.mean(axis=1)),
        ("score_std", np.maximum(row_scores.std(axis=1), 1e-6)),
    ):
        like = getattr(detector, name)
        detector.assign({name: ops.from_numpy(value.astype(np.float32), like=like)})


class _Scaled:
    """The batches of each epoch, scaled."""

    def __init__(
        self, detector: RBMDetector, data: Rows, batch_size: int, reads: int, generator: Any
    ) -> None:
        self._detector = detector
        self._source = Batches(data, batch_size=batch_size, epochs=reads, generator=generator)

    def epoch(self) -> Any:
        """Batches `(B, V)` of the next epoch."""
        return (self._detector.scaled(rows) for rows in self._source.epoch())


def _scales(source: Batches, scaling: Scaling) -> tuple[Any, Any]:
    """Compute the shift and divisor of each column, float32, in one pass."""
    count, mean, spread = 0, np.zeros(1), np.zeros(1)
    low, high = np.full(1, np.inf), np.full(1, -np.inf)
    for rows in source.epoch():
        x = np.asarray(ops.to_numpy(ops.asarray(rows)), np.float64)
        # Chan et al.'s merging of moments: no cancellation, whatever the level.
        delta = x.mean(axis=0) - mean
        total = count + len(x)
        spread = spread + ((x - x.mean(axis=0)) ** 2).sum(axis=0)
        spread = spread + delta**2 * count * len(x) / total
        mean, count = mean + delta * len(x) / total, total
        low, high = np.minimum(low, x.min(axis=0)), np.maximum(high, x.max(axis=0))
    if not np.isfinite(spread).all():
        raise ValueError(
            "The training rows are not finite. Expected numbers without NaN and infinity. "
            f"Received: columns {np.flatnonzero(~np.isfinite(spread)).tolist()}. Impute them first."
        )
    if scaling == "standard":
        centre, scale = mean, np.sqrt(spread / count)
    elif scaling == "minmax":
        centre, scale = low, high - low
    else:
        centre, scale = np.zeros_like(mean), np.ones_like(mean)
    steady = scale <= 1e-12 * np.maximum(np.abs(centre), 1.0)  # a constant column stays at 0
    return centre.astype(np.float32), np.where(steady, 1.0, scale).astype(np.float32)
