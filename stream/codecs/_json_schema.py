"""JSON behind the header of Confluent's wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from stream.records import Decoded, Message

from ._base import Reading
from ._channels import Series, SeriesIndex
from ._framed import HEADER_BYTES
from ._json import JsonCodec
from ._key import KeyExpression, Path


class _Body(NamedTuple):
    """A message without the header of its value."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: Sequence[tuple[str, bytes]]


class JsonSchemaCodec(JsonCodec):
    """Codec of records of the schema registry's kind `JSON`.

    The record says all that is needed, so the registry is not asked. A value without the header,
    as producers write it that put the schema's id into Kafka's headers, is read as it is.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes, and readers of numbers and times.
        time: Path of the event time; empty takes Kafka's timestamp.
        values: Name of the object that holds the channels; empty: there is none.
        fields: Name of a channel's field where it differs.
        records: Name of the list that holds the records; empty: a message is a record.
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
        body = replace(reading, max_message_bytes=max(0, reading.max_message_bytes - HEADER_BYTES))
        super().__init__(
            channels, key, body, time=time, values=values, fields=fields, records=records
        )

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        return super().decode([_without_header(message) for message in messages])

    def series(self, message: Message, index: SeriesIndex) -> Iterator[tuple[Series, bool]]:
        """Yield the measurements of a message; see `SampleCodec.series`."""
        return super().series(_without_header(message), index)


def _without_header(message: Message) -> Message:
    value = message.value
    if value is None or len(value) < HEADER_BYTES or value[0] != 0:
        return message
    return _Body(
        message.key, value[HEADER_BYTES:], message.timestamp, message.offset, message.headers
    )
