"""Records of a topic, or of a dump of one, as data to train on and to backtest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from ember_core.data.sources import Chunk, DataError, DataOptions, Remark
from stream.codecs import ChannelFinder, make_codec, rekeyed_json
from stream.codecs import guess_format as guess_codec
from stream.keys import key_text
from stream.records import Decoded, Reason
from stream.rekeying import source_of
from stream.settings import Settings

from .key_sample import KeySample
from .log_record import LogRecord
from .prometheus_records import SeriesQuery
from .record_columns import chunks_of, picked, together
from .record_remarks import partial_records, refusals, refuse_table_options, unknown_channels
from .record_spool import RecordSpool
from .stream_decoder import StreamDecoder
from .topic_records import Period

_REKEYED_FORM = {
    "codec": "json",
    "key": "",
    "key_from": "kafka",
    "fields": {},
    "time": "ts",
    "time_unit": "us",
    "values": "values",
}
"""Section `input` that describes re-keyed records in JSON, by which their channels are found."""

_BATCH = 2_000
"""Records decoded in one call."""

_OTHERS = 5
"""Keys of one call that are named where the wanted one is not there."""


class Progress(NamedTuple):
    """Progress of the reading of records.

    Attributes:
        source: Name of the topic or the file.
        stage: Step that the records have taken: `fetched` or `decoded`.
        records: Records done.
        total: Records to do; 0: unknown.
        rows: Samples so far.
        keys: Different stream keys so far.
    """

    source: str
    stage: str
    records: int
    total: int
    rows: int = 0
    keys: int = 0


@dataclass(frozen=True)
class RecordReading:
    """Period, channels and keys that are read of topics, and of dumps of them.

    Attributes:
        period: Time of the records of a topic.
        channels: Channels of a model, under its own names; empty: those that are found.
        keys: Number of stream keys to choose; 0: all.
        progress: Function that is told how far it is.
        series: Series that are read from a Prometheus.
        only: Stream keys to read; empty: all.
    """

    period: Period = Period()  # noqa: RUF009  # frozen
    channels: tuple[str, ...] = ()
    keys: int = 0
    progress: Callable[[Progress], None] | None = None
    series: SeriesQuery = SeriesQuery()  # noqa: RUF009  # frozen
    only: frozenset[bytes] = frozenset()


ALL_RECORDS = RecordReading()
"""All records that there are, and all channels in them."""


class RecordSource:
    """Samples of Kafka records, decoded as the stream decodes them.

    The records are fetched once, and read twice from disk: for the channels in them, then for their
    values. Where the stream re-keys, they take the same order and the same form as there. Re-keyed
    ones have a form of their own, whatever the settings say of the input.

    Args:
        name: Name of the topic or the file, for messages.
        records: The records, those of a partition in its order.
        settings: Sections `input` and `window`.
        options: Channels to use and to leave out; patterns such as `cpu.*` too.
        reading: Period, channels and keys to read.
        total: Number of records; 0: unknown.
    """

    is_log = True

    def __init__(
        self,
        name: str,
        records: Iterable[LogRecord],
        settings: Settings,
        options: DataOptions,
        reading: RecordReading = ALL_RECORDS,
        total: int = 0,
    ) -> None:
        self.name = name
        self._records = records
        self._input = settings.input
        self._is_interval = settings.window.mode == "time"
        self._is_rekeyed = False
        self._options = options
        self._reading = reading
        self._total = total
        self._sample = KeySample(reading.keys)
        self.remarks: tuple[Remark, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the samples from the beginning.

        Raises:
            DataError: If no record gives a sample.
        """
        refuse_table_options(self.name, self._options)
        with RecordSpool() as spool:
            finder = self._fill(spool)
            channels = self._channels(finder, spool)
            yield from chunks_of(self._decoded(spool, channels), channels)

    def _report(self, stage: str, records: int, total: int, rows: int = 0, keys: int = 0) -> None:
        if self._reading.progress is not None:
            progress = Progress(self.name, stage, records, total, rows, keys)
            self._reading.progress(progress)

    # -- the channels

    def _fill(self, spool: RecordSpool) -> ChannelFinder | None:
        """Fetch all records, and look at the channels in them where no model names them."""
        finder: ChannelFinder | None = None
        for batch in _batches(self._records):
            if not spool.count:
                self._is_rekeyed = source_of(batch[0].headers) is not None
                if self._is_rekeyed:
                    self._input = self._input.model_copy(update=_REKEYED_FORM)
                if not self._fixed_channels():
                    finder = self._finder()
            spool.add(batch)
            if finder is not None:
                self._show(finder, batch)
            self._report("fetched", spool.count, self._total)
        if not spool.count:
            raise DataError(
                f"{self.name} has no record{self._when()}. Expected some to read. Received: none."
            )
        return finder

    def _fixed_channels(self) -> tuple[str, ...]:
        """Return the channels of the model, unless they are to be chosen by patterns."""
        has_patterns = self._options.channels or self._options.drop
        return () if has_patterns else self._reading.channels

    def _finder(self, **more: str) -> ChannelFinder:
        return ChannelFinder(self._input.codec, **{**self._input.codec_options(), **more})

    def _show(self, finder: ChannelFinder, batch: Sequence[LogRecord]) -> None:
        finder.show([_as_json(record) for record in batch] if self._is_rekeyed else batch)

    def _when(self) -> str:
        since_ms, until_ms = self._reading.period
        words = [
            f" {word} {np.datetime64(time, 'ms')}Z"
            for word, time in (("since", since_ms), ("until", until_ms))
            if time is not None
        ]
        return "".join(words)

    def _channels(self, finder: ChannelFinder | None, spool: RecordSpool) -> tuple[str, ...]:
        if finder is None:
            return self._fixed_channels()
        channels = finder.channels(self._options.channels, self._options.drop)
        if channels:
            return tuple(channels)
        channels_present = finder.channels()
        if channels_present:
            raise DataError(
                f"{self.name} has none of these channels. Expected some of: "
                f"{', '.join(channels_present[:12])}. "
                f"Received: --channels {','.join(self._options.channels)}."
            )
        raise DataError(self._nothing(spool))

    def _nothing(self, spool: RecordSpool) -> str:
        """Return the sentence for records of which none has a channel."""
        examples = list(islice(spool.by_partition(), _BATCH))
        # Channels are found in records that lack a stream key too: all as one stream.
        finder = self._finder(key='"all"', key_from="record")
        self._show(finder, examples)
        codec = make_codec(
            self._input.codec, finder.channels() or ("*",), **self._input.codec_options()
        )
        refused = [r for r in codec.decode(examples).rejected if r.reason is not Reason.NO_CHANNELS]
        cause = f" First cause: {refused[0].detail}" if refused else ""
        guess = guess_codec(record.value for record in examples)
        fix = ""
        if guess and guess.codec and guess.codec != self._input.codec:
            fix = f" The records look like {guess.name}: set input.codec to {guess.codec!r}."
        return (
            f"{self.name} has no channel that the codec {self._input.codec!r} can read. Expected "
            f"records with a key, a time and numbers. Received: {len(examples)} others.{cause}{fix}"
        )

    # -- the samples

    def _decoded(self, spool: RecordSpool, channels: tuple[str, ...]) -> Iterator[Decoded]:
        """Yield the samples, slice by slice."""
        decoder = StreamDecoder(self._input, channels, is_rekeyed=self._is_rekeyed)
        refused: Counter[Reason] = Counter()
        example, count, rows, partial = "", 0, 0, 0
        keys, other_keys = set[bytes](), set[bytes]()
        records = spool.by_time() if decoder.rekeys else spool.by_partition()
        for batch in _batches(records):
            decoded = decoder.decode(batch)
            count += len(batch)
            for refusal in decoded.rejected:
                refused[refusal.reason] += 1
                if refusal.reason is not Reason.NO_CHANNELS:
                    example = example or refusal.detail
            if self._reading.only:
                other_keys.update(islice(decoded.keys, _OTHERS))
                is_asked = [key in self._reading.only for key in decoded.keys]
                decoded = picked(decoded, np.array(is_asked, dtype=np.bool_))
            if self._reading.keys:
                decoded = picked(decoded, self._sample.choose(decoded.keys))
            merged = together(decoded)
            if self._is_interval:  # in the other mode the first record of a time counts
                decoded = merged
            partial += len(decoded) - len(merged)
            rows += len(decoded)
            keys.update(decoded.keys)
            self._report("decoded", count, spool.count, rows, len(keys))
            if len(decoded):
                yield decoded
        self.remarks = tuple(refusals(self.name, Counter(refused), count, example))
        self.remarks += partial_records(self.name, partial, rows)
        self.remarks += self._sample.remarks(self.name)
        if self._fixed_channels():
            self.remarks += unknown_channels(self.name, self._found(spool), channels)
        if not rows and other_keys:
            raise DataError(self._lacks_keys(other_keys))
        if not rows:
            raise DataError(self._unusable(spool, channels, refused, example))

    def _lacks_keys(self, other_keys: set[bytes]) -> str:
        """Return the sentence for records of other keys only."""
        examples = ", ".join(key_text(key) for key in sorted(other_keys)[:5])
        asked_keys = ", ".join(key_text(key) for key in sorted(self._reading.only))
        return (
            f"{self.name} has no record of this key{self._when()}. Expected one of its keys, such "
            f"as {examples}. Received: {asked_keys}."
        )

    def _found(self, spool: RecordSpool) -> list[str]:
        """Return the channels in the first records."""
        finder = self._finder()
        self._show(finder, list(islice(spool.by_partition(), _BATCH)))
        return finder.channels()

    def _unusable(
        self,
        spool: RecordSpool,
        channels: Sequence[str],
        refused: Counter[Reason],
        example: str,
    ) -> str:
        """Return the sentence for records of which none gave a sample."""
        if set(refused) == {Reason.NO_CHANNELS}:
            return (
                f"{self.name} has none of the model's channels. Expected some of: "
                f"{', '.join(channels[:8])}. Received: {', '.join(self._found(spool)[:8])}."
            )
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.most_common())
        return (
            f"{self.name} has no record that can be used. Expected records with a key, a time and "
            f"numbers. Received: {reasons}. First cause: {example}"
        )


def _as_json(record: LogRecord) -> LogRecord:
    return replace(record, value=rekeyed_json(record.value or b""))


def _batches(records: Iterable[LogRecord]) -> Iterator[list[LogRecord]]:
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
