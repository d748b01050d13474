"""Channels found in the records of a topic, for a model that is yet to be trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from stream.records import Message

from ._channels import Series, SeriesIndex
from ._make import make_codec
from ._names import channel_names
from ._refused import Refused
from ._samples import SampleCodec

_ANY = ("*",)
"""Channels of a codec that only tells what there is."""
_MOST_SHAPES = 10_000
"""Shapes of records that are remembered."""


class ChannelFinder:
    """Channels of the records that it is shown, under the names that the codec finds them by.

    Args:
        codec: Name of the codec.
        options: Other arguments of `make_codec`.

    Examples:
        >>> from types import SimpleNamespace
        >>> finder = ChannelFinder("influx", key="tags.host")
        >>> value = b"mem,host=web-1 free=1i 1700000000000000000"
        >>> finder.show([SimpleNamespace(key=None, value=value, timestamp=0)])
        >>> finder.channels()
        ['mem.free']
    """

    def __init__(self, codec: str, **options: Any) -> None:
        self._index = SeriesIndex()
        any_codec = make_codec(codec, _ANY, **options)
        assert isinstance(any_codec, SampleCodec)
        self._codec = any_codec
        self._codec.watch(self._index)
        self._usable: Counter[Series] = Counter()
        self._unusable: Counter[Series] = Counter()
        self._shapes: dict[Hashable, list[tuple[Series, bool]]] = {}
        self._records: Counter[Hashable] = Counter()

    def show(self, messages: Sequence[Message]) -> None:
        """Look at records; those that the codec refuses are left out."""
        self._codec.prepare(messages)
        for message in messages:
            shape = self._codec.shape(message)
            if shape is not None and shape in self._shapes:
                self._records[shape] += 1  # read once, counted later
                continue
            series_found = self._series(message)
            if shape is not None:
                # Measurements of these records have no labels: only the name counts.
                series_found = [
                    (series._replace(key=b""), is_usable) for series, is_usable in series_found
                ]
            if shape is not None and len(self._shapes) < _MOST_SHAPES:
                self._shapes[shape] = series_found
                self._records[shape] += 1
            else:
                self._count(series_found)

    def _series(self, message: Message) -> list[tuple[Series, bool]]:
        try:
            return list(self._codec.series(message, self._index))
        except Refused:
            return []

    def _count(self, found: Sequence[tuple[Series, bool]], records: int = 1) -> None:
        for series, is_usable in found:
            (self._usable if is_usable else self._unusable)[series] += records

    def _count_shapes(self) -> None:
        """Count the records of known shapes that were shown since the last count."""
        for shape, records in self._records.items():
            self._count(self._shapes[shape], records)
        self._records.clear()

    def channels(self, only: Sequence[str] = (), without: Sequence[str] = ()) -> list[str]:
        """Return the channels found so far: measurements of which most values are numbers.

        Args:
            only: Patterns of the channels to use, such as `cpu.*`; empty: all.
            without: Patterns of the channels to leave out.
        """
        self._count_shapes()
        numbers = [s for s, count in self._usable.items() if count > self._unusable[s]]
        return [
            channel
            for channel in channel_names(numbers)
            if (not only or _matches(channel, only)) and not _matches(channel, without)
        ]

    def texts(self) -> list[str]:
        """Return the measurements found so far that are no channels: most values are no numbers."""
        self._count_shapes()
        others = [s for s, count in self._unusable.items() if count >= self._usable[s]]
        return sorted({series.name for series in others})


def _matches(channel: str, patterns: Sequence[str]) -> bool:
    """Tell if a pattern matches the channel, or its name without the labels."""
    name = channel.partition("{")[0]
    return any(
        channel == pattern or fnmatchcase(channel, pattern) or fnmatchcase(name, pattern)
        for pattern in patterns
    )
