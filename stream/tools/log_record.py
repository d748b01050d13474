"""Kafka record as codecs read it: of a consumer of confluent-kafka, a dump of `kcat -J`, a line."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message

from ember_core.data.sources import open_bytes
from stream.errors import UserError

from .reading import partition_of

_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
_STAMPS = ("ts", "timestamp", "timestamp_ms")


@dataclass(frozen=True, slots=True)
class LogRecord:
    """Record of a topic with the fields that codecs read, its partition and its topic."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    partition: int
    headers: Sequence[tuple[str, bytes]] = field(default=())
    topic: str = ""


def as_log_record(message: Message) -> LogRecord:
    """Convert a message of confluent-kafka."""
    headers: Any = message.headers() or ()
    topic, partition = partition_of(message)
    return LogRecord(
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.offset() or 0,
        partition,
        headers,
        topic,
    )


def read_dump(path: Path) -> Iterator[LogRecord]:
    """Yield the records of a dump, one JSON object a line, as `kcat -C -J` and `rpk` print it.

    Args:
        path: File with the dump.

    Raises:
        UserError: If the file cannot be read, or a line is no record.
    """
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _dumped(line, f"{path} line {number}")


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, unpacked where its name says that it is packed."""
    try:
        with open_bytes(path) as lines:
            yield from lines
    except _UNREADABLE as error:
        cause = getattr(error, "strerror", None) or error
        raise UserError(
            f"The file {path} cannot be read: {cause}. Expected a file that is packed as its name "
            f"says, or not at all. Received: {path}.",
            exit_code=2,
        ) from None


def first_of_dump(path: Path) -> Mapping[str, Any] | None:
    """Return the first record of a dump as it stands in the file; None where it is no dump.

    Args:
        path: The file.

    Raises:
        UserError: If the file cannot be read.
    """
    first = next((line for line in _lines(path) if line.strip()), b"")
    try:
        record = json.loads(first.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    is_dumped = isinstance(record, Mapping) and {"partition", "offset"} <= record.keys()
    return record if is_dumped else None


def read_values(path: Path) -> Iterator[LogRecord]:
    """Yield a record for each line of a file, which is its value, or each member of a JSON list.

    Kafka's time is that of the file: a record without a time of its own has that of its arrival.

    Args:
        path: File with the values.

    Raises:
        UserError: If the file cannot be read.
    """
    stamp_ms = int(path.stat().st_mtime * 1000) if path.exists() else 0
    values = _members(path)
    for offset, value in enumerate(_lines(path) if values is None else values):
        if value := value.rstrip(b"\r\n"):
            yield LogRecord(None, value, stamp_ms, offset, 0)


def _members(path: Path) -> list[bytes] | None:
    """Return the members of a file that is one JSON document; None where it has one a line."""
    first = next((line for line in _lines(path) if line.strip()), b"").strip()
    if first[:1] not in (b"[", b"{") or _is_json(first):
        return None
    try:
        document = msgspec.json.decode(b"".join(_lines(path)))
    except (msgspec.DecodeError, RecursionError):
        return None
    members = document if isinstance(document, list) else [document]
    return [msgspec.json.encode(member) for member in members]


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _dumped(line: bytes, where: str) -> LogRecord:
    try:
        # kcat escapes no byte above 127, and binary values are no UTF-8: such bytes are kept.
        record = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise _no_record(where, line, str(error)) from None
    if not isinstance(record, Mapping) or not {"partition", "offset"} <= record.keys():
        raise _no_record(where, line, "it lacks partition or offset")
    try:
        return _as_record(record)
    except (TypeError, ValueError) as error:
        raise _no_record(where, line, str(error)) from None


def _as_record(record: Mapping[str, Any]) -> LogRecord:
    stamp_ms = next((record[name] for name in _STAMPS if record.get(name)), 0)
    return LogRecord(
        _field(record, "key"),
        _field(record, "payload", "value"),
        int(stamp_ms),
        int(record["offset"]),
        int(record["partition"]),
        _headers(record.get("headers")),
        str(record.get("topic") or ""),
    )


def _field(record: Mapping[str, Any], *names: str) -> bytes | None:
    """Return key or payload, which may stand in hexadecimal digits where it is no text."""
    for name in names:
        if name in record:
            return _bytes(record[name])
        if f"{name}_hex" in record:
            return bytes.fromhex(record[f"{name}_hex"])
    return None


def _headers(headers: Any) -> Sequence[tuple[str, bytes]]:
    """Return headers as kcat prints them (names and values in turn), or rpk (objects)."""
    if not isinstance(headers, list) or not headers:
        return ()
    pairs: Iterable[tuple[Any, Any]] = zip(headers[::2], headers[1::2], strict=False)
    if isinstance(headers[0], Mapping):
        pairs = ((each.get("key"), each.get("value")) for each in headers)
    elif isinstance(headers[0], list):
        pairs = ((name, value) for name, value, *_ in headers)
    return tuple((str(name), _bytes(value) or b"") for name, value in pairs)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # the escape of half a character, in JSON
        return text.encode("utf-8", "surrogatepass")


def _no_record(where: str, line: bytes, cause: str) -> UserError:
    return UserError(
        f"{where} is no record of a dump: {cause}. Expected lines of `kcat -C -J -t TOPIC`. "
        f"Received: {line[:60]!r}."
    )


def _bytes(value: Any) -> bytes | None:
    """Return a key or a payload as bytes: a dump holds it as text, or as the JSON that it is."""
    if value is None or isinstance(value, str):
        return None if value is None else _encoded(value)
    return msgspec.json.encode(value)
