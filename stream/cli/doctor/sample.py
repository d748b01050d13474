"""Checks of `ember doctor` on the newest records: keys, format, channels, clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Message

from stream.codecs import make_codec
from stream.engine.clock import CLOCK_SKEW_US
from stream.errors import UserError
from stream.keys import quoted
from stream.records import Decoded, Reason
from stream.settings import Settings
from stream.tools import clients, reading

from .findings import Check, Cluster

SAMPLE = 100
_SKEW_MS = 5_000
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Sampled:
    """A message with the fields that codecs read."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    partition: int
    headers: Sequence[tuple[str, bytes]] = field(default=())


def sample(cluster: Cluster, channels: Sequence[str] | None, now_ms: int) -> Iterator[Check]:
    """Check the newest records of every input topic.

    Args:
        cluster: Cluster with the input topics.
        channels: Channels of the model; None if it could not be loaded.
        now_ms: Clock of this machine, milliseconds since the epoch.
    """
    consumer = clients.open_consumer(cluster.settings.kafka)
    try:
        for topic, partitions in cluster.inputs.items():
            try:
                messages = reading.newest(consumer, {topic: partitions}, SAMPLE)
            except UserError as error:
                # The last sentence of an error is the fix.
                detail, _, fix = error.message.rpartition(". ")
                yield Check(f"records of {topic}", "fail", f"{detail}.", fix)
                continue
            yield from _topic(
                cluster.settings, topic, [_as_sampled(m) for m in messages], channels, now_ms
            )
    finally:
        consumer.close()


def _topic(
    settings: Settings,
    topic: str,
    messages: list[Sampled],
    channels: Sequence[str] | None,
    now_ms: int,
) -> Iterator[Check]:
    if not messages:
        fix = "Send something, for example with `ember replay`, and ask again."
        yield Check(f"records of {topic}", "skip", "The topic is empty.", fix)
        return
    yield keys(settings, topic, messages)
    yield from clocks(topic, messages, now_ms)
    if channels is None:
        detail = "Not looked at: the model could not be loaded."
        yield Check(f"records of {topic}", "skip", detail)
        return
    try:
        decoded = _decode(settings, channels, messages)
    except UserError as error:
        yield Check(f"records of {topic}", "fail", error.message)
        return
    yield records(settings, topic, decoded, len(messages))
    yield from future(settings, topic, decoded, messages, now_ms)
    if len(decoded):
        yield fit(topic, decoded, channels)


def keys(settings: Settings, topic: str, messages: Sequence[Sampled]) -> Check:
    """Check that every stream key is the Kafka key, and in one partition only."""
    name = f"keys of {topic}"
    null = sum(message.key is None for message in messages)
    partitions: dict[bytes, set[int]] = {}
    for message in messages:
        if message.key is not None:
            partitions.setdefault(message.key, set()).add(message.partition)
    scattered = [key for key, numbers in partitions.items() if len(numbers) > 1]
    if null and not settings.input.key:
        return Check(
            name,
            "fail",
            f"{null} of {len(messages)} records have no Kafka key: they would be refused.",
            "Let the producer set the key, or say in `input.key` which field names the stream.",
        )
    if null:
        return Check(
            name,
            "warn",
            f"{null} of {len(messages)} records have no Kafka key: they have to be re-keyed by "
            f"{settings.input.key!r} through {settings.kafka.group}-rekey first. {_cost(messages)}",
            "Cheaper: let the producer set the key.",
        )
    if scattered:
        names = ", ".join(map(quoted, scattered[:_SHOWN]))
        return Check(
            name,
            "fail",
            f"Keys in more than one partition: {names}. Each would have several states. Either "
            "producers hash differently, or partitions were added.",
            "Use one partitioner for all producers (Kafka's default is murmur2; librdkafka needs "
            "partitioner=murmur2_random), and a new topic after adding partitions.",
        )
    return Check(
        name, "ok", f"{len(partitions)} keys in {len(messages)} records, each in one partition."
    )


def _cost(messages: Sequence[Sampled]) -> str:
    size = sum(len(m.value or b"") for m in messages) / len(messages)
    # Producers are assumed to go on as in the sample.
    span = (messages[-1].timestamp - messages[0].timestamp) / 1000
    if span <= 0:
        return f"Each record ({size:,.0f} bytes) is written and read once more."
    rate = (len(messages) - 1) / span
    return (
        f"That writes and reads every record once more: at the present {rate:,.0f} records/s "
        f"about {rate * size / 1e6:.2g} MB/s more each way, and one more hop of delay."
    )


def clocks(topic: str, messages: Sequence[Sampled], now_ms: int) -> Iterator[Check]:
    """Compare Kafka's timestamps with this machine's clock."""
    newest = max(message.timestamp for message in messages)
    name = f"clock of {topic}"
    if newest - now_ms > _SKEW_MS:
        yield Check(
            name,
            "warn",
            f"The newest record is stamped {(newest - now_ms) / 1000:,.0f} s in the future.",
            "Set the clocks (NTP) of the producers or of this machine.",
        )
    elif newest <= 0:
        yield Check(
            name,
            "warn",
            "The records have no Kafka timestamp: event times are measured by the workers' clocks.",
            "Use a producer that sets it.",
        )
    else:
        yield Check(
            name, "ok", f"The newest record is {max(0, now_ms - newest) / 1000:,.1f} s old."
        )


def records(settings: Settings, topic: str, decoded: Decoded, total: int) -> Check:
    """Check that the codec decodes the records."""
    name = f"records of {topic}"
    refused = decoded.rejected
    if not refused:
        return Check(name, "ok", f"All of the newest {total} are {settings.input.codec}.")
    counts = Counter(reason for _, reason, _ in refused)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    example = refused[-1].detail
    detail = f"{len(refused)} of the newest {total} would be refused: {reasons}. Last: {example}"
    if set(counts) == {Reason.NO_CHANNELS} and len(refused) == total:
        fix = "This model is not for this topic: set model.path, or train one on its records."
    else:
        fix = "Check input.codec, input.time, input.time_unit, input.key against a record."
    return Check(name, "fail" if len(refused) == total else "warn", detail, fix)


def future(
    settings: Settings,
    topic: str,
    decoded: Decoded,
    messages: Sequence[Sampled],
    now_ms: int,
) -> Iterator[Check]:
    """Check for event times further ahead than input.future_seconds, measured as a worker does."""
    if not len(decoded):
        return
    stamps = np.array([message.timestamp for message in messages], np.int64)
    latest_ms = now_ms + CLOCK_SKEW_US // 1000
    reference_ms = np.where(stamps > 0, np.minimum(stamps, latest_ms), latest_ms)
    ahead_seconds = (decoded.time_us // 1000 - reference_ms[decoded.message]) / 1000
    limit = settings.input.future_seconds
    count = int((ahead_seconds > limit).sum())
    if count:
        yield Check(
            f"event times of {topic}",
            "fail" if count == len(decoded) else "warn",
            f"{count} of {len(decoded)} samples are up to {float(ahead_seconds.max()):,.0f} s "
            "ahead of their Kafka timestamp, or of this clock: they would be refused.",
            "Check input.time_unit and the producers' clocks, or raise input.future_seconds.",
        )


def fit(topic: str, decoded: Decoded, channels: Sequence[str]) -> Check:
    """Check that the records have the channels of the model."""
    name = f"channels of {topic}"
    missing = [
        channel
        for number, channel in enumerate(channels)
        if np.isnan(decoded.values[:, number]).all()
    ]
    if not missing:
        return Check(name, "ok", f"All {len(channels)} channels of the model occur.")
    suffix = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return Check(
        name,
        "warn",
        f"{len(missing)} of the model's {len(channels)} channels are in none of the newest "
        f"records: {', '.join(missing[:_SHOWN])}{suffix}.",
        "They count as missing. Map names with [input.fields], or train without them (--drop).",
    )


def _decode(settings: Settings, channels: Sequence[str], messages: Sequence[Sampled]) -> Decoded:
    source = settings.input
    codec = make_codec(source.codec, channels, **source.codec_options())
    return codec.decode(messages)


def _as_sampled(message: Message) -> Sampled:
    headers: Any = message.headers() or ()
    _, partition = reading.partition_of(message)
    return Sampled(
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.offset() or 0,
        partition,
        headers,
    )
