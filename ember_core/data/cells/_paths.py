"""Names of the cells in a nested record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(record: Mapping[str, Any], values: str = "values") -> Iterator[tuple[str, Any]]:
    """Yield the cells of a record with their dotted paths, in the order of the record.

    Args:
        record: Object as decoded from JSON.
        values: Object at the top whose members go by their own names.
    """
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _below(value, "" if name == values else name)
        else:
            yield name, value


def _below(record: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping):
            yield from _below(value, path)
        else:
            yield path, value
