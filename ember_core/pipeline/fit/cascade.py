"""How a cascade learns: its scales and RBM, its liquid network, or all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ember_core import ops
from ember_core.models import LiquidForecaster
from ember_core.ops import Array
from ember_core.pipeline.cascade import CascadePipeline
from ember_core.training import (
    Adam,
    Callback,
    EarlyStop,
    History,
    calibrate_sequences,
    fit,
    fit_rbm,
    fit_sequences,
)

SETTLE = 32  # rows at the start of a series that nothing is calibrated on
FLOOR = 0.05  # smallest deviation, as a share of the range seen


class CascadeReport(NamedTuple):
    """What the training of a cascade has done.

    Attributes:
        rbm: Figures of the RBM's epochs.
        liquid: Figures of the liquid network's epochs.
        seconds: Time of each stage, by name.
    """

    rbm: History
    liquid: History
    seconds: dict[str, float]


def fit_cascade(
    pipeline: CascadePipeline,
    series: Any,
    *,
    elapsed: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    rbm_epochs: int = 10,
    liquid_epochs: int = 30,
    generator: Any,
    **liquid: Any,
) -> CascadeReport:
    """Train all of a cascade in place, one part after the other.

    Args:
        pipeline: The cascade.
        series: One series `(T, C)` (or a table, where there is an extractor), or a list of them.
        elapsed: Per series, the time since the row before, `(T,)`, in usual intervals; 1 without.
        labels: Per series 0 or 1 for each row, `(T,)`; where the target is `"labels"`.
        rbm_epochs: Epochs of the RBM.
        liquid_epochs: Most epochs of the liquid network.
        generator: Of order and draws, from `ops.generator(seed)`.
        liquid: Further arguments of `fit_cascade_liquid`.

    Returns:
        Figures of both trainings, and what each stage took.

    Raises:
        ValueError: If the series do not fit, or labels lack where they are the target.
    """
    if pipeline.extractor is not None and pipeline.extractor.blocks is None:
        pipeline.extractor.fit(series[0] if isinstance(series, (list, tuple)) else series)
    begun = time.perf_counter()
    rbm = fit_cascade_rbm(pipeline, series, elapsed=elapsed, epochs=rbm_epochs, generator=generator)
    between = time.perf_counter()
    history = fit_cascade_liquid(
        pipeline,
        series,
        elapsed=elapsed,
        labels=labels,
        epochs=liquid_epochs,
        generator=generator,
        **liquid,
    )
    seconds = {"rbm": between - begun, "liquid": time.perf_counter() - between}
    return CascadeReport(rbm, history, seconds)


def fit_cascade_rbm(
    pipeline: CascadePipeline,
    series: Any,
    *,
    elapsed: Sequence[Any] | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    generator: Any,
    **options: Any,
) -> History:
    """Fit the scales of a cascade, and train its RBM on the features of all rows.

    Args:
        pipeline: The cascade.
        series: As `fit_cascade` has them.
        elapsed: As `fit_cascade` has it.
        epochs: Times the rows are gone through.
        batch_size: Rows of a batch.
        generator: Of order and draws.
        options: Further arguments of `fit_rbm`.

    Returns:
        The errors of each epoch.
    """
    rows = _rows(pipeline, series)
    values = np.concatenate([ops.to_numpy(x) for x in rows]).astype(np.float64)
    _set_scale(pipeline, "", values)
    pipeline.assign(
        {
            "feature_mean": ops.zeros_like(pipeline.feature_mean),
            "feature_deviation": ops.ones_like(pipeline.feature_deviation),
        }
    )
    features = []
    for x, dt in zip(rows, _times(rows, elapsed), strict=True):
        found = ops.to_numpy(pipeline.recognise(x[None], elapsed=dt[None])[1][0])
        features.append(found[SETTLE if len(found) > 2 * SETTLE else 0 :])
    table = np.concatenate(features).astype(np.float64)
    _set_scale(pipeline, "feature_", table)
    scaled = (table - ops.to_numpy(pipeline.feature_mean)) / ops.to_numpy(
        pipeline.feature_deviation
    )
    visible = np.clip(scaled, -10.0, 10.0).astype(np.float32)
    return fit_rbm(
        pipeline.rbm,
        ops.from_numpy(visible, like=pipeline.mean),
        epochs=epochs,
        batch_size=batch_size,
        generator=generator,
        **options,
    )


def fit_cascade_liquid(
    pipeline: CascadePipeline,
    series: Any,
    *,
    elapsed: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    epochs: int = 30,
    steps: int = 32,
    batch_size: int = 32,
    learning_rate: float = 1e-2,
    validation_share: float = 0.2,
    patience: int = 5,
    quantile: float = 0.99,
    generator: Any,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train the liquid network of a cascade on what its RBM recognises, by gradients through time.

    To forecast the next row; or where labels are the target, to tell them. A motor neuron that
    sees surprises then fires at the threshold 0.5 where `quantile` of the training rows lie below.

    Args:
        pipeline: The cascade; its RBM is trained.
        series: As `fit_cascade` has them.
        elapsed: As `fit_cascade` has it.
        labels: As `fit_cascade` has them.
        epochs: Most times the rows are gone through.
        steps: Rows of a training sequence.
        batch_size: Sequences of a batch.
        learning_rate: Of Adam.
        validation_share: Share of the sequences, the last ones, kept to stop early by; the
            weights of the best epoch stay.
        patience: Epochs without a smaller validation loss that are waited for.
        quantile: Share of training rows below the surprise at which the motor neuron's output is
            a half.
        generator: Of the order.
        callbacks: Further callbacks.

    Returns:
        The losses of each epoch.

    Raises:
        ValueError: If labels lack or do not fit where they are the target.
        ImportError: On NumPy, if `autograd` is not installed.
    """
    rows = _rows(pipeline, series)
    times = _times(rows, elapsed)
    marks = _labels(pipeline, rows, labels)
    parts = []
    for x, dt, mark in zip(rows, times, marks, strict=True):
        z, features, _ = pipeline.recognise(x[None], elapsed=dt[None])
        hidden = ops.to_numpy(pipeline.hidden(features)[0])
        parts.append((hidden, ops.to_numpy(dt), ops.to_numpy(z[0]), mark))
    cut = [_cut(part, steps) for part in parts]
    hidden, gaps, there, z, mark = (
        ops.from_numpy(np.concatenate([c[i] for c in cut]), like=pipeline.mean) for i in range(5)
    )
    kept = int(len(hidden) * validation_share)
    stop = [EarlyStop("validation_loss", patience=patience)] if kept else []
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": Adam(learning_rate),
        "max_gradient_norm": 1.0,
        "generator": generator,
        "callbacks": [*stop, *callbacks],
    }
    network = pipeline.network
    if isinstance(network, LiquidForecaster):
        history = fit_sequences(
            network,
            hidden,
            elapsed=gaps,
            mask=there,
            target=z,
            validation_share=validation_share,
            **options,
        )
        _calibrate(pipeline, network, parts, quantile)
        return history
    arrays = (hidden, gaps, there, mark)
    share = float(ops.sum(mark)) / max(float(ops.sum(there)), 1.0)
    weight = min(max((1.0 - share) / max(share, 1e-6), 1.0), 100.0)  # rare labels count as much
    return fit(
        network,
        tuple(a[: len(hidden) - kept] for a in arrays),
        loss=lambda module, batch: _label_loss(pipeline, module, batch, weight),
        validation=tuple(a[len(hidden) - kept :] for a in arrays) if kept else None,
        **options,
    )


def _rows(pipeline: CascadePipeline, series: Any) -> list[Array]:
    """Every series as numbers."""
    every = series if isinstance(series, (list, tuple)) else [series]
    rows = [pipeline.rows(one) for one in every]
    if not rows or min(len(x) for x in rows) < 2:
        raise ValueError(
            "There is nothing to train the cascade on. Expected series of two or more rows. "
            f"Received: rows={[len(x) for x in rows]}."
        )
    return rows


def _times(rows: list[Array], elapsed: Sequence[Any] | None) -> list[Array]:
    given = [1.0] * len(rows) if elapsed is None else list(elapsed)
    if len(given) != len(rows):
        raise ValueError(
            f"Every series needs its times. Expected {len(rows)}. Received: {len(given)}."
        )
    numbers = [dt if isinstance(dt, (int, float)) else ops.to_numpy(dt) for dt in given]
    return [
        ops.from_numpy(np.broadcast_to(np.asarray(dt, np.float32), (len(x),)).copy(), like=x)
        for x, dt in zip(rows, numbers, strict=True)
    ]


def _labels(
    pipeline: CascadePipeline, rows: list[Array], labels: Sequence[Any] | None
) -> list[Any]:
    if pipeline.target == "labels" and labels is None:
        raise ValueError(
            "The cascade's target is labels. Expected labels=[(T,), ...], one array per series. "
            "Received: labels=None. Without labels make it with target='forecast'."
        )
    if labels is None:
        return [np.zeros(len(x), np.float32) for x in rows]
    marks = [np.asarray(mark, np.float32) for mark in labels]
    if [m.shape for m in marks] != [(len(x),) for x in rows]:
        raise ValueError(
            f"The labels do not fit the series. Expected lengths {[len(x) for x in rows]}. "
            f"Received: shapes={[m.shape for m in marks]}."
        )
    return marks


def _set_scale(pipeline: CascadePipeline, prefix: str, table: Any) -> None:
    """Mean and deviation of columns; columns without a value have 0 and 1."""
    finite = np.isfinite(table)
    count = np.maximum(finite.sum(axis=0), 1)
    filled = np.where(finite, table, 0.0)
    mean = filled.sum(axis=0) / count
    away = np.where(finite, table - mean, 0.0)
    deviation = np.sqrt((away**2).sum(axis=0) / count)
    span = np.ptp(away, axis=0)
    deviation = np.maximum(deviation, FLOOR * span)
    deviation = np.where(deviation > 1e-9 * (1.0 + np.abs(mean)), deviation, 1.0)
    pipeline.assign(
        {
            f"{prefix}{name}": ops.from_numpy(value.astype(np.float32), like=pipeline.mean)
            for name, value in (("mean", mean), ("deviation", deviation))
        }
    )


def _cut(part: tuple[Any, ...], steps: int) -> tuple[Any, ...]:
    """A series in sequences of `steps` rows, the last one padded: arrays, mask in third place."""
    hidden, dt, z, mark = part
    count = -(-len(hidden) // steps)
    there = np.ones(len(hidden), np.float32)

    def pad(x: Any) -> Any:
        short = count * steps - len(x)
        padded = np.concatenate([x, np.zeros((short, *x.shape[1:]), np.float32)])
        return padded.reshape(count, steps, *x.shape[1:]).astype(np.float32)

    return pad(hidden), pad(dt), pad(there), pad(z), pad(mark)


def _calibrate(
    pipeline: CascadePipeline, network: LiquidForecaster, parts: list[Any], quantile: float
) -> None:
    """Scores on whole series, as they will be met; and the motor neuron's bias."""
    longest = max(len(part[0]) for part in parts)
    padded = [_cut(part, longest) for part in parts]
    hidden, dt, there, z, _ = (np.concatenate([p[i] for p in padded]) for i in range(5))
    settled = there.copy()
    settled[:, : min(SETTLE, longest // 2)] = 0.0
    arrays = [ops.from_numpy(v, like=pipeline.mean) for v in (hidden, dt, z)]
    calibrate_sequences(
        network, arrays[0], arrays[1], ops.from_numpy(settled, like=pipeline.mean), arrays[2]
    )
    reading, _ = network(arrays[0], None, arrays[1], target=arrays[2])
    scores = ops.to_numpy(reading.score)[settled > 0]
    assert pipeline.motor is not None
    bias = np.asarray([-np.quantile(scores, quantile)], np.float32)
    pipeline.motor.synapses.assign({"bias_vector": ops.from_numpy(bias, like=pipeline.mean)})


def _label_loss(pipeline: CascadePipeline, module: Any, batch: Any, weight: float) -> Array:
    """Cross entropy of the motor neuron's drive (over its threshold, where that is learned)."""
    hidden, dt, there, mark = batch
    output, _ = module(hidden, None, dt, there)
    motor = module.cell.split(output)[1]
    drive = motor.logit
    if pipeline.threshold_type == "learned":
        drive = drive - ops.log(motor.threshold) + ops.log(1.0 - motor.threshold)
    each = ops.softplus(drive) - mark * drive
    counts = there * (1.0 + (weight - 1.0) * mark)
    return ops.sum(each * counts) / ops.maximum(ops.sum(counts), 1.0)
