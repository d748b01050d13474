"""Descriptors of a .proto file's text, for registries that do not serialize them."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2
from proto_schema_parser import Parser, ast

_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in (
        *("double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string"),
        *("bytes", "uint32", "sfixed32", "sfixed64", "sint32", "sint64"),
    )
}
_OPTIONAL, _REQUIRED, _REPEATED = 1, 2, 3
_LABELS = {"REQUIRED": _REQUIRED, "REPEATED": _REPEATED}


def parse_proto(text: str) -> descriptor_pb2.FileDescriptorProto:
    """Return the descriptor of a .proto file.

    Types are named as in the text: a pool finds them by the rules of protobuf's scopes.

    Raises:
        Exception: If the text is no .proto file.
    """
    source = Parser().parse(text)
    syntax = source.syntax or "proto2"
    file = descriptor_pb2.FileDescriptorProto(syntax=syntax)
    if source.edition:
        raise ValueError("Editions are read as serialized descriptors only.")
    for element in source.file_elements:
        if isinstance(element, ast.Package):
            file.package = element.name
        elif isinstance(element, ast.Import):
            file.dependency.append(element.name)
            if element.public:
                file.public_dependency.append(len(file.dependency) - 1)
        elif isinstance(element, ast.Message):
            _message(file.message_type.add(), element, syntax)
        elif isinstance(element, ast.Enum):
            _enum(file.enum_type.add(), element)
    return file


def _message(message: Any, source: Any, syntax: str) -> None:
    message.name = source.name
    optional = []
    for element in source.elements:
        if isinstance(element, ast.Field):
            field = _field(message, element, syntax)
            if (
                syntax == "proto3"
                and element.cardinality
                and element.cardinality.name == "OPTIONAL"
            ):
                optional.append(field)
        elif isinstance(element, ast.MapField):
            _map(message, element)
        elif isinstance(element, ast.OneOf):
            message.oneof_decl.add(name=element.name)
            for member in element.elements:
                if isinstance(member, ast.Field):
                    _field(message, member, syntax).oneof_index = len(message.oneof_decl) - 1
        elif isinstance(element, ast.Message):
            _message(message.nested_type.add(), element, syntax)
        elif isinstance(element, ast.Enum):
            _enum(message.enum_type.add(), element)
        elif isinstance(element, ast.Group):
            raise ValueError("Groups are read as serialized descriptors only.")
    # Each optional field of proto3 is in a oneof of its own; these come behind the others.
    for field in optional:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")


def _field(message: Any, source: Any, syntax: str) -> Any:
    cardinality = source.cardinality.name if source.cardinality else ""
    field = message.field.add(
        name=source.name, number=source.number, label=_LABELS.get(cardinality, _OPTIONAL)
    )
    _set_type(field, source.type)
    for option in source.options:
        if option.name == "packed":
            field.options.packed = bool(option.value)
    return field


def _map(message: Any, source: Any) -> None:
    name = "".join(part[:1].upper() + part[1:] for part in source.name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, (field, kind) in enumerate(
        (("key", source.key_type), ("value", source.value_type)), 1
    ):
        _set_type(entry.field.add(name=field, number=number, label=_OPTIONAL), kind)
    field = message.field.add(name=source.name, number=source.number, label=_REPEATED)
    field.type_name = name


def _set_type(field: Any, name: str) -> None:
    if name in _SCALARS:
        field.type = _SCALARS[name]
    else:
        field.type_name = name


def _enum(enum: Any, source: Any) -> None:
    enum.name = source.name
    for element in source.elements:
        if isinstance(element, ast.EnumValue):
            enum.value.add(name=element.name, number=element.number)
        elif isinstance(element, ast.Option) and element.name == "allow_alias":
            enum.options.allow_alias = bool(element.value)
