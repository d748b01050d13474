"""Base class of codecs of Confluent's wire format: a zero byte, the schema's id, the record."""

from __future__ import annotations

import abc
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from stream.records import Decoded, Message, Reason

from ._base import Reading
from ._channels import SeriesIndex
from ._key import KeyExpression, Path
from ._records import RecordReader
from ._refused import Refused
from ._samples import Sample, SampleCodec
from ._schemas import Schemas

HEADER_BYTES = 5
_NOT_FRAMED = (
    "The value is not in Confluent's wire format. Expected a zero byte and the id of a schema."
)


def schema_id_of(value: bytes) -> int:
    """Return the id of the schema that a value is written by.

    Raises:
        Refused: If it has no header.
    """
    if len(value) < HEADER_BYTES or value[0] != 0:
        raise Refused(Reason.NOT_JSON, _NOT_FRAMED)
    return int.from_bytes(value[1:HEADER_BYTES], "big")


class FramedCodec(SampleCodec):
    """Codec of records that name their schemas, which a registry has.

    The records are shaped like the JSON codec's, nested or flat.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes, and readers of numbers and times.
        fetch: Schema of an id, None when there is none; may raise `RegistryUnavailable`.
        folder: Folder that keeps schemas for the next start; None fetches them again.
        clock: Monotonic clock in seconds, for the pause between requests to the registry.
        time: Path of the event time; empty takes Kafka's timestamp.
        values: Name of the record that holds the channels.
        fields: Name of a channel's field where it differs.
        records: Name of the array that holds the records; empty: a message is a record.

    Raises:
        UserError: If the package of the format is missing.
    """

    _kind = ""
    """Name of the kind of schema, for sentences."""

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        reading: Reading,
        *,
        fetch: Callable[[int], Any],
        folder: pathlib.Path | None = None,
        clock: Callable[[], float] = monotonic,
        time: Path = ("ts",),
        values: str = "values",
        fields: Mapping[str, str] | None = None,
        records: str = "",
    ) -> None:
        super().__init__(channels, key, reading)
        self._schemas = Schemas(fetch, self._parser(), folder, clock, kind=self._kind)
        self._reader = RecordReader(
            channels,
            key.paths,
            time=time,
            reading=reading,
            values=values,
            fields=fields,
            records=records,
        )

    @abc.abstractmethod
    def _parser(self) -> Callable[[Any], Any]:
        """Return the parser of a schema as the registry gives it.

        Raises:
            UserError: If the package of the format is missing.
        """

    @abc.abstractmethod
    def _record(self, schema: Any, value: bytes) -> Any:
        """Decode the record of a value.

        Args:
            schema: Its schema, parsed.
            value: The value, with its header.

        Raises:
            Refused: If it does not fit the schema.
        """

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode messages; ask the registry first, and block until it answers."""
        self.prepare(messages)
        return self.decode_known(messages)

    def decode_known(self, messages: Sequence[Message]) -> Decoded:
        """Decode messages without asking the registry; refuse those without a known schema."""
        return super().decode(messages)

    def lacks(self, messages: Iterable[Message]) -> list[int]:
        """Return the ids of schemas to look up before these messages are decoded."""
        heads = dict.fromkeys(m.value[:HEADER_BYTES] for m in messages if m.value)
        return self._schemas.lacks(
            int.from_bytes(head[1:], "big")
            for head in heads
            if len(head) == HEADER_BYTES and head[0] == 0
        )

    def look_up(self, ids: Iterable[int]) -> None:
        """Read schemas from disk, or ask the registry for them; blocks."""
        self._schemas.look_up(ids)

    def ready(self, messages: Sequence[Message]) -> int:
        """Return the number of leading messages that need no answer of the registry."""
        if self._schemas.waits:
            for number, message in enumerate(messages):
                value = message.value or b""
                waits = self._schemas.is_awaited(int.from_bytes(value[1:HEADER_BYTES], "big"))
                if waits and len(value) >= HEADER_BYTES and value[0] == 0:
                    return number
        return len(messages)

    def retry(self) -> str:
        """Repeat the requests that the registry did not answer; blocks.

        Returns:
            Reason why it still does not answer; empty when it does.
        """
        return self._schemas.retry()

    def prepare(self, messages: Sequence[Message]) -> None:
        """Ask the registry for the schemas of these messages, and block until it answers."""
        self.look_up(self.lacks(messages))

    def watch(self, index: SeriesIndex) -> None:
        """Read every field that holds a number; see `SampleCodec.watch`."""
        self._reader.watch(index)

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        schema_id = schema_id_of(value)
        schema = self._schemas.known(schema_id)
        if schema is None:
            raise Refused(Reason.NOT_JSON, self._schemas.explain(schema_id))
        return self._reader.samples(self._record(schema, value), message.timestamp)
