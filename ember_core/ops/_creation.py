"""Arrays from nothing, from numbers, from another backend, and back to NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .dispatch import BY_TYPE, Array, Shape, default_module, load_backend


def _maker(device: str | None, like: Array | None) -> tuple[ModuleType, Any]:
    """Return the backend of a new array, and its device in the backend's own terms."""
    module = default_module() if like is None else BY_TYPE[type(like)]
    return module, module.resolve_device(device, like)


def asarray(x: Any, dtype: str | None = None) -> Array:
    """`x` as an array: its own backend's where it is one, else the default backend's.

    Args:
        x: An array, a number or nested lists of numbers.
        dtype: Type of the elements, such as `"float32"`; `None` keeps that of `x`.

    Returns:
        `x` itself where nothing has to change.

    Examples:
        >>> from ember_core import ops
        >>> ops.asarray([[1, 2], [3, 5]], dtype="float32").shape
        (2, 2)
    """
    return BY_TYPE[type(x)].asarray(x, dtype)


def from_numpy(x: Any, *, device: str | None = None, like: Array | None = None) -> Array:
    """A NumPy array as an array of the default backend, of the same dtype.

    Args:
        x: A NumPy array, or what `numpy.asarray` makes one of.
        device: Device of the result; the default one without it.
        like: An array whose backend and device the result has, instead of the default ones.
    """
    module, resolved = _maker(device, like)
    return module.from_numpy(x, resolved)


def to_numpy(x: Array) -> Any:
    """`x` as a NumPy array on the host, detached from any graph; a view where possible."""
    return BY_TYPE[type(x)].to_numpy(x)


def to(
    x: Array,
    *,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    like: Array | None = None,
) -> Array:
    """`x` on another backend, on another device, with another dtype; itself where it is so already.

    Args:
        x: An array; numbers and lists become one of the default backend.
        backend: Name of a backend; that of `x` without it.
        device: Name of a device; that of `x` without it, of another backend its default one.
        dtype: Type of the elements; that of `x` without it.
        like: An array to whose backend and device `x` goes, instead of both names.

    Raises:
        ValueError: If there is no such backend or device.
        ImportError: If the backend's package is not installed.

    Examples:
        >>> from ember_core import ops
        >>> ops.dtype(ops.to(ops.ones((2, 3)), backend="numpy", dtype="float64"))
        'float64'
    """
    module = BY_TYPE[type(x)]
    x = module.asarray(x, dtype)
    if like is not None:
        target = BY_TYPE[type(like)]
        if target.BACKEND != module.BACKEND:
            return target.from_numpy(module.to_numpy(x), target.resolve_device(None, like))
        device = target.device(like)
        return x if module.device(x) == device else module.move(x, device)
    if backend is not None and backend != module.BACKEND:
        target = load_backend(backend)
        return target.from_numpy(module.to_numpy(x), target.resolve_device(device, None))
    return x if device is None else module.move(x, device)


def device(x: Array) -> str:
    """Name of the device `x` is on, such as `"cpu"` or `"cuda:0"`."""
    return str(BY_TYPE[type(x)].device(x))


def zeros(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Zeros of `shape`.

    Args:
        shape: Lengths of the axes.
        dtype: Type of the elements.
        device: Device; the default one without it.
        like: An array whose backend and device the result has, instead of the default ones.
    """
    module, resolved = _maker(device, like)
    return module.zeros(shape, dtype, resolved)


def ones(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Ones of `shape`; arguments as `zeros`."""
    module, resolved = _maker(device, like)
    return module.ones(shape, dtype, resolved)


def full(
    shape: Shape,
    value: float,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """`value` in every element of `shape`; other arguments as `zeros`."""
    module, resolved = _maker(device, like)
    return module.full(shape, value, dtype, resolved)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: str = "int64",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """`start, start + step, ...` below `stop`; from 0 where only one bound is given.

    Args:
        start: First number, or the bound where `stop` is not given.
        stop: Bound, not included.
        step: Distance.
        dtype: Type of the numbers.
        device: Device of the result, as for `zeros`.
        like: Array whose backend and device the result has, as for `zeros`.
    """
    module, resolved = _maker(device, like)
    return module.arange(start, stop, step, dtype, resolved)


def eye(
    n: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Identity matrix of shape `(n, n)`; other arguments as `zeros`."""
    module, resolved = _maker(device, like)
    return module.eye(n, dtype, resolved)


def zeros_like(x: Array) -> Array:
    """Zeros of the shape, dtype, backend and device of `x`."""
    return BY_TYPE[type(x)].zeros_like(x)


def ones_like(x: Array) -> Array:
    """Ones of the shape, dtype, backend and device of `x`."""
    return BY_TYPE[type(x)].ones_like(x)


def generator(
    seed: int | None = None, *, device: str | None = None, like: Array | None = None
) -> Any:
    """Make a generator of random numbers; there is no global seed.

    Args:
        seed: Start of its sequence; `None` seeds it from the system.
        device: Device of its numbers; the default device without one.
        like: An array whose backend and device it has, instead of the default ones.

    Examples:
        >>> from ember_core import ops
        >>> a, b = ops.generator(7), ops.generator(7)
        >>> bool((ops.random.uniform(a, (3,)) == ops.random.uniform(b, (3,))).all())
        True
    """
    module, resolved = _maker(device, like)
    return module.generator(seed, resolved)
