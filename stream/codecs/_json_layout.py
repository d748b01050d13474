"""Typed shapes of a JSON record: positions of time, key fields and channels.

Records are *nested* (`{"ts": .., "values": {"cpu": ..}}`) or *flat* (`{"ts": .., "cpu": ..}`). Each
shape is a `msgspec.Struct` with the model's channels as fields. One typed decode then parses and
checks a record, skips all other fields, and yields the channels as a tuple in model order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.errors import UserError

from ._base import NAN
from ._key import Path, walk

_Fields = list[tuple[str, Any, Any]]


class Layout:
    """Decoder of one of the two shapes.

    Args:
        channels: `C` channel names, in the model's order.
        fields: Name of a channel's field where it differs.
        time: Path of the event time.
        paths: Paths of the key expression.
        values: Name of the object that holds the channels.
        nested: True for the nested shape, False for the flat one.

    Raises:
        UserError: If two channels share a field.
    """

    def __init__(
        self,
        channels: Sequence[str],
        fields: Mapping[str, str],
        time: Path,
        paths: Iterable[Path],
        values: str,
        *,
        nested: bool,
    ) -> None:
        self.nested = nested
        self._width = len(channels)
        # Fields that time and key need: beside `values` (outer), and inside of it (inner).
        outer = {path[0] for path in (time, *paths) if not nested or path[0] != values}
        inner = {path[1] for path in (time, *paths) if nested and path[0] == values and path[1:]}
        siblings = inner if nested else outer
        columns = _channel_fields(channels, fields, taken=siblings)
        extras: _Fields = [
            (f"f{i}", Any, msgspec.field(name=name, default=None))
            for i, name in enumerate(sorted(siblings))
        ]
        attribute = {name: f"f{i}" for i, name in enumerate(sorted(siblings))}
        self._resolvers: dict[Path, tuple[operator.attrgetter[Any], Path]] = {}
        if nested:
            self._values_type = msgspec.defstruct("Values", columns + extras, gc=False)
            heads = {name: f"h{i}" for i, name in enumerate(sorted(outer))}
            top: _Fields = [
                (attr, Any, msgspec.field(name=name, default=None)) for name, attr in heads.items()
            ]
            top.append(("v", self._values_type | None, msgspec.field(name=values, default=None)))
            self._record = msgspec.defstruct("Record", top, gc=False)
            for path in (time, *paths):
                if path[0] != values:
                    self._resolvers[path] = (operator.attrgetter(heads[path[0]]), path[1:])
                elif path[1:]:
                    getter = operator.attrgetter(f"v.{attribute[path[1]]}")
                    self._resolvers[path] = (getter, path[2:])
        else:
            # A flat record must not have an object named `values`: that would be the other shape.
            # A guard field reads it raw, unless a column or a key field has that name already.
            guarded = values in {field.name for _, _, field in columns + extras}
            guard: _Fields = []
            if not guarded:
                guard = [("v", msgspec.Raw, msgspec.field(name=values, default=msgspec.Raw()))]
            self._record = msgspec.defstruct("FlatRecord", columns + extras + guard, gc=False)
            for path in (time, *paths):
                getter = operator.attrgetter(attribute[path[0]])
                self._resolvers[path] = (getter, path[1:])
            self._flat_guard: Callable[[Any], Any]
            if values in attribute:  # decoded as Any, so that an object shows as a dict
                self._flat_guard = operator.attrgetter(attribute[values])
            elif not guarded:
                self._flat_guard = operator.attrgetter("v")
            else:  # a channel of that name: its type refuses an object already
                self._flat_guard = lambda record: None
        self._exact = nested and not extras
        self._time = time
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._record)

    def conform(self, records: Sequence[Any]) -> bool:
        """Tell if all records are of this shape; decoding alone does not."""
        if self.nested:
            return type(None) not in set(map(type, map(operator.attrgetter("v"), records)))
        return not any(map(_is_object, map(self._flat_guard, records)))

    def times(self, records: Sequence[Any]) -> list[Any]:
        """Return the time of each record as decoded; None where it is missing."""
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


def _channel_fields(
    channels: Sequence[str], fields: Mapping[str, str], taken: set[str]
) -> list[tuple[str, Any, Any]]:
    owner: dict[str, str] = {}
    columns: _Fields = []
    for i, channel in enumerate(channels):
        name = fields.get(channel, channel)
        if name in owner:
            raise UserError(
                f"Two channels are read from one field. Expected a field for each channel. "
                f"Received: {owner[name]!r} and {channel!r} both from {name!r}. "
                "Check input.fields.",
                exit_code=2,
            )
        owner[name] = channel
        # A field that is time or key cannot be a channel. Its column gets a name that no JSON field
        # has, so that the channel stays missing.
        wire = name if name not in taken else f"\x00{name}"
        columns.append((f"c{i}", float | None, msgspec.field(name=wire, default=NAN)))
    return columns
