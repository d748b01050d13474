"""The one loop in which every module learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ember_core import ops
from ember_core.nn import Module, value_and_grad
from ember_core.ops import Array

from ._batches import Batches, Rows, placed, row_count
from ._history import History
from ._optimizers import Adam, Arrays, Optimizer, clip_by_norm, global_norm
from ._run import Callback, Run
from ._strategy import BatchSlice, OneProcess, Strategy, take_rows

Loss = Callable[[Any, Any], Array]
"""`loss(module, batch)`: the mean over the rows of a batch, a scalar array."""

Step = Callable[[Any, Any, "Run"], tuple[Arrays, Mapping[str, float]]]
"""`step(module, batch, run)`: gradients by parameter name, to be descended, and figures.

Both are means over the batch's rows. Draws come from `run.generator`; values that
have to last until the next batch are kept in `run.memory`.
"""


def fit(
    module: Module,
    data: Rows,
    *,
    loss: Loss | None = None,
    step: Step | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    max_gradient_norm: float | None = None,
    constrain: Callable[[Arrays], Arrays] | None = None,
    validation: Rows | None = None,
    evaluate: Callable[[Any], Mapping[str, float]] | None = None,
    generator: Any,
    callbacks: Sequence[Callback] = (),
    strategy: Strategy | None = None,
    width: int | None = None,
) -> History:
    """Train a module in place, by the gradient of a loss or by a step of one's own.

    Args:
        module: Any module with parameters; training goes on from their values, and leaves those
            alone that are not `trainable`.
        data: An array or frame, cut into shuffled batches; a tuple of arrays with the same rows;
            an iterable of batches that can be read again; or a function that returns one.
        loss: `loss(module, batch)`, the mean over a batch's rows; differentiated by
            `nn.value_and_grad`.
        step: Instead of a loss: `step(module, batch, run)` gives gradients and figures.
        optimizer: Optimiser of the parameters; `Adam()` without one.
        epochs: Times the data are gone through.
        batch_size: Most rows of a batch.
        max_gradient_norm: Gradients longer than this, all together, are shortened to it.
        constrain: Function applied to the parameters after each step.
        validation: Rows the loss is measured on after each epoch, as `validation_loss`.
        evaluate: Figures of each epoch, `evaluate(module)`.
        generator: Generator of order and draws, from `ops.generator(seed)`.
        callbacks: Callbacks for the start, every batch, every epoch and the end.
        strategy: Strategy over processes, which need the same data and seed; one without it.
        width: Columns every batch must have.

    Returns:
        The figures of each epoch: means over its batches, weighted by their rows.

    Raises:
        ValueError: If a setting is out of range, the data cannot be read for every epoch, or a
            batch's gradients are not finite.

    Examples:
        >>> from ember_core import nn, ops
        >>> from ember_core.training import SGD, fit
        >>> x = ops.random.normal(ops.generator(1), (211, 3))
        >>> y = x[:, :1] - 2.0 * x[:, 1:2]
        >>> def slope(module, batch, run):  # a step of one's own; a loss needs no such thing
        ...     x, y = batch
        ...     error = module(x) - y
        ...     gradient = ops.matmul(ops.transpose(x), error) / len(x)
        ...     return {"weight": gradient}, {"loss": float(ops.mean(error**2))}
        >>> layer = nn.Linear(3, 1, bias=False)
        >>> history = fit(
        ...     layer, (x, y), step=slope, optimizer=SGD(0.5), generator=ops.generator(2)
        ... )
        >>> [round(float(w), 3) + 0.0 for w in layer.weight.data[:, 0]]
        [1.0, -2.0, 0.0]
    """
    if (loss is None) == (step is None) or epochs < 1:
        raise ValueError(
            "The module cannot be trained so. Expected either a loss or a step, and epochs >= 1. "
            f"Received: loss={loss!r}, step={step!r}, epochs={epochs}."
        )
    batches = Batches(data, width=width, batch_size=batch_size, epochs=epochs, generator=generator)
    measure = [evaluate] if evaluate else []
    if loss is not None:
        step = by_gradient(loss)
        if validation is not None:
            measure.append(_measured(loss, validation, batch_size, epochs))
    assert step is not None
    optimizer = Adam() if optimizer is None else optimizer
    strategy = OneProcess() if strategy is None else strategy
    trainable = {name: p for name, p in module.named_parameters() if p.trainable}
    if not trainable:
        raise ValueError(
            "There is nothing to train. Expected a module with trainable parameters. Received: "
            f"{type(module).__name__} with {len(module.parameters())} parameters, all frozen."
        )
    parameters = strategy.broadcast({name: p.data for name, p in trainable.items()})
    run = Run(
        module=module,
        optimizer=optimizer,
        epochs=epochs,
        generator=generator,
        strategy=strategy,
        history=History(),
        parameters=parameters,
        state=optimizer.init(parameters),
        callbacks=sorted(callbacks, key=lambda callback: callback.last),
    )
    _put(trainable, parameters)
    try:
        for callback in run.callbacks:
            callback.on_start(run)
        while run.history.epochs < epochs and not run.stopped:
            _epoch(run, batches, step, trainable, max_gradient_norm, constrain, measure)
            for callback in run.callbacks:
                callback.on_epoch(run)
    finally:
        for callback in run.callbacks:
            callback.on_end(run)
    return run.history


def by_gradient(loss: Loss) -> Step:
    """A step that descends a loss."""

    def step(module: Any, batch: Any, run: Run) -> tuple[Arrays, Mapping[str, float]]:
        value, gradients = value_and_grad(module, loss)(module, batch)
        return gradients, {"loss": float(value)}

    return step


def _epoch(
    run: Run,
    batches: Batches,
    step: Step,
    trainable: Mapping[str, Any],
    limit: float | None,
    constrain: Callable[[Arrays], Arrays] | None,
    measure: Sequence[Callable[[Any], Mapping[str, float]]],
) -> None:
    """All batches once."""
    totals: dict[str, float] = {}
    counts: dict[str, int] = {}
    like = next(iter(run.parameters.values()))
    for run.batch, batch in enumerate(batches.epoch()):
        run.share = BatchSlice.of(row_count(batch), run.strategy.rank, run.strategy.size)
        local_rows = placed(take_rows(batch, run.share), like)
        step_gradients, figures = step(run.module, local_rows, run)
        gradients = {name: step_gradients[name] for name in run.parameters}
        if run.strategy.size > 1:
            gradients, figures = _joined(run, gradients, figures)
        norm = global_norm(gradients)
        if not math.isfinite(norm):
            raise ValueError(
                "The gradients of a training batch are not finite. Expected rows without NaN and "
                f"infinity. Received: batch {run.batch + 1} of epoch {run.history.epochs + 1}. "
                "Impute or drop such rows first; the model is as it was before this batch."
            )
        if limit is not None:
            gradients = clip_by_norm(gradients, limit, norm=norm)
        updated, run.state = run.optimizer.update(run.parameters, gradients, run.state)
        run.parameters = updated if constrain is None else constrain(updated)
        _put(trainable, run.parameters)
        run.figures = figures
        for name, value in figures.items():
            totals[name] = totals.get(name, 0.0) + value * run.share.total
            counts[name] = counts.get(name, 0) + run.share.total
        for callback in run.callbacks:
            callback.on_batch(run)
    epoch = {name: total / counts[name] for name, total in totals.items()}
    for figures_of in measure:
        epoch.update(figures_of(run.module))
    run.history.add(epoch, run.batch + 1)


def _joined(
    run: Run, gradients: Arrays, figures: Mapping[str, float]
) -> tuple[Arrays, dict[str, float]]:
    """Means of gradients and figures over the processes, in one message."""
    zero = ops.zeros_like(ops.reshape(next(iter(gradients.values())), (-1,))[:1])
    message = {f"figure {name}": zero + value for name, value in figures.items()}
    mean = run.strategy.average({**gradients, **message}, run.share.weight)
    return {n: mean[n] for n in gradients}, {n: float(mean[f"figure {n}"][0]) for n in figures}


def _measured(
    loss: Loss, validation: Rows, batch_size: int, epochs: int
) -> Callable[[Any], dict[str, float]]:
    """The mean of a loss over rows kept for it."""
    rows = Batches(validation, batch_size=batch_size, epochs=epochs, generator=None)

    def evaluate(module: Any) -> dict[str, float]:
        total, count = 0.0, 0
        like = next(iter(module.parameters())).data
        module.eval()
        try:
            for batch in rows.epoch():
                total += float(loss(module, placed(batch, like))) * row_count(batch)
                count += row_count(batch)
        finally:
            module.train()
        return {"validation_loss": total / count}

    return evaluate


def _put(trainable: Mapping[str, Any], parameters: Mapping[str, Array]) -> None:
    for name, parameter in trainable.items():
        parameter.data = parameters[name]
