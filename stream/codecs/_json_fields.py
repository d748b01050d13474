"""Fields of typed JSON records: of the channels, and those that must not be there."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ._cells import NAN

Fields = list[tuple[str, Any, Any]]

_NUMBER = float | bool | None
_MOST_PARTS = 4
"""Most parts of a name that is read as a path; the places to exclude grow with their square."""


class _Nothing:
    """Type of a field that must not be there: no value is of it."""


def nothing(kind: type, value: Any) -> Any:
    """Refuse the value of a field that must not be there; a decoder's hook."""
    raise msgspec.ValidationError(f"Expected no field, got `{type(value).__name__}`")


def is_typed(name: str) -> bool:
    """Tell if a typed record can have a field of this name."""
    return not any(c in '"\\' or c < " " or "\ud800" <= c <= "\udfff" for c in name)


def columns_as_named(names: Sequence[str], taken: set[str], siblings: set[str]) -> Fields:
    """Make a field for each channel, with its own name.

    Args:
        names: Field names of the channels.
        taken: Names of time and key, and of the objects they are in; they are no channels.
        siblings: Fields of time and key beside the channels.

    Raises:
        ValueError: If a channel could also be in one of the siblings.
    """
    columns: Fields = []
    for i, name in enumerate(names):
        kind: Any = _NUMBER
        wire = name
        if name in taken or not is_typed(name):
            kind, wire = _Nothing, f"\x7f{i}"  # a column that stays missing
        columns.append((f"c{i}", kind, msgspec.field(name=wire, default=NAN)))
    heads = [head for name in names if name not in taken for head in _heads(name)]
    return columns + _absent(heads, siblings, set(names))


def columns_by_path(
    names: Sequence[str], taken: set[str], siblings: set[str]
) -> tuple[Fields, Callable[[Any], tuple[Any, ...]]]:
    """Make fields of dotted names, and the function that gathers them from a record.

    Args:
        names: Field names of the channels.
        taken: Names of time and key, and of the objects they are in; they are no channels.
        siblings: Fields of time and key beside the channels.

    Raises:
        ValueError: If the names make no tree of typed records, or a channel could also be in one
            of the siblings.
    """
    tree: dict[str, Any] = {}
    for i, name in enumerate(names):
        parts = name.split(".")
        if len(parts) > _MOST_PARTS or name in taken or parts[0] in siblings or not is_typed(name):
            raise ValueError(f"No typed field can be read by the path {name!r}.")
        node = tree
        for head in parts[:-1]:
            node = node.setdefault(head, {})
            if not isinstance(node, dict):
                raise ValueError(f"{head!r} is a channel, and the beginning of {name!r}.")
        if parts[-1] in node:
            raise ValueError(f"{name!r} is a channel, and the beginning of another.")
        node[parts[-1]] = i
    paths: dict[int, str] = {}
    columns = _branch(tree, "", paths, siblings)
    gather: Any = operator.attrgetter(*(paths[i] for i in range(len(names))))
    return columns, gather if len(names) > 1 else lambda row: (gather(row),)


def forbidden(names: Sequence[str], taken: set[str], siblings: set[str]) -> Fields:
    """Make fields that must not be there: the channels, as named or by a path.

    Args:
        names: Field names of the channels.
        taken: Names that are no channels.
        siblings: Fields that are there.

    Raises:
        ValueError: If a channel could be in one of the siblings.
    """
    paths = [path for n in names if n not in taken for path in (n, *_heads(n))]
    return _absent(paths, siblings, set())


def _branch(tree: dict[str, Any], prefix: str, paths: dict[int, str], siblings: set[str]) -> Fields:
    """Make the fields of a node of the tree of names; note the attribute of each column."""
    columns: Fields = []
    for number, (name, node) in enumerate(tree.items()):
        if isinstance(node, int):
            attribute = f"c{node}"
            paths[node] = prefix + attribute
            columns.append((attribute, _NUMBER, msgspec.field(name=name, default=NAN)))
        else:
            attribute = f"s{number}"
            inner = _branch(node, f"{prefix}{attribute}.", paths, set())
            kind = msgspec.defstruct("Branch", inner, gc=False, frozen=True)
            columns.append((attribute, kind, msgspec.field(name=name, default=kind())))
    return columns + _absent(_joined(tree), siblings, set(tree))


def _absent(places: Iterable[str], siblings: set[str], columns: set[str]) -> Fields:
    """Make fields that must not be there, but for those that are columns.

    A column is a number: a record in which it is an object is not of this shape anyway.
    """
    names = {name for name in places if is_typed(name)} - columns
    if names & siblings:
        raise ValueError(f"A channel could be in {min(names & siblings)!r}.")
    return [
        (f"a{i}", _Nothing, msgspec.field(name=name, default=None))
        for i, name in enumerate(sorted(names))
    ]


def _heads(name: str) -> list[str]:
    """Return the names at which a path may begin."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _joined(tree: dict[str, Any]) -> list[str]:
    """Return the dotted names by which a value of the tree could be found without its path."""
    names = []
    for name, node in tree.items():
        if isinstance(node, dict):
            suffixes = [*node, *_joined(node)]
            names += [f"{name}.{suffix}" for suffix in suffixes]
    return names
