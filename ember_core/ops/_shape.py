"""Shape, layout and selection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ._select import BY_TYPE, BY_TYPES, Array, Shape


def shape(x: Array) -> tuple[int, ...]:
    """Lengths of the axes of `x`."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(BY_TYPE[type(x)].asarray(x, None).shape)


def dtype(x: Array) -> str:
    """Name of the element type of `x`, such as `"float32"`."""
    return BY_TYPE[type(x)].dtype(x)  # type: ignore[no-any-return]


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    """`x` with its axes in the order `axes`; reversed without an argument."""
    return BY_TYPE[type(x)].transpose(x, axes)


def reshape(x: Array, shape: Shape) -> Array:
    """`x` in C order with another shape; one length may be -1."""
    return BY_TYPE[type(x)].reshape(x, shape)


def expand_dims(x: Array, axis: int) -> Array:
    """`x` with a new axis of length 1 at `axis`."""
    return BY_TYPE[type(x)].expand_dims(x, axis)


def squeeze(x: Array, axis: int) -> Array:
    """`x` without its axis `axis`, which must have length 1."""
    return BY_TYPE[type(x)].squeeze(x, axis)


def broadcast_to(x: Array, shape: Shape) -> Array:
    """`x` repeated to `shape`, without a copy where the backend can; not to be written to."""
    return BY_TYPE[type(x)].broadcast_to(x, shape)


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays joined along an axis they have.

    Args:
        arrays: At least one array; all of one backend, equal in shape but for `axis`.
        axis: Axis to join along.
    """
    return BY_TYPES[tuple(map(type, arrays))].concatenate(arrays, axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays of one shape joined along a new axis."""
    return BY_TYPES[tuple(map(type, arrays))].stack(arrays, axis)


def split(x: Array, sections: int | Sequence[int], axis: int = 0) -> list[Array]:
    """`x` in parts along `axis`.

    Args:
        x: Array.
        sections: Number of equal parts, or the indices at which a new part begins.
        axis: Axis to cut.

    Raises:
        ValueError: If `axis` has no whole number of elements for each part.
    """
    length = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or length % sections:
            raise ValueError(
                "The axis cannot be split evenly. Expected a divisor of its length. "
                f"Received: length={length}, sections={sections}."
            )
        sections = range(length // sections, length, length // sections)
    before = (slice(None),) * (axis % len(x.shape))
    edges = [0, *sections, length]
    return [x[(*before, slice(a, b))] for a, b in pairwise(edges)]


def tile(x: Array, repeats: Sequence[int]) -> Array:
    """`x` beside itself, `repeats[i]` times along axis `i`, one number for each axis."""
    return BY_TYPE[type(x)].tile(x, tuple(repeats))


def repeat(x: Array, repeats: int, axis: int) -> Array:
    """Every element of `x` `repeats` times in a row, along `axis`."""
    return BY_TYPE[type(x)].repeat(x, repeats, axis)


def flip(x: Array, axis: int) -> Array:
    """`x` in reverse order along `axis`."""
    return BY_TYPE[type(x)].flip(x, axis)


def roll(x: Array, shift: int, axis: int) -> Array:
    """`x` moved by `shift` along `axis`; what falls off the end comes in at the start."""
    return BY_TYPE[type(x)].roll(x, shift, axis)


def pad(x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    """`x` with `value` around it: `widths[i]` elements before and after axis `i`."""
    return BY_TYPE[type(x)].pad(x, tuple(widths), value)


def tril(x: Array, k: int = 0) -> Array:
    """Lower triangle of the matrix `x`, 0 above its `k`-th diagonal."""
    return BY_TYPE[type(x)].tril(x, k)


def triu(x: Array, k: int = 0) -> Array:
    """Upper triangle of the matrix `x`, 0 below its `k`-th diagonal."""
    return BY_TYPE[type(x)].triu(x, k)


def diagonal(x: Array) -> Array:
    """Main diagonal of the matrix `x`, of shape `(min(B, N),)`."""
    return BY_TYPE[type(x)].diagonal(x)


def one_hot(labels: Array, classes: int, dtype: str = "float32") -> Array:
    """1 at each label and 0 elsewhere.

    Args:
        labels: Whole numbers from 0 to `classes - 1`, of any shape.
        classes: Number of classes, N.
        dtype: Type of the elements.

    Returns:
        Array of the shape of `labels` and one axis of N more.

    Examples:
        >>> from ember_core import ops
        >>> ops.one_hot(ops.asarray([2, 0]), 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    module = BY_TYPE[type(labels)]
    labels = module.asarray(labels, "int64")
    return module.astype(labels[..., None] == module.arange(classes, like=labels), dtype)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    """Elements of `x` at `indices` (int) along `axis`."""
    return BY_TYPE[type(x)].take(x, indices, axis)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    """Elements of `x` at `indices` (int) along `axis`, each place with an index of its own.

    Args:
        x: Array.
        indices: Of the shape of `x` but for `axis`.
        axis: Axis the indices count along.
    """
    return BY_TYPE[type(x)].take_along_axis(x, indices, axis)


def ascontiguous(x: Array) -> Array:
    """`x` in C order in memory; `x` itself where it is so already."""
    return BY_TYPE[type(x)].ascontiguous(x)


def copy(x: Array) -> Array:
    """A copy of `x` in C order that shares no memory with it."""
    return BY_TYPE[type(x)].copy(x)
