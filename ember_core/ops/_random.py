"""Random numbers from explicit generators; there is no global seed.

The numbers of one seed are a backend's own: two backends share a distribution, not a sequence.
"""

from __future__ import annotations

from typing import Any

from ._select import BY_TYPE, Array, Shape, default_module


def generator(
    seed: int | None = None, *, device: str | None = None, like: Array | None = None
) -> Any:
    """A generator of random numbers.

    Args:
        seed: Where its sequence begins; `None` seeds it from the system.
        device: Device of its numbers; the default one without it.
        like: An array whose backend and device it has, instead of the default ones.

    Examples:
        >>> from ember_core import ops
        >>> a, b = ops.generator(7), ops.generator(7)
        >>> bool((ops.uniform(a, (3,)) == ops.uniform(b, (3,))).all())
        True
    """
    module = default_module() if like is None else BY_TYPE[type(like)]
    return module.generator(seed, device=device, like=like)


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    """Standard normal numbers of `shape`.

    Other arguments as `uniform`.
    """
    return BY_TYPE[type(generator)].normal(generator, shape, dtype)


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    """Numbers in [0, 1) of `shape`.

    Args:
        generator: From `ops.generator(seed)`; the backend is its own.
        shape: Of the result.
        dtype: A float type.
    """
    return BY_TYPE[type(generator)].uniform(generator, shape, dtype)


def bernoulli(generator: Any, probability: Array) -> Array:
    """1 with `probability`, else 0, in the shape and dtype of `probability`.

    One uniform number `u` is drawn for each element, and it is 1 where `probability > u`.
    """
    return BY_TYPE[type(generator)].bernoulli(generator, probability)


def integers(generator: Any, low: int, high: int, shape: Shape) -> Array:
    """Whole numbers from `low` to `high - 1`, each as likely (int64).

    Other arguments as `uniform`.
    """
    return BY_TYPE[type(generator)].integers(generator, low, high, shape)


def exponential(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    """Exponential numbers of mean 1: divide by the rate.

    Other arguments as `uniform`.
    """
    return BY_TYPE[type(generator)].exponential(generator, shape, dtype)


def gamma(generator: Any, concentration: Array) -> Array:
    """Gamma numbers of scale 1, in the shape and dtype of `concentration` (above 0)."""
    return BY_TYPE[type(generator)].gamma(generator, concentration)


def poisson(generator: Any, rate: Array) -> Array:
    """Counts of mean `rate` (not negative), in its shape and dtype."""
    return BY_TYPE[type(generator)].poisson(generator, rate)


def categorical(generator: Any, logits: Array) -> Array:
    """One class of each row, drawn with probability `softmax(logits)`.

    Args:
        generator: From `ops.generator`.
        logits: Shape `(..., N)`; minus infinity for what must not be drawn.

    Returns:
        int64 of shape `(...)`: the class of the largest `logit + Gumbel noise` (Gumbel, 1954).
    """
    module = BY_TYPE[type(generator)]
    noise = module.exponential(generator, tuple(logits.shape), module.dtype(logits))
    return module.argmax(logits - module.log(noise), -1)


def shuffle(generator: Any, x: Array, axis: int = 0) -> Array:
    """`x` in random order along `axis`; a new array.

    Other arguments as `uniform`.
    """
    module = BY_TYPE[type(generator)]
    return module.take(x, module.permutation(generator, x.shape[axis]), axis)


def permutation(generator: Any, n: int) -> Array:
    """The numbers 0 to `n - 1` in random order (int64)."""
    return BY_TYPE[type(generator)].permutation(generator, n)
