"""Training of models over sequences: forecasters and autoencoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.models import LiquidForecaster, ReadingModel
from ember_core.ops import Array

from ._history import History
from ._loop import fit
from ._optimizers import Adam, Optimizer
from ._run import Callback
from ._strategy import Strategy

LEAST_DEVIATION = 0.05  # of a column's error, as a share of the largest column's
LEAST_SPREAD = 0.1  # of the logarithm of an error, so that near-constant errors do not explode


def fit_sequences(
    model: ReadingModel,
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
        optimizer: Optimiser of the parameters; `Adam(1e-2)` without one.
        max_gradient_norm: Longest gradient: through many steps some become very long.
        validation_share: Share of the sequences, the last ones, kept for `validation_loss`.
        generator: Generator of the order, from `ops.generator(seed)`.
        callbacks: Such as `EarlyStop()`.
        strategy: Strategy over processes; one process without it.

    Returns:
        The loss of each epoch.

    Raises:
        ValueError: If the sequences do not fit the model or are not finite.
    """
    if len(ops.shape(x)) != 3:
        raise ValueError(
            "Sequences have three axes. Expected x of shape (B, T, F). "
            f"Received: shape={ops.shape(x)}. A single sequence (T, F) needs x[None]."
        )
    rows = ops.shape(x)[0]
    unit = ops.zeros_like(x[:, :, 0]) + 1.0
    times = unit * elapsed
    present = unit if mask is None else ops.astype(mask, ops.dtype(unit))
    arrays = (x, times, present, x if target is None else target)
    validation_rows = int(rows * validation_share)
    history = fit(
        model,
        tuple(array[: rows - validation_rows] for array in arrays),
        loss=_masked_error,
        optimizer=Adam(1e-2) if optimizer is None else optimizer,
        epochs=epochs,
        batch_size=batch_size,
        max_gradient_norm=max_gradient_norm,
        validation=tuple(array[rows - validation_rows :] for array in arrays)
        if validation_rows
        else None,
        generator=generator,
        callbacks=callbacks,
        strategy=strategy,
    )
    calibrate_sequences(model, *arrays)
    return history


def calibrate_sequences(
    model: ReadingModel, x: Array, elapsed: Array, mask: Array, target: Array
) -> None:
    """Measure which error is usual, of each column and after how much time.

    On sequences as `fit_sequences` has them: the root mean square of each column's errors; then
    least squares of the logarithm of a row's error on `log(1 + elapsed)`. Without irregular times
    the growth is 0.

    Args:
        model: The fitted model; it stores the measured scale.
        x: Sequences, `(B, T, F)`.
        elapsed: Time since the step before, `(B, T)`.
        mask: `(B, T)`, true where a step is there.
        target: Rows to forecast or to say again, `(B, T, O)`.

    Raises:
        ValueError: If there is nothing to compare, as in sequences of one step for a forecaster.
    """
    reading, _ = model(x, None, elapsed, mask, target)
    present = ops.to_numpy(mask) != 0
    predicted, true = ops.to_numpy(reading.output), ops.to_numpy(target)
    if isinstance(model, LiquidForecaster):  # the forecast of a row was made one row before
        missed, valid = true[:, 1:] - predicted[:, :-1], present[:, 1:] & present[:, :-1]
    else:
        missed, valid = true - predicted, present
    if not valid.any():
        raise ValueError(
            "There is no error to calibrate scores by. Expected sequences of two or more steps. "
            f"Received: shape={ops.shape(x)}."
        )
    deviation = np.sqrt(np.mean(missed[valid].astype(np.float64) ** 2, axis=0))
    deviation = np.maximum(deviation, LEAST_DEVIATION * max(float(deviation.max()), 1e-6))
    plain = {"deviation": deviation, "usual": np.asarray([0.0, 0.0, 1.0])}
    _set_scale(model, plain, x)
    reading, _ = model(x, None, elapsed, mask, target)
    error, time = ops.to_numpy(reading.score), ops.to_numpy(elapsed)
    valid = present & (ops.to_numpy(reading.error) > 0.0)
    y = error[valid].astype(np.float64)
    t = np.log1p(time[valid].astype(np.float64))
    centred = t - t.mean()
    size = float(centred @ centred)
    growth = float(centred @ y) / size if size > 1e-9 * max(t.size, 1) else 0.0
    level = float(y.mean() - growth * t.mean())
    spread = max(float(np.std(y - level - growth * t)), LEAST_SPREAD)
    _set_scale(model, {"usual": np.asarray([level, growth, spread])}, x)


def _set_scale(model: ReadingModel, arrays: dict[str, Any], like: Array) -> None:
    model.scale.assign(
        {name: ops.from_numpy(v.astype(np.float32), like=like) for name, v in arrays.items()}
    )


def _masked_error(model: Any, batch: Any) -> Array:
    x, elapsed, mask, target = batch
    reading, _ = model(x, None, elapsed, mask, target)
    return ops.sum(reading.error * mask) / ops.maximum(ops.sum(mask), 1.0)
