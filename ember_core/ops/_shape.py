"""Shape, layout and selection."""

from __future__ import annotations

from collections.abc import Sequence

from .dispatch import BY_TYPE, BY_TYPES, Array, Shape


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


def broadcast_to(x: Array, shape: Shape) -> Array:
    """`x` repeated to `shape`, without a copy where the backend can; not to be written to."""
    return BY_TYPE[type(x)].broadcast_to(x, shape)


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays joined along an axis they have.

    Args:
        arrays: One array or more; all of one backend, equal in shape but for `axis`.
        axis: Axis to join along.
    """
    return BY_TYPES[tuple(map(type, arrays))].concatenate(arrays, axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays of one shape joined along a new axis."""
    return BY_TYPES[tuple(map(type, arrays))].stack(arrays, axis)


def tile(x: Array, repeats: Sequence[int]) -> Array:
    """`x` beside itself, `repeats[i]` times along axis `i`, one number for each axis."""
    return BY_TYPE[type(x)].tile(x, tuple(repeats))


def repeat(x: Array, repeats: int, axis: int) -> Array:
    """Every element of `x` `repeats` times in a row, along `axis`."""
    return BY_TYPE[type(x)].repeat(x, repeats, axis)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    """Elements of `x` at `indices` (int) along `axis`."""
    return BY_TYPE[type(x)].take(x, indices, axis)


def ascontiguous(x: Array) -> Array:
    """`x` in C order in memory; `x` itself where it is so already."""
    return BY_TYPE[type(x)].ascontiguous(x)


def copy(x: Array) -> Array:
    """A copy of `x` in C order that shares no memory with it."""
    return BY_TYPE[type(x)].copy(x)
