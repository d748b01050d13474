"""Typed shapes of a JSON record: where time, key fields and channels lie.

Records come *nested* (`{"ts": .., "values": {"cpu": ..}}`) or *flat* (`{"ts": .., "cpu": ..}`). For
each a `msgspec.Struct` is made that knows the model's channels, so that one typed decode parses and
checks a record, skips what nobody asked for, and yields the channels as a tuple in model order.
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
    """One of the two shapes.

    Args:
        channels: `C` channel names, in the model's order.
        fields: Name of a channel's field where it differs.
        time: Path of the time.
        paths: Paths of the key expression.
        values: Name of the object that holds the channels.
        nested: Which of the two shapes.

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
        outer = {path[0] for path in (time, *paths) if not nested or path[0] != values}
        inner = {path[1] for path in (time, *paths) if nested and path[0] == values and path[1:]}
        beside = inner if nested else outer
        columns = _channel_fields(channels, fields, taken=beside)
        extras: _Fields = [
            (f"f{i}", Any, msgspec.field(name=name, default=None))
            for i, name in enumerate(sorted(beside))
        ]
        attribute = {name: f"f{i}" for i, name in enumerate(sorted(beside))}
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
            guarded = values in {field.name for _, _, field in columns + extras}
            guard: _Fields = []
            if not guarded:
                guard = [("v", msgspec.Raw, msgspec.field(name=values, default=msgspec.Raw()))]
            self._record = msgspec.defstruct("FlatRecord", columns + extras + guard, gc=False)
            for path in (time, *paths):
                getter = operator.attrgetter(attribute[path[0]])
                self._resolvers[path] = (getter, path[1:])
            self._flat_guard: Callable[[Any], Any]
            if values in attribute:  # an object there is told from its Python type
                self._flat_guard = operator.attrgetter(attribute[values])
            elif not guarded:
                self._flat_guard = operator.attrgetter("v")
            else:  # a channel of that name: its type has refused an object already
                self._flat_guard = lambda record: None
        self._exact = nested and not extras
        self._time = time
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._record)

    def conform(self, records: Sequence[Any]) -> bool:
        """Whether all records are of this shape; decoding alone does not tell."""
        if self.nested:
            return type(None) not in set(map(type, map(operator.attrgetter("v"), records)))
        return not any(map(_is_object, map(self._flat_guard, records)))

    def times(self, records: Sequence[Any]) -> list[Any]:
        """The time of each record as decoded; None where it is missing."""
        getter, rest = self._resolvers[self._time]
        found = list(map(getter, records))
        return [walk(item, rest) for item in found] if rest else found

    def resolve(self, record: Any, path: Path) -> Any:
        """The value of one of the paths asked for."""
        if path not in self._resolvers:  # the object of the channels itself
            return {}
        getter, rest = self._resolvers[path]
        return walk(getter(record), rest)

    def matrix(self, records: Sequence[Any]) -> NDArray[np.float64]:
        """`(n, C)` channels in model order, NaN where missing or null."""
        width = self._width
        rows = map(operator.attrgetter("v"), records) if self.nested else records
        cells = map(msgspec.structs.astuple, rows)
        if not self._exact:
            cells = map(operator.itemgetter(slice(width)), cells)
        table = list(cells)
        try:
            flat = chain.from_iterable(table)
            out = np.fromiter(flat, dtype=np.float64, count=len(table) * width)
        except TypeError:  # a null among them: NumPy reads None as NaN, but more slowly
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
        # A field that is time or key cannot be a channel: no JSON has this name, it stays missing.
        wire = name if name not in taken else f"\x00{name}"
        columns.append((f"c{i}", float | None, msgspec.field(name=wire, default=NAN)))
    return columns
