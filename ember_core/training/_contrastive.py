"""Contrastive divergence: the gradients an RBM learns from."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ember_core import ops
from ember_core.models import RBM
from ember_core.ops import Array

from ._optimizers import Arrays
from ._strategy import BatchSlice

Sample = Literal["hidden", "all", "none"]


class Divergence(NamedTuple):
    """Result of contrastive divergence for one batch.

    Attributes:
        gradients: By parameter name, to be descended; means over the rows.
        error: Mean over the rows of the summed squared difference between `v` and the chain's
            last visible means, or, of a persistent chain, `v`'s own reconstruction. `None` where
            it was not measured.
        states: The chain's last hidden states, `(B, N)` or as many rows as the chain had.
    """

    gradients: Arrays
    error: float | None
    states: Array


class Chain(NamedTuple):
    """Persistent chain of hidden states.

    Attributes:
        states: Hidden states `(B', N)` that the chain continues from.
        share: Rows of the joined chain, where several processes share one.
    """

    states: Array
    share: BatchSlice | None = None


class Sparsity(NamedTuple):
    """Pull of the hidden units towards a mean activation (Lee et al., 2008).

    Attributes:
        target: Mean activation each hidden unit is pulled to by its bias.
        cost: Strength of that pull.
    """

    target: float
    cost: float = 0.1


def contrastive_divergence(
    rbm: RBM,
    v: Array,
    *,
    k: int = 1,
    sample: Sample = "hidden",
    chain: Chain | None = None,
    generator: Any,
    sparsity: Sparsity | None = None,
    share: BatchSlice | None = None,
    measure: bool = True,
) -> Divergence:
    """Gradients of one batch by CD-k, without changing the model.

    After Hinton, "Training products of experts by minimizing contrastive divergence" (2002), and
    with a `chain` Tieleman, "Training restricted Boltzmann machines using approximations to the
    likelihood gradient" (2008).

    Args:
        rbm: The model.
        v: Visible values, `(B, V)`.
        k: Gibbs steps of the negative phase.
        sample: Units drawn in the chain: `"hidden"` states only (visible ones are means),
            `"all"`, or `"none"` (mean field).
        chain: Persistent chain to continue; without one it starts at the hidden units of `v`.
        generator: Generator of the draws.
        sparsity: Pull of the hidden units; free without one.
        share: Rows of a joined batch, where several processes share one: draws
            are those of the joined batch.
        measure: Whether to find the error where that takes a product of its own.
    """
    gaussian = rbm.visible == "gaussian"
    w, c = rbm.weights.data, rbm.hidden_bias.data
    w_back = ops.transpose(w)
    # In units of sigma both kinds of visible units share their formulas.
    scaled = v / rbm.sigma if gaussian else v
    b = rbm.visible_bias.data / rbm.sigma if gaussian else rbm.visible_bias.data
    rows = ops.shape(scaled)[0]
    share = BatchSlice.of(rows) if share is None else share
    draws = _Draws(sample, generator, share if chain is None else chain.share)
    positive = ops.sigmoid(ops.matmul(scaled, w) + c)
    states = draws.hidden(positive) if chain is None else chain.states
    for step in range(k):
        mean = ops.matmul(states, w_back) + b
        if not gaussian:
            mean = ops.sigmoid(mean)
        visible = draws.visible(mean, gaussian)
        negative = ops.sigmoid(ops.matmul(visible, w) + c)
        if step < k - 1 or chain is not None:
            states = draws.hidden(negative)
    # Of a persistent chain this process may hold another share than of the batch.
    chain_rows = ops.shape(visible)[0] * share.weight
    chain_rows /= share.weight if chain is None or chain.share is None else chain.share.weight
    bias = ops.sum(visible, axis=0) / chain_rows - ops.sum(scaled, axis=0) / rows
    gradients = {
        "weights": ops.matmul(ops.transpose(visible), negative / chain_rows)
        - ops.matmul(ops.transpose(scaled), positive / rows),
        "visible_bias": bias / rbm.sigma if gaussian else bias,
        "hidden_bias": ops.sum(negative, axis=0) / chain_rows - ops.sum(positive, axis=0) / rows,
    }
    if rbm.log_sigma is not None:
        positive_phase = _sigma_energy(scaled, ops.matmul(positive, w_back), b) / rows
        negative_phase = _sigma_energy(visible, ops.matmul(negative, w_back), b) / chain_rows
        gradients["log_sigma"] = positive_phase - negative_phase
    if sparsity is not None:
        excess = ops.sum(positive, axis=0) / rows - sparsity.target
        gradients["hidden_bias"] = gradients["hidden_bias"] + sparsity.cost * excess
    error = None
    if chain is None or measure:
        if chain is not None:
            mean = ops.matmul(positive, w_back) + b
            mean = mean if gaussian else ops.sigmoid(mean)
        difference = (mean - scaled) * rbm.sigma if gaussian else mean - scaled
        error = float(ops.sum(ops.square(difference))) / rows
    return Divergence(gradients, error, states)


def _sigma_energy(scaled: Array, drive: Array, b: Array) -> Array:
    """Sum over rows of the energy's slope in `log sigma`, `(V,)`, all in units of sigma.

    `E = (s - b)^2 / 2 - s (W h)` with `s = v / sigma` and the bias as `b / sigma`, and so
    `dE / dlog(sigma) = -(s - b)^2 + s (W h)` at fixed `v` and bias.
    """
    return ops.sum(scaled * drive - ops.square(scaled - b), axis=0)


class _Draws:
    """Draws of the chain; of a joined batch, those of the own rows."""

    def __init__(self, sample: Sample, generator: Any, share: BatchSlice | None) -> None:
        self._sample = sample
        self._generator = generator
        self._share = None if share is None or share.is_whole else share

    def hidden(self, probability: Array) -> Array:
        if self._sample == "none":
            return probability
        if self._share is None:
            return ops.random.bernoulli(self._generator, probability)
        drawn = ops.random.uniform(
            self._generator, self._joined(probability), ops.dtype(probability)
        )
        return ops.astype(probability > drawn[self._share.rows], ops.dtype(probability))

    def visible(self, mean: Array, gaussian: bool) -> Array:
        """Visible values around their means, in units of sigma."""
        if self._sample != "all":
            return mean
        if not gaussian:
            return self.hidden(mean)
        noise = ops.random.normal(self._generator, self._joined(mean), ops.dtype(mean))
        return mean + (noise if self._share is None else noise[self._share.rows])

    def _joined(self, like: Array) -> tuple[int, int]:
        rows, width = ops.shape(like)
        return (rows if self._share is None else self._share.total, width)
