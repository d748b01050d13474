"""Reader of records that are nested mappings: of JSON, Avro, JSON Schema and protobuf."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from stream.errors import UserError
from stream.records import Reason

from ._base import Reading
from ._cells import Cells
from ._channels import SeriesIndex
from ._key import Path, prefixes, walk
from ._refused import Refused
from ._samples import EventTime, Sample, kafka_time

_ABSENT = object()
_MOST_ELEMENTS = 32
"""Elements of a list that are channels of their own; longer ones are curves or pictures."""


def channel_names(channels: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """Return the field name of each channel.

    Args:
        channels: Channel names, in the model's order.
        fields: Name of a channel's field where it differs.

    Raises:
        UserError: If two channels share a field.
    """
    owner: dict[str, str] = {}
    for channel in channels:
        name = fields.get(channel, channel)
        if name in owner:
            raise UserError(
                f"Two channels are read from one field. Expected a field for each channel. "
                f"Received: {owner[name]!r} and {channel!r} both from {name!r}. "
                "Check input.fields.",
                exit_code=2,
            )
        owner[name] = channel
    return list(owner)


def find(holder: Any, name: str) -> Any:
    """Return the value of a dotted name, or a mark that there is none (see `is_absent`).

    A key that is literally so comes before a path. A number selects an element of a list.

    Examples:
        >>> find({"env": {"temp": 21.5}}, "env.temp"), find({"cpu": [3, 4]}, "cpu.1")
        (21.5, 4)
    """
    if isinstance(holder, Mapping):
        if name in holder:
            return holder[name]
        dot = name.find(".")
        while dot >= 0:
            if name[:dot] in holder:
                value = find(holder[name[:dot]], name[dot + 1 :])
                if value is not _ABSENT:
                    return value
            dot = name.find(".", dot + 1)
    elif isinstance(holder, list):
        head, dots, tail = name.partition(".")
        if head.isascii() and head.isdecimal() and len(head) < 7 and int(head) < len(holder):
            item = holder[int(head)]
            return find(item, tail) if dots else item
    return _ABSENT


def is_absent(value: Any) -> bool:
    """Tell if `find` found nothing."""
    return value is _ABSENT


class RecordReader:
    """Reader of the samples of a decoded document.

    A channel is looked for in the object `values` first, then in the record itself.

    Args:
        channels: Channel names, in the model's order.
        key_paths: Paths of the key expression.
        time: Path of the event time; empty takes Kafka's timestamp.
        reading: Readers of numbers and times.
        values: Name of the object that holds the channels; empty: there is none.
        fields: Name of a channel's field where it differs.
        records: Name of the list that holds the records; empty: a document is a record, or a list
            of records.

    Raises:
        UserError: If two channels share a field.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key_paths: Sequence[Path],
        *,
        reading: Reading,
        time: Path = ("ts",),
        values: str = "values",
        fields: Mapping[str, str] | None = None,
        records: str = "",
    ) -> None:
        self._names = list(enumerate(channel_names(channels, fields or {})))
        self._time = time
        self._reading = reading
        self._time_name = ".".join(time)
        self._values = values
        self._records = records
        self._fields = {field: channel for channel, field in (fields or {}).items()}
        self._index: SeriesIndex | None = None
        # A field that is time or key, or an object that holds one, is no channel.
        paths = [path for path in (time, *key_paths) if path]
        self._reserved = prefixes(paths)
        holder = tuple(values.split("."))
        depth = len(holder)
        self._reserved_inside = prefixes([path[depth:] for path in paths if path[:depth] == holder])

    def watch(self, index: SeriesIndex) -> None:
        """Read every field from now on, each with a column of this index."""
        self._index = index

    def samples(self, document: Any, timestamp_ms: int, root: str = "$") -> list[Sample]:
        """Read the samples that hold at least one of the channels.

        Args:
            document: Decoded value of a message.
            timestamp_ms: Kafka's timestamp of the message.
            root: Place of the document, for refusals.

        Raises:
            Refused: If the document is no record and no list of records.
        """
        outer: Any = None
        listed = document
        if self._records and isinstance(document, Mapping):
            listed = find(document, self._records)
            if is_absent(listed) or listed is None:
                return []
            outer, root = document, f"{root}.{self._records}"
        if isinstance(listed, Mapping):
            return [self._sample(listed, outer, timestamp_ms, root)]
        if not isinstance(listed, list) or not any(isinstance(item, Mapping) for item in listed):
            if listed == []:
                return []
            kind = "array" if isinstance(listed, list) else type(listed).__name__
            raise Refused(
                Reason.WRONG_TYPE,
                f"Expected an object, or an array of objects, got `{kind}` - at `{root}`",
            )
        return [
            self._sample(item, outer, timestamp_ms, f"{root}[{i}]")
            for i, item in enumerate(listed)
            if isinstance(item, Mapping)
        ]

    def _every(self, record: Mapping[str, Any], holder: Any) -> Iterator[tuple[int, str]]:
        """Yield column and name of every field that may be a channel."""
        assert self._index is not None
        nested = isinstance(holder, Mapping)
        reserved = self._reserved_inside if nested else self._reserved
        for name in leaves(holder if nested else record, reserved):
            yield self._index.find(self._fields.get(name, name), {}), name

    def _sample(
        self, record: Mapping[str, Any], outer: Any, timestamp_ms: int, root: str
    ) -> Sample:
        cells = Cells(self._reading.numbers)
        holder = find(record, self._values) if self._values else _ABSENT
        nested = isinstance(holder, Mapping)
        for column, name in self._names if self._index is None else self._every(record, holder):
            value, prefix = _ABSENT, root
            if nested and name not in self._reserved_inside:
                value, prefix = find(holder, name), f"{root}.{self._values}"
            if value is _ABSENT and name not in self._reserved:
                value, prefix = find(record, name), root
            if value is not _ABSENT:
                cells.read(column, value, f"{prefix}.{name}")
        resolve = partial(_resolve, record, outer)
        if not self._time:
            return Sample(kafka_time(timestamp_ms), cells, resolve)
        time = EventTime(resolve(self._time), self._reading.times, f"{root}.{self._time_name}")
        return Sample(time, cells, resolve)


def leaves(holder: Any, reserved: Collection[str], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all values below a mapping.

    Args:
        holder: The mapping, or a list in it.
        reserved: Names that are no channels.
        prefix: Dotted name of the holder, with a dot behind.
    """
    if isinstance(holder, Mapping):
        members: Iterable[tuple[Any, Any]] = holder.items()
    elif isinstance(holder, list) and len(holder) <= _MOST_ELEMENTS:
        members = enumerate(holder)
    else:
        return
    for key, value in members:
        name = f"{prefix}{key}"
        if name not in reserved and not isinstance(value, Mapping | list):
            yield name
        yield from leaves(value, reserved, f"{name}.")


def _resolve(record: Any, outer: Any, path: Path) -> Any:
    """Return a field of the record, or else one beside the list of records."""
    value = walk(record, path)
    return walk(outer, path) if value is None and outer is not None else value
