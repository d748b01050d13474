"""Contrastive divergence: how an RBM learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ember_core import ops
from ember_core.models import RBM
from ember_core.ops import Array

from ._batches import Batches, Rows
from ._optimizers import SGD, Arrays, clip_by_norm
from ._schedules import Schedule

Sample = Literal["hidden", "all", "none"]

# Exact inference takes weights below 8, both over and times sigma.
_LARGEST_WEIGHT = 7.99


@dataclass
class History:
    """What a training has done so far.

    Attributes:
        reconstruction_error: Of each epoch, the mean over its batches of `contrastive_divergence`'s
            error, each measured before its step.
        steps: Batches learnt from.
    """

    reconstruction_error: list[float] = field(default_factory=list)
    steps: int = 0

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.reconstruction_error)


Callback = Callable[[RBM, History], bool | None]
"""Called after each epoch with the model and the history; a true result ends the training."""


def fit_rbm(
    rbm: RBM,
    data: Rows,
    *,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float | Schedule = 1e-2,
    k: int = 1,
    persistent: bool = False,
    momentum: float = 0.5,
    weight_decay: float = 1e-4,
    sample: Sample = "hidden",
    max_gradient_norm: float = 100.0,
    generator: Any,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train an RBM in place by contrastive divergence.

    Gradients are shortened to `max_gradient_norm` and weights held below 8, so that no data of
    finite values make it diverge. `sigma` is left as it is.

    Args:
        rbm: The model; training goes on from its weights.
        data: An array `(rows, V)`, cut into shuffled batches; or batches `(B, V)` from an iterable
            that can be read again or from a function that returns a new iterator each time.
        epochs: Times the data are gone through.
        batch_size: Rows of a batch, where `data` is an array.
        learning_rate: A number, or a schedule over the batches.
        k: Gibbs steps in each batch.
        persistent: Whether the chain goes on from batch to batch (PCD) instead of starting at the
            data.
        momentum: Share of the last step kept, in [0, 1).
        weight_decay: Pull of the weights, not the biases, towards 0.
        sample: What the chain draws: `"hidden"` states, `"all"` (visible ones too), or `"none"`.
        max_gradient_norm: Longest step before the learning rate, over all parameters.
        generator: Of order and draws, from `ops.generator(seed)`.
        callbacks: Called after each epoch as `callback(rbm, history)`; true ends the training.

    Returns:
        The errors of each epoch.

    Raises:
        ValueError: If a setting is out of range, the data cannot be read for every epoch, or a
            batch is of another width or not finite.
    """
    if epochs < 1 or k < 1 or not 0.0 <= momentum < 1.0 or sample not in ("hidden", "all", "none"):
        raise ValueError(
            "The RBM cannot be trained so. Expected epochs >= 1, k >= 1, 0 <= momentum < 1 and "
            f"sample 'hidden', 'all' or 'none'. Received: epochs={epochs}, k={k}, "
            f"momentum={momentum}, sample={sample!r}."
        )
    batches = Batches(
        data, width=rbm.n_visible, batch_size=batch_size, epochs=epochs, generator=generator
    )
    optimizer = SGD(learning_rate, momentum, weight_decay)
    parameters = {name: parameter.data for name, parameter in rbm.named_parameters()}
    state = optimizer.init(parameters)
    limit = _weight_limit(rbm)
    chain: Array | None = None
    history = History()
    for epoch in range(epochs):
        errors: list[float] = []
        for batch in batches.epoch():
            if persistent and chain is None:
                chain = rbm.sample_hidden(batch, generator)
            gradients, error, states = contrastive_divergence(
                rbm, batch, k=k, sample=sample, chain=chain, generator=generator
            )
            if not math.isfinite(error):
                raise ValueError(
                    "A training batch is not finite. Expected numbers without NaN and infinity. "
                    f"Received: batch {len(errors) + 1} of epoch {epoch + 1}. "
                    "Impute or drop such rows first; the model is as it was before this batch."
                )
            gradients = clip_by_norm(gradients, max_gradient_norm)
            parameters, state = optimizer.update(parameters, gradients, state)
            parameters["weights"] = ops.clip(parameters["weights"], -limit, limit)
            rbm.assign(parameters)
            chain = states if persistent else None
            errors.append(error)
        history.steps += len(errors)
        history.reconstruction_error.append(sum(errors) / len(errors))
        answers = [callback(rbm, history) for callback in callbacks]
        if any(answers):
            break
    return history


def contrastive_divergence(
    rbm: RBM,
    v: Array,
    *,
    k: int = 1,
    sample: Sample = "hidden",
    chain: Array | None = None,
    generator: Any,
) -> tuple[Arrays, float, Array]:
    """Gradients of one batch by CD-k, without changing the model.

    Args:
        rbm: The model.
        v: Visible values, `(B, V)`.
        k: Gibbs steps of the negative phase.
        sample: What is drawn in the chain: `"hidden"` states only (visible ones are means),
            `"all"`, or `"none"` (mean field).
        chain: Hidden states `(B', N)` that the chain goes on from (persistent CD); it starts at
            the hidden units of `v` where not given.
        generator: Of the draws.

    Returns:
        Gradients by parameter name, to be descended; the error, which is the mean over the rows of
        the summed squared difference between `v` and the chain's last visible means (between `v`
        and its own reconstruction where a `chain` is given); the chain's last hidden states.
    """
    gaussian = rbm.visible == "gaussian"
    w, w_back, c = rbm.weights.data, ops.transpose(rbm.weights.data), rbm.hidden_bias.data
    # In units of sigma both kinds of visible units share their formulas.
    seen, b = (
        (v / rbm.sigma, rbm.visible_bias.data / rbm.sigma)
        if gaussian
        else (
            v,
            rbm.visible_bias.data,
        )
    )
    positive = ops.sigmoid(ops.matmul(seen, w) + c)
    states = _draw(positive, sample, generator) if chain is None else chain
    for step in range(k):
        mean = ops.matmul(states, w_back) + b
        mean = mean if gaussian else ops.sigmoid(mean)
        visible = _draw_visible(mean, gaussian, generator) if sample == "all" else mean
        negative = ops.sigmoid(ops.matmul(visible, w) + c)
        if step < k - 1 or chain is not None:
            states = _draw(negative, sample, generator)
    rows, chain_rows = ops.shape(seen)[0], ops.shape(visible)[0]
    bias = ops.sum(visible, axis=0) / chain_rows - ops.sum(seen, axis=0) / rows
    gradients = {
        "weights": ops.matmul(ops.transpose(visible), negative) / chain_rows
        - ops.matmul(ops.transpose(seen), positive) / rows,
        "visible_bias": bias / rbm.sigma if gaussian else bias,
        "hidden_bias": ops.sum(negative, axis=0) / chain_rows - ops.sum(positive, axis=0) / rows,
    }
    if chain is not None:
        error = float(rbm.reconstruction_error(v, per_sample=False))
    else:
        difference = (mean - seen) * rbm.sigma if gaussian else mean - seen
        error = float(ops.sum(ops.square(difference))) / rows
    return gradients, error, states


def _draw(probability: Array, sample: Sample, generator: Any) -> Array:
    return probability if sample == "none" else ops.bernoulli(generator, probability)


def _draw_visible(mean: Array, gaussian: bool, generator: Any) -> Array:
    """Visible values around their means, in units of sigma."""
    if gaussian:
        return mean + ops.normal(generator, ops.shape(mean), ops.dtype(mean))
    return ops.bernoulli(generator, mean)


def _weight_limit(rbm: RBM) -> Array:
    """Largest weight of each visible unit that can still be frozen, `(V, 1)`."""
    sigma = rbm.sigma if rbm.visible == "gaussian" else ops.ones_like(rbm.sigma)
    return ops.reshape(_LARGEST_WEIGHT * ops.minimum(sigma, 1.0 / sigma), (-1, 1))
