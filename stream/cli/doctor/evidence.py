"""Records of one topic that `ember doctor` has read, and readings of them that its checks share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from ember_core.rows import RowRecipe
from stream.codecs import ChannelFinder, Guess, guess_format, make_codec
from stream.kafka.client.newest import newest_of_each
from stream.kafka.config import WorkerConfig
from stream.records import Decoded, Message, Reason, Rejected
from stream.settings import Settings

NEWEST = 1_000
"""Records read from the end of a partition, where there are few partitions."""
_OLDER_SHARE = 4
_MOST = 20_000
"""Records read of a topic."""
_MOST_CELLS = 4_000_000
"""Numbers that are decoded at once; long formats of many channels give far more than records."""

_NO_CHANNEL = ("*",)
"""Channels of a codec for records in which none was found."""


class Record(Message, Protocol):
    """Record as the worker's client reads it."""

    @property
    def partition(self) -> int:
        """Partition that it lies in."""


class Model(Protocol):
    """Parts of a model that checks look at."""

    @property
    def sources(self) -> Sequence[str]:
        """Names that are read from the records."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Stream keys that the model knows."""

    @property
    def recipe(self) -> RowRecipe | None:
        """Use of the names that are read; None: as they stand in the records."""


@dataclass(frozen=True)
class AllModels:
    """Parts of the models of all profiles that checks look at."""

    sources: Sequence[str]
    keys: Sequence[bytes]
    recipe: RowRecipe | None

    @classmethod
    def of(cls, sources: Sequence[str], keys: Sequence[bytes], models: Iterable[Model]) -> Self:
        """Return the sum of some models."""
        channels = {
            channel.name: channel
            for model in models
            if model.recipe is not None
            for channel in model.recipe.sampled
        }
        return cls(sources, keys, RowRecipe(tuple(channels.values())) if channels else None)


def read_newest(settings: Settings, topic: str, partitions: int) -> list[Record]:
    """Read records of every partition, with the worker's own client.

    Args:
        settings: Section `kafka`.
        topic: Name of the topic.
        partitions: Number of its partitions.

    Raises:
        TimeoutError: If none came in time.
        KafkaError: If the cluster refuses, or records cannot be decompressed.
    """
    count = max(10, min(NEWEST, _MOST // max(1, partitions)))
    config = WorkerConfig.from_settings(settings)
    return asyncio.run(
        newest_of_each(
            config.client_settings(), topic, count, older=count // _OLDER_SHARE, partial=True
        )
    )


@dataclass(frozen=True)
class Reading:
    """Records, and what a codec makes of them."""

    records: Sequence[Record]
    decoded: Decoded

    @property
    def refusals(self) -> list[Rejected]:
        """Refused records, without those that only lack the channels."""
        return [r for r in self.decoded.rejected if r.reason is not Reason.NO_CHANNELS]

    def partition_of(self, sample: int) -> int:
        """Return the partition of the record of a sample."""
        return self.records[int(self.decoded.message[sample])].partition


@dataclass
class Evidence:
    """Records of a topic, oldest first, and everything that checks ask about them."""

    settings: Settings
    topic: str
    records: Sequence[Record]
    model: Model | None
    now_ms: int

    @property
    def codec(self) -> str:
        """Name of the codec of the settings."""
        return self.settings.input.codec

    @cached_property
    def guess(self) -> Guess | None:
        """Format that the bytes seem to have."""
        return guess_format(record.value for record in reversed(self.records))

    @cached_property
    def channels(self) -> list[str]:
        """Channels in the records, whatever the model's are."""
        # Without stream keys the channels are still worth a look: all records as one stream.
        return self.find_channels() or self.find_channels(key='"all"', key_from="record")

    @cached_property
    def samples(self) -> Reading:
        """Samples of all channels in the records."""
        return self.read(self.channels)

    @cached_property
    def scored(self) -> Reading | None:
        """Samples of the model's channels; None without a model."""
        return None if self.model is None else self.read(self.model.sources)

    def find_channels(self, records: Sequence[Record] | None = None, **changes: Any) -> list[str]:
        """Return the channels in records.

        Args:
            records: Records to look at. Default: all.
            **changes: Arguments of `make_codec` in place of those of the settings.
        """
        options = {**self.settings.input.codec_options(), **changes}
        finder = ChannelFinder(options.pop("codec", self.codec), **options)
        finder.show(self.records if records is None else records)
        return finder.channels()

    def read(
        self, channels: Sequence[str], records: Sequence[Record] | None = None, **changes: Any
    ) -> Reading:
        """Decode records, the newest ones where all would be too much.

        Args:
            channels: Channels to read.
            records: Records to decode. Default: all.
            **changes: Arguments of `make_codec` in place of those of the settings.
        """
        options = {**self.settings.input.codec_options(), **changes}
        name = options.pop("codec", self.codec)
        codec = make_codec(name, channels or _NO_CHANNEL, **options)
        newest = _newest_that_fit(self.records if records is None else records, len(channels))
        return Reading(newest, codec.decode(newest))


def _newest_that_fit(records: Sequence[Record], channels: int) -> Sequence[Record]:
    """Return the newest records of which so many channels can be decoded at once."""
    budget = _MOST_CELLS // max(1, channels)
    size = 0
    for position in range(len(records) - 1, -1, -1):
        # A sample of a long format has some 50 bytes or more.
        size += 1 + len(records[position].value or b"") // 50
        if size > budget:
            return records[position + 1 :] or records[-1:]
    return records
