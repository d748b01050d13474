"""Objects to plain JSON values and back: `{"class": name, "config": {...}}`."""

from __future__ import annotations

import inspect
from typing import Any


def constructor_config(obj: Any, *, skip: frozenset[str]) -> dict[str, Any]:
    """The constructor's arguments, read from the fields of the same names.

    Raises:
        TypeError: If an argument was not kept as a field.
    """
    config: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(obj).__init__).parameters.items():
        if name == "self" or name in skip or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if not hasattr(obj, name):
            raise TypeError(
                f"{type(obj).__name__} cannot say how it was made. Expected a field for each "
                f"argument of its constructor. Missing: {name!r}. Keep it, or write get_config()."
            )
        config[name] = encode(getattr(obj, name))
    return config


def encode(value: Any) -> Any:
    """`value` as JSON values; objects with `get_config` keep their class's name."""
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, "config": value.get_config()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return value


def decode(value: Any, *bases: type) -> Any:
    """The value that `encode` was given, its objects made by the subclasses of `bases`."""
    if isinstance(value, list):
        return [decode(item, *bases) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {"class", "config"}:
        return {key: decode(item, *bases) for key, item in value.items()}
    return find_class(value["class"], *bases).from_config(value["config"])


def find_class(name: str, *bases: type) -> Any:
    """The class called `name` among `bases` and what derives from them.

    Raises:
        ValueError: If none of those defined so far has that name.
    """
    classes: dict[str, type] = {}
    pending = list(bases)
    while pending:
        cls = pending.pop()
        classes.setdefault(cls.__name__, cls)
        pending += cls.__subclasses__()
    if name not in classes:
        raise ValueError(
            f"The configuration names a class that is not known here. Expected one of: "
            f"{', '.join(sorted(classes))}. Received: class={name!r}. "
            "Import the module it lives in."
        )
    return classes[name]
