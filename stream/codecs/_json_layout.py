"""Typed shapes of a JSON record: positions of time, key fields and channels.

Records are *nested* (`{"ts": .., "values": {"cpu": ..}}`) or *flat* (`{"ts": .., "cpu": ..}`). Each
shape is a `msgspec.Struct` with the model's channels as fields. One typed decode then parses and
checks a record, skips all other fields, and yields the channels in model order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ._json_fields import Fields, columns_as_named, columns_by_path, forbidden, is_typed, nothing
from ._key import Path, prefixes, walk


class Layout:
    """Decoder of one of the shapes.

    A record that it decodes gives the channels that `RecordReader` would read. Where a channel
    could also be found at another place, a field there is forbidden: such a record is not of this
    shape, and is left to that reader.

    Args:
        names: Field name of each of the `C` channels, in the model's order.
        time: Path of the event time; empty: the record has none.
        paths: Paths of the key expression.
        values: Name of the object that holds the channels; empty: there is none.
        nested: True for the nested shape, False for the flat one.
        by_path: True reads dotted names as paths, False as they are.

    Raises:
        ValueError: If a typed record cannot express this shape.
    """

    def __init__(
        self,
        names: Sequence[str],
        time: Path,
        paths: Iterable[Path],
        values: str,
        *,
        nested: bool,
        by_path: bool,
    ) -> None:
        self.nested = nested
        self._width = len(names)
        all_paths = [path for path in (time, *paths) if path]
        # Fields that time and key need: beside `values` (outer), and inside of it (inner).
        outer = {path[0] for path in all_paths if not nested or path[0] != values}
        inner_paths = [path[1:] for path in all_paths if path[0] == values]
        inner = {path[0] for path in inner_paths if path} if nested else set()
        siblings = inner if nested else outer
        # Columns come first in the struct: `matrix` cuts the rest off by their position.
        self._gather: Callable[[Any], tuple[Any, ...]] | None = None
        reserved = prefixes(inner_paths if nested else all_paths)
        if by_path:
            columns, self._gather = columns_by_path(names, reserved, siblings)
            if not nested and any(name.split(".")[0] == values for name in names):
                raise ValueError(f"A record with the object {values!r} is nested.")
        else:
            columns = columns_as_named(names, reserved, siblings)
        extras: Fields = [
            (f"f{i}", Any, msgspec.field(name=name, default=None))
            for i, name in enumerate(sorted(siblings))
        ]
        attribute = {name: f"f{i}" for i, name in enumerate(sorted(siblings))}
        self._exact = nested and len(columns) == self._width and not extras
        self._resolvers: dict[Path, tuple[operator.attrgetter[Any], Path]] = {}
        self._flat_guard: Callable[[Any], Any] | None = None
        if nested:
            self._values_type = msgspec.defstruct("Values", columns + extras, gc=False)
            heads = {name: f"h{i}" for i, name in enumerate(sorted(outer))}
            top: Fields = [
                (attr, Any, msgspec.field(name=name, default=None)) for name, attr in heads.items()
            ]
            top.append(("v", self._values_type | None, msgspec.field(name=values, default=None)))
            top += forbidden(names, prefixes(all_paths), {*outer, values})
            self._record = msgspec.defstruct("Record", top, gc=False)
            for path in all_paths:
                if path[0] != values:
                    self._resolvers[path] = (operator.attrgetter(heads[path[0]]), path[1:])
                elif path[1:]:
                    getter = operator.attrgetter(f"v.{attribute[path[1]]}")
                    self._resolvers[path] = (getter, path[2:])
        else:
            # A flat record must not have an object named `values`: that would be the other shape.
            # A guard field reads it raw, unless a column or a key field has that name already.
            guard: Fields = []
            if values in attribute:  # decoded as Any, so that an object shows as a dict
                self._flat_guard = operator.attrgetter(attribute[values])
            elif values and values not in {field.name for _, _, field in columns}:
                guard = [("v", msgspec.Raw, msgspec.field(name=values, default=msgspec.Raw()))]
                self._flat_guard = operator.attrgetter("v")
            self._record = msgspec.defstruct("FlatRecord", columns + extras + guard, gc=False)
            for path in all_paths:
                getter = operator.attrgetter(attribute[path[0]])
                self._resolvers[path] = (getter, path[1:])
        self._time = time
        self._escapes = not all(map(is_typed, names))
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            self._record, dec_hook=nothing
        )

    def conform(self, document: bytes, records: Sequence[Any]) -> bool:
        """Tell if all records of a document are of this shape; decoding alone does not."""
        if self._escapes and b"\\" in document:
            return False  # a name may be there that no typed field can have
        if self.nested:
            return type(None) not in set(map(type, map(operator.attrgetter("v"), records)))
        return self._flat_guard is None or not any(map(_is_object, map(self._flat_guard, records)))

    def times(self, records: Sequence[Any]) -> list[Any]:
        """Return the time of each record as decoded; None where it is missing."""
        if self._time not in self._resolvers:
            return [self.resolve(record, self._time) for record in records]
        getter, tail = self._resolvers[self._time]
        items = list(map(getter, records))
        return [walk(item, tail) for item in items] if tail else items

    def resolve(self, record: Any, path: Path) -> Any:
        """Return the value at one of the key expression's paths."""
        if path not in self._resolvers:  # the object of the channels itself
            return {}
        getter, tail = self._resolvers[path]
        return walk(getter(record), tail)

    def matrix(self, records: Sequence[Any]) -> NDArray[np.float64]:
        """Return the channels `(n, C)` in model order, NaN where missing or null."""
        width = self._width
        rows = map(operator.attrgetter("v"), records) if self.nested else records
        if self._gather is not None:
            cells: Iterable[tuple[Any, ...]] = map(self._gather, rows)
        else:
            cells = map(msgspec.structs.astuple, rows)
            if not self._exact:
                cells = map(operator.itemgetter(slice(width)), cells)
        table = list(cells)
        try:
            flat = chain.from_iterable(table)
            out = np.fromiter(flat, dtype=np.float64, count=len(table) * width)
        except TypeError:  # `fromiter` takes no None; `array` reads it as NaN, but more slowly
            out = np.array(table, dtype=np.float64)
        return out.reshape(len(table), width)


def _is_object(item: Any) -> bool:
    if type(item) is msgspec.Raw:
        return bytes(item)[:1] == b"{"
    return type(item) is dict
