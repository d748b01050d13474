"""JSON codec that decodes whole fetches at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import msgspec
import numpy as np

from stream.records import MAX_ABS_VALUE, Decoded, Message, Rejected

from ._base import JSON_ERRORS, Reading, check_size
from ._channels import SeriesIndex
from ._depth import MAX_DEPTH, too_deep
from ._json_columns import Columns, merged
from ._json_group import TypedGroup
from ._json_layout import Layout
from ._json_templates import Templates
from ._json_text import parse_json
from ._key import KeyExpression, Path
from ._records import RecordReader, channel_names
from ._refused import Refused
from ._samples import Rows, Sample, SampleCodec

_NEWLINE, _OPEN, _CLOSE = b"\n{}"

_CHUNK = 256
"""Messages decoded in one call.

Few enough to fit the cache, and few enough that one bad message slows down few others.
"""


class JsonCodec(SampleCodec):
    """Codec of `{"ts": .., "values": {..}}`, or of a flat object with the channels beside the time.

    The usual records are decoded many at a time, by their shape (`Layout`). All others are read
    one by one (`RecordReader`), with the same result where both can read them.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes, and readers of numbers and times.
        time: Path of the event time; empty takes Kafka's timestamp.
        values: Name of the object that holds the channels; empty: there is none.
        fields: Name of a channel's field where it differs.
        records: Name of the list that holds the records; empty: a message is a record, a list of
            records, or several in lines of their own.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        reading: Reading,
        *,
        time: Path = ("ts",),
        values: str = "values",
        fields: Mapping[str, str] | None = None,
        records: str = "",
    ) -> None:
        super().__init__(channels, key, reading)
        self._time = time
        self._time_path = "$." + ".".join(time)
        self._values = values
        self._reader = RecordReader(
            channels,
            key.paths,
            time=time,
            reading=reading,
            values=values,
            fields=fields,
            records=records,
        )
        names = channel_names(channels, fields or {})
        self._layouts = [] if records else _layouts(names, time, key.paths, values)
        self._preferred = self._layouts[0] if self._layouts else None
        self._templates = Templates(time, key.paths, reading.max_message_bytes)

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        raws = [message.value for message in messages]
        rejected: list[Rejected] = []
        singles = self._new_rows()
        groups, rest = self._templates.read(raws)
        typed: list[TypedGroup] = []
        for start in range(0, len(rest), _CHUNK):
            indices = rest[start : start + _CHUNK]
            chunk = [raws[index] for index in indices]
            records = self._decode_together(chunk)
            if records is None:
                self._decode_singly(indices, messages, chunk, typed, singles, rejected)
            else:
                assert self._preferred is not None
                _append(typed, self._preferred, indices, records)
        self._templates.learn(raws, typed, len(rest))
        groups += typed
        columns = Columns(messages, groups, self._channels)
        columns.check_values(self._reading.numbers, self._no_channels())
        columns.choose_keys(self._key, self._reading)
        if self._time:
            columns.read_times(self._reading.times, self._time_path)
        else:
            columns.take_kafka_times()
        decoded = columns.decoded(rejected)
        return merged(decoded, singles.decoded([])) if singles.is_used else decoded

    def shape(self, message: Message) -> Hashable | None:
        """Return the names of the fields, the kinds of numbers, and texts other than the time."""
        value = message.value
        if value is None or too_deep(value) or len(value) > self._reading.max_message_bytes:
            return None
        try:
            document = msgspec.json.decode(value)
        except JSON_ERRORS:
            return None
        if not isinstance(document, dict):
            return None
        time = document.get(self._time[0]) if len(self._time) == 1 else None
        if isinstance(time, str):  # another one in each record
            document[self._time[0]] = None
        return message.key is None, _shape(document)

    def _decode_together(self, raws: list[bytes | None]) -> list[Any] | None:
        """Decode messages in one call; return None unless each message is exactly one record.

        The messages are joined by newlines. Raw newlines stand only between them, and each newline
        stands between `}` and `{`, a sequence that no JSON document contains. So every message
        begins and ends at the top level and holds at least one document, and the number of
        documents shows that it holds no second one.
        """
        layout = self._preferred
        if layout is None:
            return None
        try:
            document = b"\n".join(raws)  # type: ignore[arg-type]
        except TypeError:
            return None
        sizes = np.fromiter(map(len, raws), dtype=np.int64, count=len(raws))  # type: ignore[arg-type]
        longest = int(sizes.max())
        if longest > self._reading.max_message_bytes or int(sizes.min()) == 0:
            return None
        if longest > 2 * MAX_DEPTH and any(map(too_deep, raws)):  # type: ignore[arg-type]
            return None
        text = np.frombuffer(document, dtype=np.uint8)
        newlines = np.cumsum(sizes + 1)[:-1] - 1
        if (
            np.count_nonzero(text == _NEWLINE) != len(newlines)
            or (text[newlines - 1] != _CLOSE).any()
            or (text[newlines + 1] != _OPEN).any()
            or text[0] != _OPEN
            or text[-1] != _CLOSE
        ):
            return None
        try:
            records: list[Any] = layout.decoder.decode_lines(document)
        except JSON_ERRORS:
            return None
        if len(records) != len(raws) or not layout.conform(document, records):
            return None
        return records

    def _decode_singly(
        self,
        indices: Sequence[int],
        messages: Sequence[Message],
        raws: list[bytes | None],
        groups: list[TypedGroup],
        singles: Rows,
        rejected: list[Rejected],
    ) -> None:
        """Decode messages one by one."""
        counts: Counter[Layout] = Counter()
        typed: dict[Layout, TypedGroup] = {}
        for i, raw in zip(indices, raws, strict=True):
            try:
                value = check_size(raw, self._reading)
                decoded = self._decode_one(value)
                if decoded is None:
                    singles.add(i, messages[i], self._samples(messages[i], value))
                    continue
            except Refused as refused:
                rejected.append(Rejected(i, refused.reason, refused.detail))
                continue
            layout, record = decoded
            group = typed.setdefault(layout, TypedGroup(layout, [], []))
            assert isinstance(group.indices, list)
            group.indices.append(i)
            group.records.append(record)
            counts[layout] += 1
        groups += typed.values()
        if counts:  # producers rarely mix shapes: the next fetch tries the most frequent one first
            self._preferred = counts.most_common(1)[0][0]

    def _decode_one(self, value: bytes) -> tuple[Layout, Any] | None:
        """Decode one message by a shape that reads all of it; None where there is none."""
        if self._preferred is None or too_deep(value):
            return None
        for layout in (self._preferred, *self._layouts):
            try:
                record = layout.decoder.decode(value)
            except JSON_ERRORS:
                continue
            if layout.conform(value, [record]):
                return layout, record
        return None

    def watch(self, index: SeriesIndex) -> None:
        """Read every field that holds a number; see `SampleCodec.watch`."""
        self._reader.watch(index)

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        documents = parse_json(value)
        if len(documents) == 1:
            return self._reader.samples(documents[0], message.timestamp)
        return [
            sample
            for i, document in enumerate(documents)
            for sample in self._reader.samples(document, message.timestamp, f"$[{i}]")
        ]

    def _no_channels(self) -> str:
        examples = ", ".join(self._channels[:5]) + (", ..." if len(self._channels) > 5 else "")
        place_text = (
            f"neither in `{self._values}` nor beside the time" if self._values else "anywhere"
        )
        return (
            f"The record has none of the model's channels ({examples}), {place_text}. Check "
            "input.values and input.fields."
        )


def _shape(value: Any) -> Hashable:
    """Return what two JSON values share of which the same can be used."""
    kind = type(value)
    if kind is float or kind is int:
        return bool(abs(value) <= MAX_ABS_VALUE)
    if kind is dict:
        return tuple([(name, _shape(member)) for name, member in value.items()])
    if kind is list:
        return kind, tuple(map(_shape, value))
    return kind, value


def _append(
    groups: list[TypedGroup], layout: Layout, indices: Sequence[int], records: list[Any]
) -> None:
    """Add records that were decoded at once; to the last group, where they follow those."""
    last = groups[-1] if groups else None
    if (
        last is not None
        and last.layout is layout
        and isinstance(last.indices, range)
        and isinstance(indices, range)
        and last.indices.stop == indices.start
    ):
        last.records.extend(records)
        last.indices = range(last.indices.start, indices.stop)
        return
    groups.append(TypedGroup(layout, indices, records))


def _layouts(
    names: Sequence[str], time: Path, key_paths: Sequence[Path], values: str
) -> list[Layout]:
    """Return the shapes that records may have; the first one is the most likely."""
    layouts = []
    dotted = any("." in name for name in names)
    # Without a name for the object there is none; one in another object needs the other reader.
    forms = (True, False) if values and "." not in values else (bool(values),)
    for nested, by_path in product(forms, (False, True) if dotted else (False,)):
        with suppress(ValueError):  # no typed record has this shape
            layouts.append(Layout(names, time, key_paths, values, nested=nested, by_path=by_path))
    return layouts
