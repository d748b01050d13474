"""Fields of records that name a stream or a time, for settings that are yet to be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stream.records import Message

from ._channels import SeriesIndex
from ._make import make_codec
from ._refused import Refused
from ._samples import SampleCodec


class FieldFinder:
    """Reader of the fields that `input.key` can name, whatever names them.

    Args:
        codec: Name of the codec.
        options: Other arguments of `make_codec`; key and time are not needed.

    Examples:
        >>> from types import SimpleNamespace
        >>> value = b"mem,host=web-1 free=1i 1700000000000000000"
        >>> message = SimpleNamespace(key=None, value=value, timestamp=0)
        >>> list(FieldFinder("influx").records([message]))[0][0]["tags"]
        {'host': 'web-1'}
    """

    def __init__(self, codec: str, **options: Any) -> None:
        any_codec = make_codec(codec, ("*",), **{**options, "key": "", "key_from": "kafka"})
        assert isinstance(any_codec, SampleCodec)
        any_codec.watch(SeriesIndex())
        self._codec = any_codec

    def records(self, messages: Sequence[Message]) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the records in each message; none for one that the codec refuses."""
        self._codec.prepare(messages)
        for message in messages:
            try:
                yield list(self._codec.fields(message))
            except Refused:
                yield []
