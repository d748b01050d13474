"""Random numbers from explicit generators; there is no global seed.

The numbers of one seed are a backend's own: two backends share a distribution, not a sequence.
"""

from __future__ import annotations

from typing import Any

from .dispatch import BY_TYPE, Array, Shape


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    """Standard normal numbers of `shape`.

    Other arguments as `uniform`.
    """
    return BY_TYPE[type(generator)].normal(generator, shape, dtype)


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    """Numbers in [0, 1) of `shape`.

    Args:
        generator: Generator made by `ops.generator(seed)`; its backend makes the numbers.
        shape: Lengths of the result's axes.
        dtype: A float type.
    """
    return BY_TYPE[type(generator)].uniform(generator, shape, dtype)


def bernoulli(generator: Any, probability: Array) -> Array:
    """1 with `probability`, else 0, in the shape and dtype of `probability`.

    One uniform number `u` is drawn for each element, and it is 1 where `probability > u`.
    """
    return BY_TYPE[type(generator)].bernoulli(generator, probability)


def permutation(generator: Any, n: int) -> Array:
    """The numbers 0 to `n - 1` in random order (int64)."""
    return BY_TYPE[type(generator)].permutation(generator, n)
