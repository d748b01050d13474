"""Restricted Boltzmann machine: improbability of vectors, and its samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from ember_core import ops
from ember_core.nn import Module, Parameter
from ember_core.ops import Array

Visible = Literal["gaussian", "binary"]


class RBM(Module):
    """Visible units joined to hidden units, none to its own kind.

    The energy of Gaussian visible units, with the input in units of `sigma` (not of its square):

        E(v, h) = sum((v - b)^2 / (2 sigma^2)) - c . h - (v / sigma) W h

    and of binary ones `E(v, h) = -b . v - c . h - v W h`; hidden units are binary. A model in the
    `v / sigma^2` convention is the same one with `W` divided by `sigma` along its rows.

    Args:
        n_visible: Visible units V.
        n_hidden: Hidden units N.
        visible: `"gaussian"` for real values (standardised ones want the unit `sigma`),
            `"binary"` for values in [0, 1].
        learn_sigma: Whether Gaussian units have their `sigma` learnt.
        generator: Random generator of the initial weights, from `ops.generator(seed)`; that of
            seed 0 without one.

    Attributes:
        weights: `(V, N)`.
        visible_bias: `(V,)`.
        hidden_bias: `(N,)`.
        log_sigma: `(V,)`, only where sigma is learnt.
        sigma: `(V,)`, the visible units' standard deviations, at first ones: learnt, or else
            a buffer; unused for binary.

    Examples:
        >>> from ember_core import ops
        >>> rbm = RBM(5, 3)
        >>> rbm(ops.zeros((2, 5))).shape, rbm.free_energy(ops.zeros((2, 5))).shape
        ((2, 3), (2,))
    """

    n_visible: int
    n_hidden: int
    visible: Visible
    weights: Parameter
    visible_bias: Parameter
    hidden_bias: Parameter
    log_sigma: Parameter | None
    learn_sigma: bool

    def __init__(
        self,
        n_visible: int,
        n_hidden: int,
        *,
        visible: Visible = "gaussian",
        learn_sigma: bool = False,
        generator: Any = None,
    ) -> None:
        if min(n_visible, n_hidden) < 1 or visible not in ("gaussian", "binary"):
            raise ValueError(
                "An RBM cannot be made so. Expected n_visible >= 1, n_hidden >= 1 and visible "
                f"'gaussian' or 'binary'. Received: n_visible={n_visible}, n_hidden={n_hidden}, "
                f"visible={visible!r}."
            )
        if learn_sigma and visible == "binary":
            raise ValueError(
                "Binary units have no sigma. Expected learn_sigma=False, or visible='gaussian'. "
                "Received: learn_sigma=True, visible='binary'."
            )
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.visible = visible
        self.learn_sigma = learn_sigma
        generator = ops.generator(0) if generator is None else generator
        self.weights = Parameter(0.01 * ops.random.normal(generator, (n_visible, n_hidden)))
        self.visible_bias = Parameter(ops.zeros((n_visible,)))
        self.hidden_bias = Parameter(ops.zeros((n_hidden,)))
        self.log_sigma = Parameter(ops.zeros((n_visible,))) if learn_sigma else None
        if not learn_sigma:
            self.register_buffer("sigma", ops.ones((n_visible,)))

    @property
    def sigma(self) -> Array:
        """Standard deviations of the visible units, `(V,)`."""
        return self._sigma if self.log_sigma is None else ops.exp(self.log_sigma.data)

    @sigma.setter
    def sigma(self, value: Array) -> None:
        if self.log_sigma is None:
            self._sigma = value
        else:
            self.log_sigma.data = ops.log(value)

    def forward(self, v: Array) -> Array:
        """Return the probability that each hidden unit is on, `(B, N)`, for values `v` `(B, V)`."""
        return ops.sigmoid(self.drive(v))

    def drive(self, v: Array) -> Array:
        """Return the input of the hidden units before the sigmoid, `(B, N)`: `c + (v / sigma) W`.

        Raises:
            ValueError: If `v` has another number of columns than V.
            TypeError: If it is of another backend.
        """
        self._check("Visible values", v, self.n_visible)
        scaled = v / self.sigma if self.visible == "gaussian" else v
        return ops.matmul(scaled, self.weights.data) + self.hidden_bias.data

    def _check(self, what: str, x: Array, width: int) -> None:
        """Refuse rows that do not fit, before they broadcast to something else."""
        if ops.shape(x)[-1:] != (width,):
            raise ValueError(
                f"{what} do not fit the RBM. Expected shape (B, {width}). "
                f"Received: shape={ops.shape(x)}."
            )
        backend, received = ops.backend_name(self.weights.data), ops.backend_name(x)
        if backend != received:
            raise TypeError(
                f"{what} are of another backend than the RBM. Expected: {backend}. "
                f"Received: {received}. Convert with ops.to(x, backend=...)."
            )

    def visible_mean(self, h: Array) -> Array:
        """Return the expected visible values `(B, V)` given hidden ones `h` `(B, N)`."""
        self._check("Hidden values", h, self.n_hidden)
        drive = ops.matmul(h, ops.transpose(self.weights.data))
        if self.visible == "gaussian":
            return self.visible_bias.data + self.sigma * drive
        return ops.sigmoid(drive + self.visible_bias.data)

    def free_energy(self, v: Array) -> Array:
        """Return the improbability of each row: `-log p(v)` up to the constant `log Z`.

        Args:
            v: Visible values, `(B, V)`.

        Returns:
            `(B,)`; for Gaussian units
            `sum((v - b)^2 / (2 sigma^2)) - sum(softplus(c + (v / sigma) W))`, for binary ones
            `-b . v - sum(softplus(c + v W))`. High is improbable.
        """
        hidden = ops.sum(ops.softplus(self.drive(v)), axis=-1)
        if self.visible == "binary":
            return -ops.sum(v * self.visible_bias.data, axis=-1) - hidden
        return (
            0.5 * ops.sum(ops.square((v - self.visible_bias.data) / self.sigma), axis=-1) - hidden
        )

    def reconstruct(self, v: Array) -> Array:
        """Return the expected visible values `(B, V)` given the hidden units of `v` `(B, V)`."""
        return self.visible_mean(self.forward(v))

    def reconstruction_error(self, v: Array, per_sample: bool = True) -> Array:
        """Return the summed squared difference between `v` `(B, V)` and its reconstruction.

        Returns:
            `(B,)`, or the mean over the rows where `per_sample` is false.
        """
        error = ops.sum(ops.square(v - self.reconstruct(v)), axis=-1)
        return error if per_sample else ops.mean(error)

    def sample_hidden(self, v: Array, generator: Any) -> Array:
        """Draw hidden states 0 or 1, `(B, N)`, given `v` `(B, V)`."""
        return ops.random.bernoulli(generator, self.forward(v))

    def sample_visible(self, h: Array, generator: Any) -> Array:
        """Draw visible values `(B, V)` given hidden ones `h` `(B, N)`."""
        mean = self.visible_mean(h)
        if self.visible == "binary":
            return ops.random.bernoulli(generator, mean)
        return mean + self.sigma * ops.random.normal(generator, ops.shape(mean), ops.dtype(mean))

    def sample(
        self, count: int, generator: Any, *, steps: int = 1000, start: Array | None = None
    ) -> Array:
        """Draw visible values that the model finds likely, by Gibbs sampling.

        Args:
            count: Rows B, each a chain of its own.
            generator: Random generator of the draws.
            steps: Gibbs steps; few leave the chains near their start.
            start: Visible values `(B, V)` to begin at; noise without one.

        Returns:
            `(B, V)`.
        """
        v = self._noise(count, generator) if start is None else start
        return deque(self._gibbs(v, generator, steps), maxlen=1).pop() if steps else v

    def dream(
        self, steps: int, generator: Any, *, start: Array | None = None, count: int = 1
    ) -> Array:
        """Return the visible units along a Gibbs chain.

        Args:
            steps: Steps to follow, T.
            generator: Random generator of the draws.
            start: Visible values `(B, V)` to begin at; `count` rows of noise without one.
            count: Chains, where they begin at noise.

        Returns:
            `(T + 1, B, V)`, the start first.
        """
        v = self._noise(count, generator) if start is None else start
        return ops.stack([v, *self._gibbs(v, generator, steps)])

    def _gibbs(self, v: Array, generator: Any, steps: int) -> Iterator[Array]:
        for _ in range(steps):
            v = self.sample_visible(self.sample_hidden(v, generator), generator)
            yield v

    def _noise(self, count: int, generator: Any) -> Array:
        """Draw rows of independent units: coins, or normal with the units' sigma."""
        shape, dtype = (count, self.n_visible), ops.dtype(self.weights.data)
        if self.visible == "binary":
            return ops.round(ops.random.uniform(generator, shape, dtype))
        return self.sigma * ops.random.normal(generator, shape, dtype)

    def summary(self) -> str:
        """Return sizes of the model and of its weights, a few lines of text."""
        w = self.weights.data
        lines = [
            f"RBM: {self.n_visible} {self.visible} visible units, {self.n_hidden} hidden units",
            f"parameters: {sum(ops.to_numpy(p.data).size for p in self.parameters()):,}",
        ]
        mean, deviation, largest = (
            float(x) for x in (ops.mean(w), ops.std(w), ops.max(ops.abs(w)))
        )
        lines.append(f"weights: mean {mean:.4g}, deviation {deviation:.4g}, largest {largest:.4g}")
        if self.visible == "gaussian":
            low, high = float(ops.min(self.sigma)), float(ops.max(self.sigma))
            kind = "learnt" if self.learn_sigma else "fixed"
            lines.append(f"sigma: {kind}, {low:.4g} to {high:.4g}")
        return "\n".join(lines)
