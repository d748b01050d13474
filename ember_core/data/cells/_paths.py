"""Names of the cells in a nested record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

_MOST_ITEMS = 64
"""Longer lists are one cell: they hold a signal, not channels."""


def leaves(record: Mapping[str, Any], values: str = "values") -> Iterator[tuple[str, Any]]:
    """Yield the cells of a record with their dotted paths, in the order of the record.

    Args:
        record: Object as decoded from JSON.
        values: Object at the top whose members go by their own names.
    """
    for name, value in record.items():
        if name == values and isinstance(value, Mapping):
            yield from _below(value, "")
        else:
            yield from _cells(name, value)


def cells_of(
    record: Mapping[str, Any], outer: Collection[str] = (), values: str = "values"
) -> dict[str, Any]:
    """Return the cells of a record by their names.

    Where two have one name, the stream's order holds: the object `values` comes before the rest,
    and a name that stands so in the record before a path.

    Args:
        record: Object as decoded from JSON.
        outer: Names of the time and the key, which the record itself has first.
        values: Object at the top whose members go by their own names.
    """
    candidate = record.get(values)
    inner = candidate if isinstance(candidate, Mapping) else {}
    cells = dict(leaves(record, values))
    for name, value in record.items():
        if name in cells and name not in inner and not isinstance(value, (Mapping, list)):
            cells[name] = value
    for name, value in _below(inner, ""):
        if name in cells:
            cells[name] = value
    for name, value in inner.items():
        if name in cells and not isinstance(value, (Mapping, list)):
            cells[name] = value
    for name in outer:
        if name in record and name in cells:
            cells[name] = record[name]
    return cells


def _below(record: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        yield from _cells(f"{prefix}.{name}" if prefix else name, value)


def _cells(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from _below(value, path)
    elif isinstance(value, list) and 0 < len(value) <= _MOST_ITEMS:
        for i, item in enumerate(value):
            yield from _cells(f"{path}.{i}", item)
    else:
        yield path, value
