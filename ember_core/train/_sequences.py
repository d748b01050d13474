"""How models over sequences learn: forecasters and autoencoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.models import LiquidAutoencoder, LiquidForecaster
from ember_core.ops import Array

from ._callbacks import Callback
from ._history import History
from ._loop import fit
from ._optimizers import Adam, Optimizer
from ._strategy import Strategy

SequenceModel = LiquidForecaster | LiquidAutoencoder
LEAST_SPREAD = 0.1  # of the logarithm of an error, so that near-constant errors do not explode


def fit_sequences(
    model: SequenceModel,
    x: Array,
    *,
    elapsed: Array | float = 1.0,
    mask: Array | None = None,
    target: Array | None = None,
    epochs: int = 20,
    batch_size: int = 32,
    optimizer: Optimizer | None = None,
    max_gradient_norm: float = 1.0,
    validation_share: float = 0.0,
    generator: Any,
    callbacks: Sequence[Callback] = (),
    strategy: Strategy | None = None,
) -> History:
    """Train a forecaster or an autoencoder in place, and calibrate its scores.

    The loss is the mean squared error over the steps that are there. Afterwards the scores are
    calibrated on the errors of the same sequences.

    Args:
        model: The model; training goes on from its weights.
        x: Sequences, `(B, T, F)`.
        elapsed: Time since the step before, a number or `(B, T)`.
        mask: `(B, T)`, true where a step is there; all without one.
        target: Rows to forecast or to say again, `(B, T, O)`; `x` where not given.
        epochs: Times the sequences are gone through.
        batch_size: Sequences of a batch.
        optimizer: How parameters move; `Adam(1e-2)` without one.
        max_gradient_norm: Longest gradient: through many steps some become very long.
        validation_share: Share of the sequences, the last ones, kept for `validation_loss`.
        generator: Of the order, from `ops.generator(seed)`.
        callbacks: Such as `EarlyStop()`.
        strategy: Of processes; one without it.

    Returns:
        The loss of each epoch.

    Raises:
        ValueError: If the sequences do not fit the model or are not finite.
    """
    rows = ops.shape(x)[0]
    whole = ops.zeros_like(x[:, :, 0]) + 1.0
    times = whole * elapsed
    there = whole if mask is None else ops.astype(mask, ops.dtype(whole))
    arrays = (x, times, there, x if target is None else target)
    kept = int(rows * validation_share)
    history = fit(
        model,
        tuple(array[: rows - kept] for array in arrays),
        loss=_masked_error,
        optimizer=Adam(1e-2) if optimizer is None else optimizer,
        epochs=epochs,
        batch_size=batch_size,
        max_gradient_norm=max_gradient_norm,
        validation=tuple(array[rows - kept :] for array in arrays) if kept else None,
        generator=generator,
        callbacks=callbacks,
        strategy=strategy,
    )
    calibrate_sequences(model, *arrays)
    return history


def calibrate_sequences(
    model: SequenceModel, x: Array, elapsed: Array, mask: Array, target: Array
) -> None:
    """Measure which error is usual after how much time, on sequences as `fit_sequences` has them.

    Least squares of the logarithm of the error on `log(1 + elapsed)`; without irregular times
    the growth is 0.
    """
    reading, _ = model(x, None, elapsed, mask, target)
    error, time = ops.to_numpy(reading.error), ops.to_numpy(elapsed)
    known = (ops.to_numpy(mask) != 0) & (error > 0.0)
    y = np.log(error[known].astype(np.float64))
    t = np.log1p(time[known].astype(np.float64))
    if not y.size:
        raise ValueError(
            "There is no error to calibrate scores by. Expected sequences of two or more steps. "
            f"Received: shape={ops.shape(x)}."
        )
    moved = t - t.mean()
    size = float(moved @ moved)
    growth = float(moved @ y) / size if size > 1e-9 * max(t.size, 1) else 0.0
    level = float(y.mean() - growth * t.mean())
    spread = max(float(np.std(y - level - growth * t)), LEAST_SPREAD)
    usual = np.asarray([level, growth, spread], np.float32)
    model.scale.assign({"usual": ops.from_numpy(usual, like=x)})


def _masked_error(model: Any, batch: Any) -> Array:
    x, elapsed, mask, target = batch
    reading, _ = model(x, None, elapsed, mask, target)
    return ops.sum(reading.error * mask) / ops.maximum(ops.sum(mask), 1.0)
