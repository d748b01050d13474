"""Training of an RBM by contrastive divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ember_core import ops
from ember_core.models import RBM
from ember_core.ops import Array

from ._batches import Batches, Rows, placed, row_count
from ._contrastive import Chain, Sample, Sparsity, contrastive_divergence
from ._history import History
from ._loop import fit
from ._optimizers import SGD, Arrays, Optimizer
from ._run import Callback, Run
from ._schedules import Schedule
from ._strategy import BatchSlice, Strategy

# Exact inference takes weights below 8, both over and times sigma.
_LARGEST_WEIGHT = 7.99
_SIGMA = (0.05, 20.0)  # where a learnt one is held
_MEASURED = 8  # batches of a persistent chain from one measured error to the next
_HALF = 0.5 + 1e-6  # of the unit interval; rows scaled into it are off by rounding


class ContrastiveDivergence:
    """CD-k as a step of `fit`.

    Args:
        k: Gibbs steps in each batch.
        persistent: Whether the chain goes on from batch to batch (PCD) instead of starting at the
            data.
        sample: Units the chain draws: `"hidden"` states, `"all"` (visible ones too), or `"none"`.
        sparsity_target: Mean activation of hidden units to pull to; free without one.
        sparsity_cost: Strength of that pull.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        k: int = 1,
        persistent: bool = False,
        sample: Sample = "hidden",
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.1,
    ) -> None:
        if k < 1 or sample not in ("hidden", "all", "none"):
            raise ValueError(
                "The RBM cannot be trained so. Expected k >= 1 and sample 'hidden', 'all' or "
                f"'none'. Received: k={k}, sample={sample!r}."
            )
        if sparsity_target is not None and not 0.0 < sparsity_target < 1.0:
            raise ValueError(
                "Hidden units cannot be so active. Expected 0 < sparsity_target < 1. "
                f"Received: sparsity_target={sparsity_target}."
            )
        self.k = k
        self.persistent = persistent
        self.sample = sample
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost

    def __call__(self, rbm: RBM, v: Array, run: Run) -> tuple[Arrays, Mapping[str, float]]:
        """Gradients of a batch `(B, V)`, and its `reconstruction_error`.

        With a persistent chain the error of every eighth batch is measured: it is a product more.

        Raises:
            ValueError: If binary units are given other values than 0 to 1.
        """
        if rbm.log_sigma is not None and self.sample != "all":
            raise ValueError(
                "Sigma cannot be learnt from visible means. Expected sample='all'. "
                f"Received: sample={self.sample!r}."
            )
        like = rbm.weights.data
        if ops.dtype(v) != ops.dtype(like):
            v = ops.astype(v, ops.dtype(like))
        if rbm.visible == "binary" and bool(ops.any(ops.abs(v - 0.5) > _HALF)):
            raise ValueError(
                "Binary units are 0, 1 or a probability. Expected values in [0, 1]. Received: a "
                f"batch from {float(ops.min(v)):g} to {float(ops.max(v)):g}. Use "
                "visible='gaussian', or scale the rows (MinMaxScaler)."
            )
        target = self.sparsity_target
        divergence = contrastive_divergence(
            rbm,
            v,
            k=self.k,
            sample=self.sample,
            chain=self._chain(rbm, v, run) if self.persistent else None,
            generator=run.generator,
            sparsity=None if target is None else Sparsity(target, self.sparsity_cost),
            share=run.share,
            measure=run.batch % _MEASURED == 0,
        )
        if self.persistent:
            run.memory["chain"] = divergence.states
        figures = {} if divergence.error is None else {"reconstruction_error": divergence.error}
        return divergence.gradients, figures

    def _chain(self, rbm: RBM, v: Array, run: Run) -> Chain:
        """Return the chain; its hidden states are at first those of the first batch."""
        if "chain" not in run.memory:
            share = run.share
            drawn = ops.random.uniform(
                run.generator, (share.total, rbm.n_hidden), ops.dtype(rbm.weights.data)
            )
            active = rbm(v) > drawn[share.rows]
            run.memory["chain"] = ops.astype(active, ops.dtype(rbm.weights.data))
            run.memory["chain_total"] = ops.full((1,), share.total, "int64")
        total = int(run.memory["chain_total"][0])
        share = BatchSlice.of(total, run.strategy.rank, run.strategy.size)
        return Chain(run.memory["chain"], share)


def fit_rbm(
    rbm: RBM,
    data: Rows,
    *,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float | Schedule = 1e-2,
    k: int = 1,
    persistent: bool = False,
    momentum: float | Schedule = 0.5,
    weight_decay: float = 1e-4,
    optimizer: Optimizer | None = None,
    sample: Sample | None = None,
    sparsity_target: float | None = None,
    sparsity_cost: float = 0.1,
    max_gradient_norm: float = 100.0,
    validation: Rows | None = None,
    generator: Any,
    callbacks: Sequence[Callback] = (),
    strategy: Strategy | None = None,
) -> History:
    """Train an RBM in place by contrastive divergence.

    Gradients are shortened to `max_gradient_norm` and weights held below 8, so that no data of
    finite values make it diverge. `sigma` is learnt where the RBM says so, else left as it is.

    Args:
        rbm: The model; training goes on from its weights.
        data: An array `(rows, V)` or frame, cut into shuffled batches; or batches `(B, V)` from an
            iterable that can be read again or from a function that returns a new one each time,
            such as `lambda: pandas.read_csv(path, chunksize=100_000)`.
        epochs: Times the data are gone through.
        batch_size: Most rows of a batch.
        learning_rate: A number, or a schedule over the batches.
        k: Gibbs steps in each batch.
        persistent: Whether the chain goes on from batch to batch (PCD) instead of starting at the
            data.
        momentum: Share of the last step kept, in [0, 1); a number or a schedule.
        weight_decay: Pull of the weights, not the biases, towards 0.
        optimizer: Instead of gradient descent by the three settings above.
        sample: Units the chain draws: `"hidden"` states, `"all"` (visible ones too), or `"none"`;
            without one `"all"` where sigma is learnt, else `"hidden"`.
        sparsity_target: Mean activation of hidden units to pull to; free without one.
        sparsity_cost: Strength of that pull.
        max_gradient_norm: Longest step before the learning rate, over all parameters.
        validation: Rows whose `validation_error` and `validation_free_energy` (mean over rows) are
            measured after each epoch.
        generator: Generator of order and draws, from `ops.generator(seed)`.
        callbacks: Told of every epoch; `EarlyStop`, `Checkpoint`, `Progress` or one's own.
        strategy: Strategy over processes; one process without it.

    Returns:
        Figures of each epoch; `reconstruction_error` is the mean over its batches, each measured
        before its step.

    Raises:
        ValueError: If a setting is out of range, the data cannot be read for every epoch, or a
            batch is of another width or not finite.
    """
    if not callable(momentum) and not 0.0 <= momentum < 1.0:
        raise ValueError(
            f"Momentum is out of range. Expected 0 <= momentum < 1. Received: momentum={momentum}."
        )
    if sample is None:
        sample = "hidden" if rbm.log_sigma is None else "all"
    return fit(
        rbm,
        data,
        step=ContrastiveDivergence(k, persistent, sample, sparsity_target, sparsity_cost),
        optimizer=optimizer or SGD(learning_rate, momentum, weight_decay),
        epochs=epochs,
        batch_size=batch_size,
        max_gradient_norm=max_gradient_norm,
        constrain=_within_limits(rbm),
        evaluate=None if validation is None else _measured(validation, rbm, batch_size, epochs),
        generator=generator,
        callbacks=callbacks,
        strategy=strategy,
        width=rbm.n_visible,
    )


def _within_limits(rbm: RBM) -> Callable[[Arrays], Arrays]:
    """Hold weights where they can still be frozen, and a learnt sigma where it can be one."""
    fixed = _weight_limit(rbm, rbm.sigma)

    def constrain(parameters: Arrays) -> Arrays:
        limit = fixed
        if "log_sigma" in parameters:
            log_sigma = ops.clip(parameters["log_sigma"], *map(math.log, _SIGMA))
            parameters["log_sigma"] = log_sigma
            limit = _weight_limit(rbm, ops.exp(log_sigma))
        if "weights" in parameters:
            parameters["weights"] = ops.clip(parameters["weights"], -limit, limit)
        return parameters

    return constrain


def _weight_limit(rbm: RBM, sigma: Array) -> Array | float:
    """Largest weight of each visible unit that can still be frozen, `(V, 1)` or for all."""
    if rbm.visible == "binary":
        return _LARGEST_WEIGHT
    return ops.reshape(_LARGEST_WEIGHT * ops.minimum(sigma, 1.0 / sigma), (-1, 1))


def _measured(
    validation: Rows, rbm: RBM, batch_size: int, epochs: int
) -> Callable[[RBM], dict[str, float]]:
    """Figures of rows that are kept from training."""
    rows = Batches(
        validation, width=rbm.n_visible, batch_size=batch_size, epochs=epochs, generator=None
    )

    def evaluate(rbm: RBM) -> dict[str, float]:
        error = free = 0.0
        count = 0
        for batch in rows.epoch():
            v = ops.astype(placed(batch, rbm.weights.data), ops.dtype(rbm.weights.data))
            error += float(ops.sum(rbm.reconstruction_error(v)))
            free += float(ops.sum(rbm.free_energy(v)))
            count += row_count(v)
        return {"validation_error": error / count, "validation_free_energy": free / count}

    return evaluate
