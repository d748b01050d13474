"""Protobuf in Confluent's wire format."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ember_core.distribution import install_command
from stream.errors import UserError
from stream.records import Reason

from ._framed import HEADER_BYTES, FramedCodec
from ._refused import Refused
from ._wire import WireError, sint, varint

_MOST_INDEXES = 100


class ProtobufCodec(FramedCodec):
    """Codec of protobuf, by the schema registry's descriptors. See `FramedCodec`.

    Fields have the names of the .proto file. A field that cannot be told from its zero is 0 where
    it is not sent. Timestamps, wrappers and decimals of the well-known types need no settings; an
    enum is its number.
    """

    _kind = "Protobuf"

    def _parser(self) -> Callable[[Any], Any]:
        try:
            schemas = importlib.import_module("._protobuf_schemas", __package__)
        except ImportError:
            raise UserError(
                f"The protobuf codec needs protobuf and proto-schema-parser. Install them with: "
                f"{install_command('protobuf')}.",
                exit_code=2,
            ) from None
        parse: Callable[[Any], Any] = schemas.ProtobufSchema
        return parse

    def _record(self, schema: Any, value: bytes) -> Any:
        try:
            indexes, position = _indexes(memoryview(value), HEADER_BYTES)
        except WireError as error:
            detail = f"The value has no list of message indexes: {error}."
            raise Refused(Reason.NOT_JSON, detail) from None
        return schema.record(indexes, value[position:])


def _indexes(value: memoryview, position: int) -> tuple[tuple[int, ...], int]:
    """Read the path of the message's type in its file; a single 0 is the first type."""
    count, position = varint(value, position)
    count = sint(count)
    if count == 0:
        return (0,), position
    if not 0 < count <= _MOST_INDEXES:
        raise WireError(f"{count} indexes")
    indexes = []
    for _ in range(count):
        index, position = varint(value, position)
        indexes.append(sint(index))
    return tuple(indexes), position
