"""Parameters of a stage in the form that its compiled loop takes, made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ember_core.pipeline.stage import Stage

Parameters = tuple[Any, ...]

_PREPARED: WeakKeyDictionary[Stage, tuple[Parameters, Parameters]] = WeakKeyDictionary()


def prepared(stage: Stage, sources: Parameters, make: Callable[..., Parameters]) -> Parameters:
    """Return the parameters of a compiled loop, made anew where a source is another object.

    Args:
        stage: Stage whose parameters they are.
        sources: Arrays and weights of the stage, which are replaced and never changed in place.
        make: Function of the stage that makes the parameters of them.
    """
    entry = _PREPARED.get(stage)
    if entry is None or any(a is not b for a, b in zip(entry[0], sources, strict=True)):
        entry = _PREPARED[stage] = sources, make(stage)
    return entry[1]
