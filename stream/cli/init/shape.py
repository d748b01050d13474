"""Shape of JSON-like records: the list they stand in, the object of their channels, their time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .fields import Path, Scalar, can_be_named, columns_of, path_text, value_at
from .times import TimeField, find_time

_MOST_SHAPED = 500
_MOST_ITEMS = 50
_NEARLY_ALL = 0.9
_COMMA_NUMBER = re.compile(r"[+-]?\d[\d.\s]*,(\d+)")


@dataclass(frozen=True)
class Shape:
    """Settings of the shape of records.

    Attributes:
        time: Event time.
        values: Object that holds the channels; None: as by default.
        records: List that holds the records; empty: none.
        decimal: Decimal sign of numbers in text; empty: a point.
    """

    time: TimeField
    values: str | None = None
    records: str = ""
    decimal: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """Settings of `[input]`."""
        shape = {"records": self.records} if self.records else {}
        if self.values is not None:
            shape["values"] = self.values
        if self.decimal:
            shape["decimal"] = self.decimal
        return {**self.time.settings, **shape}


def find_shape(
    documents: Sequence[Sequence[Mapping[str, Any]]],
    stamps_ms: Sequence[int],
    *,
    time: str = "",
    zone: str = "",
) -> Shape | None:
    """Return the shape of some messages; None where they hold no objects.

    Args:
        documents: Objects in each message.
        stamps_ms: Kafka's timestamp of each message.
        time: Field of the time, where it is known.
        zone: Zone of times without an offset, where it is known.
    """
    objects: list[Mapping[str, Any]] = []
    stamps: list[int] = []
    for members, stamp_ms in zip(documents, stamps_ms, strict=True):
        objects += members[:_MOST_ITEMS]
        stamps += [stamp_ms] * min(len(members), _MOST_ITEMS)
    if not objects:
        return None
    step = max(1, len(objects) // _MOST_SHAPED)
    objects, stamps = objects[::step], stamps[::step]
    records, holder = _list_of_records(objects), ""
    if records is not None:
        holder = path_text(records)
        objects, stamps = _unfold(objects, stamps, records)
    columns = columns_of(objects)
    time_field = find_time(columns, stamps, only=time, zone=zone)
    decimal = "," if any(map(_has_commas, columns.values())) else ""
    return Shape(time_field, _values(columns, time_field.path), holder, decimal)


def _list_of_records(objects: Sequence[Mapping[str, Any]]) -> Path | None:
    """Return the list that the records stand in, where each has a time or nothing is beside it."""
    counts: Counter[Path] = Counter()
    for item in objects:
        for name, value in item.items():
            inner: list[Path] = [(name,)] if isinstance(value, list) else []
            if isinstance(value, Mapping):
                inner = [(name, str(n)) for n, v in value.items() if isinstance(v, list)]
            for path in inner:
                members: Any = item[path[0]] if len(path) == 1 else item[path[0]][path[1]]
                if members and all(isinstance(member, Mapping) for member in members):
                    counts[path] += 1
    if not counts:
        return None
    ((path, count),) = counts.most_common(1)
    if count < len(objects) / 2 or not can_be_named(path):
        return None
    items, stamps = _unfold(objects, [0] * len(objects), path)
    inner_time = find_time(columns_of(items), stamps).path
    has_time = bool(inner_time) and not any(value_at(item, inner_time) for item in objects)
    outer_columns = columns_of(objects)
    outer_time = find_time(outer_columns, [0] * len(objects)).path
    has_numbers = any(_is_number(column) and p != outer_time for p, column in outer_columns.items())
    return path if has_time or not has_numbers else None


def _unfold(
    objects: Sequence[Mapping[str, Any]], stamps: Sequence[int], path: Path
) -> tuple[list[Mapping[str, Any]], list[int]]:
    """Return the members of a list in each object, with the fields beside it."""
    items: list[Mapping[str, Any]] = []
    item_stamps: list[int] = []
    for item, stamp in zip(objects, stamps, strict=True):
        members = value_at(item, path)
        if isinstance(members, list):
            records = [m for m in members[:_MOST_ITEMS] if isinstance(m, Mapping)]
            items += [{**item, **record} for record in records]
            item_stamps += [stamp] * len(records)
    return items, item_stamps


def _values(columns: Mapping[Path, Mapping[int, Scalar]], time: Path) -> str | None:
    """Return the object that holds the channels, where all numbers are in one."""
    paths = [path for path in columns if path != time]
    heads = {path[0] for path in paths}
    prefix: Path = ()
    if {"schema", "payload"} >= heads and "payload" in heads:  # Kafka Connect
        prefix = ("payload",)
    inner = {path[len(prefix)] for path in paths if path[: len(prefix)] == prefix != path}
    if {"op", "after"} <= inner:  # Debezium
        return path_text((*prefix, "after"))
    # Down to the innermost object that holds all numbers: its members then have short names.
    numbers = [p for p in paths if p[: len(prefix)] == prefix and _is_number(columns[p])]
    while numbers and all(len(p) > len(prefix) + 1 for p in numbers):
        names = {p[len(prefix)] for p in numbers}
        if len(names) > 1:
            break
        prefix = (*prefix, *names)
    if not prefix or prefix == ("values",) or any("." in name for name in prefix):
        return None
    return ".".join(prefix)


def _has_commas(column: Mapping[int, Scalar]) -> bool:
    """Tell if all values are numbers in text with a decimal comma."""
    texts = [value for value in column.values() if isinstance(value, str)]
    numbers = [_COMMA_NUMBER.fullmatch(text.strip()) for text in texts]
    # 1,234 may be a thousand and more; a fraction of another length is none.
    return bool(texts) and all(numbers) and any(n and len(n[1]) != 3 for n in numbers)


def _is_number(column: Mapping[int, Scalar]) -> bool:
    numbers = sum(_reads_as_number(value) for value in column.values())
    return numbers > _NEARLY_ALL * len(column)


def _reads_as_number(value: Scalar) -> bool:
    if not isinstance(value, str):
        return True
    try:
        float(value.replace(",", "."))
    except ValueError:
        return False
    return True
