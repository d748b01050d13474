"""Fields of records by their paths, and the text of a path in the settings."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]
Scalar = str | int | float | bool

_NAME = re.compile(r"[\w@$:-]+")
_MOST_DEPTH = 6


def scalars(record: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield path and value of all texts, numbers and Booleans of a record, but those in lists."""
    for name, value in record.items():
        path = (*prefix, str(name))
        if isinstance(value, Mapping):
            if len(path) < _MOST_DEPTH:
                yield from scalars(value, path)
        elif isinstance(value, str | int | float):
            yield path, value


def columns_of(records: Sequence[Mapping[str, Any]]) -> dict[Path, dict[int, Scalar]]:
    """Return the values of each field by the number of the record."""
    columns: dict[Path, dict[int, Scalar]] = defaultdict(dict)
    for number, record in enumerate(records):
        for path, value in scalars(record):
            columns[path][number] = value
    return dict(columns)


def value_at(record: Any, path: Sequence[str]) -> Any:
    """Return the value at a path of nested objects; None where there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def can_be_named(path: Path) -> bool:
    """Tell if the settings can name a field: its first name stands without quotes."""
    return bool(path) and _NAME.fullmatch(path[0]) is not None


def path_text(path: Path) -> str:
    """Return a path as the settings write it.

    Examples:
        >>> path_text(("tags", "host")), path_text(("resource", "host.name"))
        ('tags.host', 'resource["host.name"]')
    """
    text = path[0]
    for name in path[1:]:
        plain = _NAME.fullmatch(name) is not None
        text += f".{name}" if plain else f"[{json.dumps(name, ensure_ascii=False)}]"
    return text
