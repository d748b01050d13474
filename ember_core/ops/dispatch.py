"""Dispatch of operations to the backend of an array, and the default backend for new arrays.

An operation looks its backend up by the type of the array it is given, so arrays of several
backends can live in one process. Only functions that make arrays from nothing ask for the default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from ember_core.distribution import install_command

Array: TypeAlias = Any
"""An array of any backend; shapes are in the docstrings."""

Shape: TypeAlias = "int | tuple[int, ...]"
Axis: TypeAlias = "int | tuple[int, ...] | None"

# Backend name -> (root module of its arrays, module that implements the operations).
BACKENDS: dict[str, tuple[str, str]] = {
    "mlx": ("mlx", "ember_core.ops.backends.mlx"),
    "numpy": ("numpy", "ember_core.ops.backends.numpy"),
    "torch": ("torch", "ember_core.ops.backends.torch"),
}
# NumPy's arrays while the `autograd` package follows them have a type of their own.
_TRACED = ("autograd", "ember_core.ops.backends.autograd")

_PLAIN = frozenset({bool, int, float, complex, list, tuple, range})
_default: ContextVar[str | None] = ContextVar("ember_backend", default=None)
_device: ContextVar[tuple[str, str] | None] = ContextVar("ember_device", default=None)


def load_backend(name: str) -> ModuleType:
    """Module that implements the operations of backend `name`.

    Raises:
        ValueError: If there is no backend of that name.
        ImportError: If its package is not installed.
    """
    if name not in BACKENDS:
        raise ValueError(
            f"There is no such array backend. Expected one of: {', '.join(sorted(BACKENDS))}. "
            f"Received: backend={name!r}. Check EMBER_BACKEND and ops.default_backend(...)."
        )
    return load_extra(name, BACKENDS[name][1])


def load_extra(package: str, module: str) -> ModuleType:
    """Import `module`, which needs the optional `package`, an extra of the same name.

    Raises:
        ImportError: If the package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(
            f"This needs {package}. Install it with: {install_command(package)}."
        ) from error


def available_backends() -> list[str]:
    """Names of the backends whose packages are installed."""
    return [name for name, (root, _) in sorted(BACKENDS.items()) if find_spec(root) is not None]


def default_name() -> str:
    """Name of the backend that makes new arrays here."""
    return _default.get() or os.environ.get("EMBER_BACKEND") or "numpy"


def default_module() -> ModuleType:
    """Module of the backend that makes new arrays here."""
    return load_backend(default_name())


def wanted_device(backend: str) -> str | None:
    """Device of new arrays of `backend` here, where one was asked for."""
    owner, name = _device.get() or (None, None)
    if owner == backend:
        return name
    owner = os.environ.get("EMBER_BACKEND") or "numpy"
    return (os.environ.get("EMBER_DEVICE") or None) if owner == backend else None


@contextmanager
def default_backend(name: str, device: str | None = None) -> Iterator[None]:
    """Make `name` the backend of new arrays inside a `with` block, in this thread and task.

    Outside such a block the environment variable `EMBER_BACKEND` decides, else NumPy.

    Args:
        name: A backend's name: `"numpy"`, `"torch"` or `"mlx"`.
        device: Device of new arrays, as `default_device`; unchanged without one.

    Raises:
        ValueError: If there is no backend or device of that name.
        ImportError: If the backend's package is not installed.

    Examples:
        >>> from ember_core import ops
        >>> with ops.default_backend("numpy"):
        ...     ops.backend_name(ops.zeros((2, 3)))
        'numpy'
    """
    load_backend(name)
    token = _default.set(name)
    try:
        if device is None:
            yield
        else:
            with default_device(device):
                yield
    finally:
        _default.reset(token)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    """Make `name` the device of new arrays of the default backend inside a `with` block.

    Outside such a block the environment variable `EMBER_DEVICE` decides, else the backend's own
    choice: the CPU for NumPy and PyTorch, for MLX what `mlx.core.default_device()` says.

    Args:
        name: `"cpu"`; with PyTorch also `"cuda"`, `"cuda:1"` or `"mps"`, with MLX `"gpu"`. MLX
            places operations, not arrays: there it is where all of the block is computed.

    Raises:
        ValueError: If the default backend has no such device on this machine.

    Examples:
        >>> from ember_core import ops
        >>> with ops.default_device("cpu"):
        ...     ops.device(ops.zeros((2, 3)))
        'cpu'
    """
    module = default_module()
    module.check_device(name)
    token = _device.set((default_name(), name))
    try:
        with module.on_device(name):
            yield
    finally:
        _device.reset(token)


def unknown_device(backend: str, name: str, known: list[str]) -> ValueError:
    """The error for a device a backend does not have here."""
    return ValueError(
        f"The {backend} backend has no such device here. Expected one of: {', '.join(known)}. "
        f"Received: device={name!r}. Check EMBER_DEVICE and ops.default_device(...)."
    )


class _ByType(dict[type, ModuleType]):
    """Array type -> backend module; a type is resolved once, then it is one dict lookup."""

    def __missing__(self, cls: type) -> ModuleType:
        roots = dict((*BACKENDS.values(), _TRACED))
        for base in cls.__mro__:
            path = roots.get(base.__module__.partition(".")[0])
            if path is None and base.__module__ in roots.values():
                path = base.__module__  # a backend's own type, such as a generator
            if path is not None:
                self[cls] = import_module(path)
                return self[cls]
            if base in _PLAIN:  # the default may change, so this answer is not kept
                return default_module()
        raise TypeError(
            f"No array backend knows this type. Expected an array of one of: "
            f"{', '.join(sorted(BACKENDS))}, or numbers. "
            f"Received: {cls.__module__}.{cls.__qualname__}. Convert it with ops.asarray(...)."
        )


BY_TYPE = _ByType()


class _ByTypes(dict[tuple[type, ...], ModuleType]):
    """Types of several arrays -> their one backend; numbers and NumPy's scalars go with any."""

    def __missing__(self, types: tuple[type, ...]) -> ModuleType:
        modules = {BY_TYPE[cls] for cls in types if cls not in _PLAIN}
        if not modules:  # the default may change, so this answer is not kept
            return default_module()
        if len({module.BACKEND for module in modules}) > 1:
            arrays = (c for c in types if c not in _PLAIN and not issubclass(c, np.generic))
            modules = {BY_TYPE[cls] for cls in arrays}
        backends = sorted({module.BACKEND for module in modules})
        if len(backends) > 1:
            raise TypeError(
                "The arrays of one operation are of two backends. Expected all of one. "
                f"Received: {' and '.join(backends)}. Convert with ops.to(x, backend=...)."
            )
        # NumPy's arrays may meet ones that autograd follows, which then decide.
        traced = next((m for m in modules if m.__name__ == _TRACED[1]), None)
        self[types] = traced or modules.pop()
        return self[types]


BY_TYPES = _ByTypes()


def backend_name(x: Array | None = None) -> str:
    """Name of the backend of `x`, or of the default one without an argument."""
    return default_name() if x is None else str(BY_TYPE[type(x)].BACKEND)
