"""Protobuf schemas of a registry, and records of their messages. It needs the extra protobuf."""

from __future__ import annotations

import base64
import binascii
import decimal
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import DecodeError

from stream.records import Reason

from ._protobuf_text import parse_proto
from ._refused import Refused

_RECORD_FILE = "dev.ember/record.proto"
"""Name of the file of the records, which no other file imports."""
_BYTES, _STRING, _UINT32, _INT32 = 12, 9, 13, 5


def _decimal_file(
    name: str, package: str, *fields: tuple[str, Any]
) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    message = file.message_type.add(name="Decimal")
    for number, (field, kind) in enumerate(fields, 1):
        message.field.add(name=field, number=number, type=kind, label=1)
    return file


def _well_known() -> dict[str, descriptor_pb2.FileDescriptorProto]:
    """Return the files that a registry takes for granted, by their names."""
    files = {}
    for module in (
        any_pb2,
        descriptor_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    ):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        files[file.name] = file
    for file in (
        _decimal_file("google/type/decimal.proto", "google.type", ("value", _STRING)),
        _decimal_file(
            "confluent/type/decimal.proto",
            "confluent.type",
            ("value", _BYTES),
            ("precision", _UINT32),
            ("scale", _INT32),
        ),
    ):
        files[file.name] = file
    return files


_WELL_KNOWN = _well_known()


class ProtobufSchema:
    """File of message types, with the files that it imports.

    Args:
        raw: `{"file": .., "dependencies": [{"name": .., "file": ..}, ..]}`: serialized descriptors
            in base64, or the text of .proto files, each after those that it imports.

    Raises:
        Exception: If the descriptors are none, or do not fit together.
    """

    def __init__(self, raw: Any) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._added: set[str] = set()
        for dependency in raw["dependencies"]:
            self._add(_descriptor(dependency["file"], dependency["name"]))
        self._file = _descriptor(raw["file"], _RECORD_FILE)
        self._add(self._file)
        self._classes: dict[tuple[int, ...], Any] = {}
        self._class((0,))  # a file that cannot be used is refused as a whole

    def record(self, indexes: tuple[int, ...], body: bytes) -> dict[str, Any]:
        """Decode a message.

        Args:
            indexes: Path of its type: index in the file, then in the type before.
            body: The message.

        Raises:
            Refused: If there is no such type, or the bytes are not of it.
        """
        try:
            message = self._class(indexes)()
        except (LookupError, TypeError, ValueError):
            detail = f"The schema has no message type {list(indexes)}."
            raise Refused(Reason.NOT_JSON, detail) from None
        try:
            message.ParseFromString(body)
        except (DecodeError, RecursionError):
            detail = f"The value is no `{message.DESCRIPTOR.full_name}`."
            raise Refused(Reason.NOT_JSON, detail) from None
        return _as_record(message)

    def _class(self, indexes: tuple[int, ...]) -> Any:
        if indexes not in self._classes:
            if min(indexes) < 0:
                raise LookupError(indexes)
            types, names = self._file.message_type, []
            for index in indexes:
                names.append(types[index].name)
                types = types[index].nested_type
            name = ".".join(([self._file.package] if self._file.package else []) + names)
            descriptor = self._pool.FindMessageTypeByName(name)
            self._classes[indexes] = message_factory.GetMessageClass(descriptor)
        return self._classes[indexes]

    def _add(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        for name in file.dependency:
            if name not in self._added and name in _WELL_KNOWN:
                self._add(_WELL_KNOWN[name])
        # Files of annotations only, such as confluent/meta.proto, are not there, nor needed.
        available = [name for name in file.dependency if name in self._added]
        if len(available) < len(file.dependency):
            del file.dependency[:]
            file.dependency.extend(available)
            del file.public_dependency[:]
            del file.weak_dependency[:]
        if file.name not in self._added:
            self._added.add(file.name)
            self._pool.Add(file)


def _descriptor(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    """Read a descriptor; a registry need not know the name that others import it by."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:  # a registry that serializes no descriptors gave the .proto file
        file = parse_proto(text)
    else:
        file = descriptor_pb2.FileDescriptorProto.FromString(raw)
    file.name = name
    file.ClearField("options")
    _clear_options(file.message_type)
    return file


def _clear_options(messages: Any) -> None:
    """Drop annotations, whose definitions may be missing; the wire format does not need them."""
    for message in messages:
        is_map = message.options.map_entry
        message.ClearField("options")
        if is_map:
            message.options.map_entry = True
        for field in message.field:
            packed = field.options.packed if field.options.HasField("packed") else None
            field.ClearField("options")
            if packed is not None:
                field.options.packed = packed
        _clear_options(message.nested_type)


def _as_record(message: Any) -> dict[str, Any]:
    """Return a message as nested dictionaries; fields that are not there are left out."""
    record: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if isinstance(value, Mapping):
            record[field.name] = {str(key): _plain(item) for key, item in value.items()}
        elif field.is_repeated:
            record[field.name] = [_plain(item) for item in value]
        else:
            record[field.name] = _plain(value)
    return record


def _plain(value: Any) -> Any:
    descriptor = getattr(value, "DESCRIPTOR", None)
    if descriptor is None:
        return value
    name = descriptor.full_name
    convert = _CONVERSIONS.get(name)
    if convert is not None:
        return convert(value)
    if name.startswith("google.protobuf.") and name.endswith("Value") and name != _VALUE:
        return value.value  # of the wrappers
    return _as_record(value)


_VALUE = "google.protobuf.Value"


def _timestamp(value: Any) -> Any:
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return f"{value.seconds} s"  # no time: the reader refuses it


def _any_json(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    return _plain(getattr(value, kind))


def _unscaled(value: Any) -> decimal.Decimal:
    unscaled = int.from_bytes(value.value, "big", signed=True)
    return decimal.Decimal(unscaled).scaleb(-value.scale)


_CONVERSIONS: dict[str, Any] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": lambda value: value.seconds + value.nanos / 1e9,
    _VALUE: _any_json,
    "google.protobuf.Struct": lambda value: {k: _plain(v) for k, v in value.fields.items()},
    "google.protobuf.ListValue": lambda value: [_plain(item) for item in value.values],
    "google.type.Decimal": lambda value: value.value,
    "confluent.type.Decimal": _unscaled,
}
