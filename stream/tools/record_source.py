"""Records of a topic, or of a dump of one, as data to train on and to backtest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from ember_core.data.sources import Chunk, DataError, DataOptions, Opener, Remark, Source
from stream.codecs import ChannelFinder, Codec, RekeyedCodec, make_codec, rekeyed_json
from stream.codecs import guess_format as guess_codec
from stream.errors import UserError
from stream.records import Decoded, Reason, rfc3339
from stream.rekeying import source_of
from stream.settings import Settings

from . import clients, reading
from .log_record import LogRecord, as_log_record, read_dump, read_values

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


class RecordSource:
    """Samples of Kafka records, decoded by the codec of the settings.

    The records are read twice: for the channels in them, then for their values. Re-keyed ones have
    a form of their own, whatever the settings say of the input.

    Args:
        name: Name of the topic or the file, for messages.
        records: Function that reads the same records each time it is called.
        settings: Section `input`.
        options: Channels to use and to leave out; patterns such as `cpu.*` too.
    """

    def __init__(
        self,
        name: str,
        records: Callable[[], Iterable[LogRecord]],
        settings: Settings,
        options: DataOptions,
    ) -> None:
        self.name = name
        self._records = records
        self._input = settings.input
        self._is_rekeyed: bool | None = None
        self._options = options
        self.remarks: tuple[Remark, ...] = ()
        # Where records have to be re-keyed, those of one key come from several partitions.
        self.by_time = settings.input.rekey

    def chunks(self) -> Iterator[Chunk]:
        """Yield the samples from the beginning.

        Raises:
            DataError: If no record gives a sample.
        """
        _refuse_table_options(self.name, self._options)
        if self._rekeyed():
            self._input = self._input.model_copy(update=_REKEYED_FORM)
        channels = self._channels()
        codec: Codec = RekeyedCodec(channels, self._input.max_key_bytes)
        if not self._rekeyed():
            codec = make_codec(self._input.codec, channels, **self._input.codec_options())
        positions: Counter[bytes] = Counter()
        refused: Counter[Reason] = Counter()
        example, count = "", 0
        for batch in _batches(self._records()):
            decoded = together(codec.decode(batch))
            count += len(batch)
            for refusal in decoded.rejected:
                refused[refusal.reason] += 1
                if refusal.reason is not Reason.NO_CHANNELS:
                    example = example or refusal.detail
            if len(decoded):
                yield _chunk(decoded, channels, positions)
        self.remarks = tuple(_refusals(self.name, refused, count, example))

    def _rekeyed(self) -> bool:
        """Return whether the first record was re-keyed."""
        if self._is_rekeyed is None:
            first = next(iter(self._records()), None)
            self._is_rekeyed = first is not None and source_of(first.headers) is not None
        return self._is_rekeyed

    def _channels(self) -> tuple[str, ...]:
        finder = ChannelFinder(self._input.codec, **self._input.codec_options())
        examples: list[LogRecord] = []
        count = 0
        for batch in _batches(self._records()):
            count += len(batch)
            examples = examples or batch
            finder.show([_as_json(record) for record in batch] if self._rekeyed() else batch)
        if not count:
            raise DataError(
                f"{self.name} has no record. Expected some to train on. Received: none."
            )
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
        raise DataError(self._nothing(examples))

    def _nothing(self, examples: Sequence[LogRecord]) -> str:
        """Return the sentence for records of which none has a channel."""
        options = self._input.codec_options()
        # Channels are found in records that lack a stream key too: all as one stream.
        finder = ChannelFinder(
            self._input.codec, **{**options, "key": '"all"', "key_from": "record"}
        )
        finder.show(examples)
        codec = make_codec(self._input.codec, finder.channels() or ("*",), **options)
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


def _as_json(record: LogRecord) -> LogRecord:
    return replace(record, value=rekeyed_json(record.value or b""))


def _refusals(name: str, refused: Counter[Reason], count: int, example: str) -> Iterator[Remark]:
    """Yield the remarks on records that gave no sample."""
    channelless = refused.pop(Reason.NO_CHANNELS, 0)
    if channelless:
        text = f"{channelless:,} of {count:,} records have none of these channels"
        yield Remark("record_without_channels", text, name)
    if refused:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.most_common())
        text = f"{refused.total():,} of {count:,} records were refused: {reasons}"
        yield Remark("refused_record", text, name, example=example)


def _refuse_table_options(name: str, options: DataOptions) -> None:
    """Refuse options about columns: the settings say how a record is read."""
    values = {
        "--time": options.time,
        "--key": options.key,
        "--split": options.split,
        "--label": options.label,
        "--time-format": options.time_format,
        "--time-zone": options.time_zone,
        "--decimal": options.decimal,
        "--missing": ",".join(options.missing),
    }
    settings = {
        "--time": "input.time",
        "--key": "input.key",
        "--time-format": "input.time_format",
        "--time-zone": "input.time_zone",
        "--decimal": "input.decimal",
        "--missing": "input.missing",
    }
    for flag, value in values.items():
        if value:
            hint = f" Set {settings[flag]}." if flag in settings else ""
            raise DataError(
                f"Records have no columns. Expected {name} without {flag}. "
                f"Received: {flag} {value}.{hint}"
            )


def _batches(records: Iterable[LogRecord]) -> Iterator[list[LogRecord]]:
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def together(decoded: Decoded) -> Decoded:
    """Put samples of one key and one time together, where each has other channels.

    Programs that send one metric a record give as many samples as records; of a hundred channels
    each sample has few. Rows are the same without them, and memory holds a part only. Samples of
    another temporality, or that cover another time, stay apart.

    Args:
        decoded: Samples of a slice.
    """
    count = len(decoded)
    if count < 2:
        return decoded
    kinds, starts = decoded.temporality, decoded.start_us
    moments: dict[tuple[bytes, int, int, int], int] = {}
    identities = zip(
        decoded.keys,
        decoded.time_us.tolist(),
        [0] * count if kinds is None else kinds.tolist(),
        [0] * count if starts is None else starts.tolist(),
        strict=True,
    )
    group = np.array([moments.setdefault(identity, len(moments)) for identity in identities])
    rows, columns = np.nonzero(~np.isnan(decoded.values))
    cell, number = np.unique(np.stack([group[rows], columns]), axis=1, return_counts=True)
    # Where a channel has two values at one time, the samples of that time stay as they are.
    repeated = np.isin(group, cell[0, number > 1])
    group = np.where(repeated, len(moments) + np.arange(count), group)
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    group, first = np.argsort(np.argsort(first))[group], np.sort(first)  # in order of arrival
    values = np.full((len(first), decoded.values.shape[1]), np.nan)
    values[group[rows], columns] = decoded.values[rows, columns]
    return Decoded(
        keys=[decoded.keys[sample] for sample in first.tolist()],
        time_us=decoded.time_us[first],
        values=values,
        message=decoded.message[first],
        rejected=decoded.rejected,
        temporality=None if kinds is None else kinds[first],
        start_us=None if starts is None else starts[first],
    )


def _chunk(decoded: Decoded, channels: tuple[str, ...], positions: Counter[bytes]) -> Chunk:
    keys = tuple(dict.fromkeys(decoded.keys))
    numbers = {key: number for number, key in enumerate(keys)}
    position = np.empty(len(decoded), np.int64)
    for row, key in enumerate(decoded.keys):
        position[row] = positions[key]
        positions[key] += 1
    return Chunk(
        keys=keys,
        key_index=np.array([numbers[key] for key in decoded.keys], np.int64),
        position=position,
        time_us=decoded.time_us,
        time_text=np.array([rfc3339(time) for time in decoded.time_us.tolist()], object),
        channels=channels,
        values=decoded.values,
        is_train=np.zeros(len(decoded), np.bool_),
        label=None,
        temporality=decoded.temporality,
        start_us=decoded.start_us,
    )


def topic_records(
    settings: Settings, topic: str, since_ms: int | None = None
) -> Callable[[], Iterator[LogRecord]]:
    """Return a function that reads a topic up to its present end, the same records each time.

    Args:
        settings: Section `kafka`.
        topic: Name of the topic.
        since_ms: Kafka timestamp of the oldest record, milliseconds; None: all that are kept.

    Raises:
        UserError: If no broker answers, or there is no such topic.
    """
    metadata = clients.fetch_metadata(settings.kafka)
    counts = clients.partition_counts(metadata)
    if topic not in counts:
        names = ", ".join(sorted(name for name in counts if not name.startswith("__"))) or "none"
        raise UserError(
            f"There is no topic {topic!r}. Expected one of: {names}. Received: kafka:{topic}."
        )
    partitions = {topic: counts[topic]}
    searchable = not clients.is_embedded(metadata)
    consumer = clients.open_consumer(settings.kafka)
    try:
        ranges = reading.offset_ranges(consumer, partitions)
        if since_ms is not None:
            starts = reading.starts_since(consumer, partitions, since_ms, searchable=searchable)
            ranges = {tp: (max(low, starts[tp]), high) for tp, (low, high) in ranges.items()}
    finally:
        consumer.close()

    def read() -> Iterator[LogRecord]:
        consumer = clients.open_consumer(settings.kafka)
        try:
            for message in reading.read_range(consumer, ranges):
                record = as_log_record(message)
                if since_ms is None or record.timestamp >= since_ms:
                    yield record
        finally:
            consumer.close()

    return read


def record_schemes(
    settings: Callable[[], Settings], since_ms: int | None, options: DataOptions
) -> Mapping[str, Opener]:
    """Return the schemes `kafka:TOPIC`, `kcat:FILE` and `lines:FILE` of DATA.

    Args:
        settings: Function that loads the settings; called where one of the schemes is used.
        since_ms: Kafka timestamp of the oldest record of a topic.
        options: Channels to use and to leave out.
    """

    def topic(address: str, _: DataOptions) -> Source:
        loaded = settings()
        name = address or loaded.input.topics[0]
        records = topic_records(loaded, name, since_ms)
        return RecordSource(f"topic {name}", records, loaded, options)

    def dump(address: str, _: DataOptions) -> Source:
        path = Path(address)
        return RecordSource(f"dump {path}", lambda: read_dump(path), settings(), options)

    def values(address: str, _: DataOptions) -> Source:
        path = Path(address)
        return RecordSource(f"file {path}", lambda: read_values(path), settings(), options)

    return {"kafka": topic, "kcat": dump, "lines": values}
