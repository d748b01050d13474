"""Start of a process that reads triggers: their topics, its group, and where to begin."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from stream.errors import UserError
from stream.observe import BridgeHealth
from stream.settings import Settings
from stream.tools import clients
from stream.types import TP

from ._progress import Progress

log = structlog.stdlib.get_logger("ember")

_TOPIC_RETRY_SECONDS = 5.0


def wait_for_topics(
    settings: Settings,
    topics: Sequence[str],
    creator: str,
    health: BridgeHealth,
    stop: threading.Event,
) -> bool:
    """Wait for a broker, and for topics that another process creates.

    Args:
        settings: Settings of the service.
        topics: Topics to wait for.
        creator: Command that creates them.
        health: Health of this process.
        stop: Event that ends the wait.

    Returns:
        False if the event was set first.

    Raises:
        UserError: If the broker refuses the login.
    """
    logged_reason = ""
    while not stop.is_set():
        try:
            counts = clients.partition_counts(clients.fetch_metadata(settings.kafka))
        except clients.UnreachableError as error:
            reason = error.message
        else:
            missing = [topic for topic in topics if topic not in counts]
            if not missing:
                return True
            reason = f"there is no topic {missing[0]!r} yet: {creator} creates it"
        now = time.monotonic()
        health.worked(now)
        health.phase("waiting", reason, now)
        if reason != logged_reason:
            log.warning("waiting", reason=reason)
            logged_reason = reason
        stop.wait(_TOPIC_RETRY_SECONDS)
    return False


@contextmanager
def group_member(
    settings: Settings, group: str, health: BridgeHealth, now: float, process: str, **options: Any
) -> Iterator[Consumer]:
    """Open a consumer that is to join a group, and close it at the end of the block.

    Args:
        settings: Settings of the service.
        group: Consumer group.
        health: Health of this process.
        now: Monotonic clock, in seconds.
        process: Name of this process in an error, such as `the bridge`.
        **options: Further settings of the consumer, as for `clients.open_consumer`.

    Raises:
        UserError: If the broker refuses the login, or to be read in the block.
    """
    session = round(1000 * settings.kafka.session_timeout_seconds)
    consumer = clients.open_consumer(settings.kafka, group, session__timeout__ms=session, **options)
    health.phase("joining", f"group {group}", now)
    try:
        yield consumer
    except KafkaException as error:
        raise UserError(f"The broker refused {process}: {error.args[0].str()}.") from None
    finally:
        consumer.close()


def first_offsets(
    consumer: Consumer, partitions: Sequence[TopicPartition], max_age_seconds: float
) -> tuple[list[TopicPartition], dict[TP, Progress]]:
    """Return the offsets to start at, and the progress of the partitions that have a commit.

    A partition with a commit starts at its oldest firing trigger, one without at the first trigger
    within `max_age_seconds`.

    Args:
        consumer: Consumer of the group.
        partitions: Partitions to read.
        max_age_seconds: Age of the oldest trigger to read without a commit.
    """
    seconds = clients.REQUEST_SECONDS
    starts: list[TopicPartition] = []
    former: dict[TP, Progress] = {}
    uncommitted = []
    for tp in consumer.committed(list(partitions), timeout=seconds):
        if tp.offset < 0:
            uncommitted.append(tp)
            continue
        progress = Progress.read(tp.offset, tp.metadata or "")
        former[tp.topic, tp.partition] = progress
        starts.append(TopicPartition(tp.topic, tp.partition, progress.start))
    if not uncommitted:
        return starts, former
    if clients.is_embedded(consumer.list_topics(timeout=seconds)):
        # The embedded broker cannot look up offsets by time.
        starts += [TopicPartition(tp.topic, tp.partition, OFFSET_BEGINNING) for tp in uncommitted]
        return starts, former
    since_ms = int(1000 * (time.time() - max_age_seconds))
    # End offsets first: a trigger written between the two requests must not be skipped.
    ends = [consumer.get_watermark_offsets(tp, timeout=seconds)[1] for tp in uncommitted]
    requests = [TopicPartition(tp.topic, tp.partition, since_ms) for tp in uncommitted]
    answers = consumer.offsets_for_times(requests, timeout=seconds)
    for tp, end in zip(answers, ends, strict=True):
        first = tp.offset if tp.offset >= 0 else end  # negative: all triggers are older
        starts.append(TopicPartition(tp.topic, tp.partition, first))
    return starts, former
