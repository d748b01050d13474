"""Kafka record as codecs read it, from a consumer of confluent-kafka or a dump of `kcat -J`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message

from stream.errors import UserError

from .reading import partition_of


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
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _dumped(line, f"{path} line {number}")
    except OSError as error:
        cause = error.strerror or error
        raise UserError(f"The dump {path} cannot be read: {cause}.", exit_code=2) from None


def _dumped(line: bytes, where: str) -> LogRecord:
    try:
        # kcat escapes no byte above 127, and binary values are no UTF-8: such bytes are kept.
        record = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise _no_record(where, line, str(error)) from None
    if not isinstance(record, Mapping) or not {"partition", "offset"} <= record.keys():
        raise _no_record(where, line, "it lacks partition or offset")
    payload = record["payload"] if "payload" in record else record.get("value")
    return LogRecord(
        _bytes(record.get("key")),
        _bytes(payload),
        int(record.get("ts") or record.get("timestamp") or 0),
        int(record["offset"]),
        int(record["partition"]),
        _headers(record.get("headers")),
        str(record.get("topic") or ""),
    )


def _headers(headers: Any) -> Sequence[tuple[str, bytes]]:
    """Return headers as kcat prints them (names and values in turn), or rpk (objects)."""
    if not isinstance(headers, list) or not headers:
        return ()
    pairs: Iterable[tuple[Any, Any]] = zip(headers[::2], headers[1::2], strict=False)
    if isinstance(headers[0], Mapping):
        pairs = ((each.get("key"), each.get("value")) for each in headers)
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
