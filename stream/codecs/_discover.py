"""Channels found in the records of a topic, for a model that is yet to be trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from stream.records import Message

from ._base import JSON_ERRORS
from ._key import KeyExpression, parse_path, walk
from ._make import make_codec
from ._measurements import LabelledCodec
from ._names import Series, channel_names
from ._refused import Refused

_decoder = msgspec.json.Decoder()

_ANY = ("*",)
"""Channels of a codec that only tells what there is."""


class ChannelFinder:
    """Channels of the records that it is shown, under the names that the codec finds them by.

    Args:
        codec: Name of the codec.
        options: Other arguments of `make_codec`.

    Examples:
        >>> from types import SimpleNamespace
        >>> finder = ChannelFinder("influx", key="tags.host")
        >>> value = b"mem,host=web-1 free=1i 1700000000000000000"
        >>> finder.show([SimpleNamespace(key=None, value=value)])
        >>> finder.channels()
        ['mem.free']
    """

    def __init__(self, codec: str, **options: Any) -> None:
        self._name = codec
        self._options = options
        self._codec = make_codec(codec, _ANY, **options)
        self._series: set[Series] = set()
        self._fields: dict[str, None] = {}

    def show(self, messages: Sequence[Message]) -> None:
        """Look at records; those that the codec refuses are left out."""
        if isinstance(self._codec, LabelledCodec):
            for message in messages:
                try:
                    self._series.update(self._codec.series(message))
                except Refused:
                    continue
            return
        candidates = list(dict.fromkeys(self._fields) | self._candidates(messages))
        if not candidates:
            return
        # The codec itself says which of the fields it reads as channels.
        decoded = make_codec(self._name, candidates, **self._options).decode(messages)
        present = (decoded.values == decoded.values).any(axis=0).tolist()  # NaN is not itself
        for name, is_present in zip(candidates, present, strict=True):
            if is_present:
                self._fields[name] = None

    def channels(self, only: Sequence[str] = (), without: Sequence[str] = ()) -> list[str]:
        """Return the channels found so far.

        Args:
            only: Patterns of the channels to use, such as `cpu.*`; empty: all.
            without: Patterns of the channels to leave out.
        """
        channels = [*channel_names(self._series), *self._fields]
        return [
            channel
            for channel in channels
            if (not only or _matches(channel, only)) and not _matches(channel, without)
        ]

    def _candidates(self, messages: Sequence[Message]) -> dict[str, None]:
        """Return the fields of records that may be channels, under the channels' names."""
        values = self._options.get("values", "values")
        paths = KeyExpression(self._options.get("key", "")).paths
        paths.append(parse_path(self._options.get("time", "ts"), "input.time"))
        names = {field: channel for channel, field in self._options.get("fields", {}).items()}
        candidates: dict[str, None] = {}
        for message in messages:
            for record in _records(message.value):
                nested = walk(record, tuple(values.split(".")))
                prefix = f"{values}." if isinstance(nested, Mapping) else ""
                taken = {".".join(path).removeprefix(prefix) for path in paths}
                for field in _leaves(nested if prefix else record):
                    if field not in taken:
                        candidates[names.get(field, field)] = None
        return candidates


def _matches(channel: str, patterns: Sequence[str]) -> bool:
    """Tell if a pattern matches the channel, or its name without the labels."""
    name = channel.partition("{")[0]
    return any(
        channel == pattern or fnmatchcase(channel, pattern) or fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _records(value: bytes | None) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects of a value: one, the members of an array, or one a line."""
    try:
        documents = _decoder.decode_lines(value or b"")
    except JSON_ERRORS:
        return
    for document in documents:
        members = document if isinstance(document, list) else [document]
        yield from (member for member in members if isinstance(member, Mapping))


def _leaves(record: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield prefix + name
