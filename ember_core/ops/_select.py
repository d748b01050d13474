"""Which backend serves an array, and which one makes new arrays.

An operation looks its backend up by the type of the array it is given, so arrays of several
backends can live in one process. Only functions that make arrays from nothing ask for the default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of any backend; shapes are in the docstrings."""

Shape: TypeAlias = "int | tuple[int, ...]"

# Backend name -> (root module of its arrays, module that implements the operations).
BACKENDS: dict[str, tuple[str, str]] = {
    "numpy": ("numpy", "ember_core.ops._numpy"),
}

_PLAIN = frozenset({bool, int, float, complex, list, tuple, range})
_default: ContextVar[str | None] = ContextVar("ember_backend", default=None)


def load_backend(name: str) -> ModuleType:
    """Module that implements the operations of backend `name`.

    Raises:
        ValueError: If there is no backend of that name.
    """
    if name not in BACKENDS:
        raise ValueError(
            f"There is no such array backend. Expected one of: {', '.join(sorted(BACKENDS))}. "
            f"Received: backend={name!r}. Check EMBER_BACKEND and ops.default_backend(...)."
        )
    return import_module(BACKENDS[name][1])


def default_name() -> str:
    """Name of the backend that makes new arrays here."""
    return _default.get() or os.environ.get("EMBER_BACKEND") or "numpy"


def default_module() -> ModuleType:
    """Module of the backend that makes new arrays here."""
    return load_backend(default_name())


@contextmanager
def default_backend(name: str) -> Iterator[None]:
    """Make `name` the backend of new arrays inside a `with` block, in this thread and task.

    Outside such a block the environment variable `EMBER_BACKEND` decides, else NumPy.

    Args:
        name: A backend's name, such as `"numpy"`.

    Raises:
        ValueError: If there is no backend of that name.

    Example:
        >>> from ember_core import ops
        >>> with ops.default_backend("numpy"):
        ...     ops.backend_name(ops.zeros((2, 3)))
        'numpy'
    """
    load_backend(name)
    token = _default.set(name)
    try:
        yield
    finally:
        _default.reset(token)


class _ByType(dict[type, ModuleType]):
    """Array type -> backend module; a type is resolved once, then it is one dict lookup."""

    def __missing__(self, cls: type) -> ModuleType:
        roots = {root: name for name, (root, _) in BACKENDS.items()}
        for base in cls.__mro__:
            name = roots.get(base.__module__.partition(".")[0])
            if name is not None:
                self[cls] = load_backend(name)
                return self[cls]
            if base in _PLAIN:  # the default may change, so this answer is not kept
                return default_module()
        raise TypeError(
            f"No array backend knows this type. Expected an array of one of: "
            f"{', '.join(sorted(BACKENDS))}, or numbers. "
            f"Received: {cls.__module__}.{cls.__qualname__}. Convert it with ops.asarray(...)."
        )


BY_TYPE = _ByType()


def of_first(x: Array, y: Array) -> ModuleType:
    """Backend of `x`, or of `y` where `x` is a plain number."""
    return BY_TYPE[type(y) if type(x) in _PLAIN else type(x)]


def backend_name(x: Array | None = None) -> str:
    """Name of the backend of `x`, or of the default one without an argument."""
    if x is None:
        return default_name()
    module = BY_TYPE[type(x)].__name__
    return next(name for name, (_, path) in BACKENDS.items() if path == module)
