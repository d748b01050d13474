"""`ember replay`: recorded telemetry, sent to a topic as if it were live."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from confluent_kafka.admin._metadata import ClusterMetadata
from cyclopts import Parameter

from ember_core.data.sources import DataError, Dataset, read
from stream.errors import UserError
from stream.rekeying import rekey_group
from stream.settings import KafkaSection, Settings
from stream.tools import clients
from stream.tools.replay import Gate, Outbound, Schedule, Summary, at_rate, at_speed, flat_out, send
from stream.tools.topic_names import likely_topics

from . import recorded
from .data_options import DataArgs, DataFiles, DataOptions
from .options import ClusterArgs, ClusterOptions
from .output import message, print_json

_DEFAULT_RATE = 1_000.0
_DEFAULT_SHUFFLE_SEED = 0


def replay(
    data: DataFiles,
    /,
    *,
    to: str,
    options: DataArgs = DataOptions(),
    speed: float | None = None,
    rate: float | None = None,
    flat_out: bool = False,
    warm: bool = False,
    long: Annotated[bool, Parameter(name=["--long", "--one-channel-per-record"])] = False,
    shuffle_seconds: float = 0.0,
    seed: int = _DEFAULT_SHUFFLE_SEED,
    partitions: int | None = None,
    group: str | None = None,
    max_lag: int | None = None,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Send the rows not used for training to a topic, in order of event time, with their keys.

    The default rate is 1,000 records per second. On the embedded broker, which keeps few records,
    the replay waits while the consumer group of the service lags.

    Args:
        data: CSV (also .gz), Parquet, JSON lines, a directory, or a query.
        to: Target topic; it must exist unless --partitions is given.
        options: Columns and rows of the files.
        speed: Follow the event times, this many times as fast.
        rate: Records per second.
        flat_out: Send at full speed.
        warm: Send the training rows too, before the others.
        long: Send one record per channel, as monitoring systems do.
        shuffle_seconds: Send out of order, at most this much event time late.
        seed: Seed of the shuffled order.
        partitions: Create a missing topic with this number of partitions.
        group: Consumer group of the service, for --max-lag. Default: kafka.group.
        max_lag: Wait while the group lags by more records in a partition. Default: no limit on a
            real broker, the records it keeps on the embedded one.
        json: Print the summary as one JSON object.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    schedule = _schedule(speed, rate, flat_out)
    _check(shuffle_seconds=shuffle_seconds, max_lag=max_lag, partitions=partitions)
    try:
        dataset = read(data, options)
    except DataError as error:
        raise UserError(str(error)) from None
    records = recorded.checked(_records(dataset, warm=warm, long=long))
    if shuffle_seconds:
        records = recorded.shuffled(records, shuffle_seconds, seed)
    metadata = clients.fetch_metadata(settings.kafka)
    count = ensure_topic(settings.kafka, metadata, to, partitions)
    producer = clients.open_producer(settings.kafka)
    gate = None
    if max_lag is not None or clients.is_embedded(metadata):
        gate = Gate(
            settings.kafka,
            to,
            count,
            group=group or _reader(settings),
            max_lag=max_lag or 0,
            warn=message,
        )
    try:
        with _progress() as progress:
            summary = send(producer, to, records, schedule=schedule, gate=gate, progress=progress)
    except KeyboardInterrupt:
        producer.flush(5)
        raise UserError("Interrupted: the rest of the data was not sent.") from None
    finally:
        if gate is not None:
            gate.close()
    _report(summary, to, json=json)


def _records(dataset: Dataset, *, warm: bool, long: bool) -> Iterator[Outbound]:
    make = recorded.long if long else recorded.wide
    if warm and dataset.divided:
        yield from make(dataset, "train")
    yield from make(dataset, "scored")


def _schedule(speed: float | None, rate: float | None, at_once: bool) -> Schedule:
    options = {"--speed": speed, "--rate": rate, "--flat-out": at_once or None}
    given_names = [name for name, value in options.items() if value is not None]
    if len(given_names) > 1:
        raise UserError(
            "The pace is given twice. Expected one of --speed, --rate, --flat-out. "
            f"Received: {' and '.join(given_names)}.",
            exit_code=2,
        )
    _check(speed=speed, rate=rate)
    if at_once:
        return flat_out
    if speed is not None:
        return at_speed(speed)
    return at_rate(_DEFAULT_RATE if rate is None else rate)


def _check(**values: float | None) -> None:
    for name, value in values.items():
        if value is None or value > 0 or (name == "shuffle_seconds" and value == 0):
            continue
        raise UserError(
            f"--{name.replace('_', '-')} cannot be used. Expected a number above 0. "
            f"Received: {name}={value}.",
            exit_code=2,
        )


def ensure_topic(
    kafka: KafkaSection, metadata: ClusterMetadata, topic: str, partitions: int | None
) -> int:
    """Return the number of partitions of a topic; create it if that is asked for and possible.

    Args:
        kafka: The `[kafka]` section.
        metadata: Topics of the cluster.
        topic: Name of the topic.
        partitions: Number of partitions to create it with; None to create nothing.

    Raises:
        UserError: If there is no such topic.
    """
    counts = clients.partition_counts(metadata)
    if topic in counts:
        return counts[topic]
    # The embedded broker has no admin API.
    if partitions is None or clients.is_embedded(metadata):
        fix = (
            "Name it where the embedded broker is started: `--topics NAME:PARTITIONS`."
            if clients.is_embedded(metadata)
            else "Create it with --partitions N, or with your cluster's own tools."
        )
        raise UserError(
            f"There is no topic {topic!r} at {kafka.bootstrap_servers}. Expected one of: "
            f"{likely_topics(counts, topic)}. Received: --to {topic}. {fix}"
        )
    clients.create_topic(kafka, topic, partitions)
    return partitions


def _reader(settings: Settings) -> str:
    """Return the consumer group that reads the input topics."""
    group = settings.kafka.group
    return rekey_group(group) if settings.input.rekey else group


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _sent: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} records"),
        TextColumn("{task.speed:,.0f}/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=None)
        yield lambda sent: bar.update(task, completed=sent)


def _report(summary: Summary, topic: str, *, json: bool) -> None:
    figures = {
        "topic": topic,
        "records": summary.records,
        "seconds": round(summary.seconds, 3),
        "records_per_second": round(summary.records_per_second, 1),
        "waited_seconds": round(summary.waited_seconds, 3),
    }
    if json:
        print_json(figures)
        return
    waiting = f", {summary.waited_seconds:.1f} s of them waiting" if summary.waited_seconds else ""
    message(
        f"{summary.records:,} records to {topic} in {summary.seconds:.1f} s{waiting} "
        f"({summary.records_per_second:,.0f}/s)."
    )
