"""Check of `ember doctor`: the lag of the consumer group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaException

from stream.rekeying import rekey_group
from stream.tools import clients, reading

from .findings import Check, Cluster


def group(cluster: Cluster) -> Iterator[Check]:
    """Check the group's offsets against the log, and its lag."""
    name = cluster.settings.kafka.group
    if cluster.settings.input.rekey:
        yield from _group(cluster, rekey_group(name), cluster.inputs)
    yield from _group(cluster, name, cluster.stored)


def _group(cluster: Cluster, name: str, topics: Mapping[str, int]) -> Iterator[Check]:
    """Check one group on the topics that it reads."""
    members = _members(cluster, name)
    consumer = clients.open_consumer(cluster.settings.kafka, name)
    try:
        for topic, partitions in topics.items():
            watermarks = reading.watermarks(consumer, topic, partitions)
            committed = reading.committed(consumer, topic, partitions)
            yield _lag(f"group {name} on {topic}", watermarks, committed, members)
    finally:
        consumer.close()


def _lag(
    name: str,
    watermarks: list[tuple[int, int]],
    committed: list[int | None],
    members: int | None,
) -> Check:
    offsets = [(n, offset) for n, offset in enumerate(committed) if offset is not None]
    after_end = [n for n, offset in offsets if offset > watermarks[n][1]]
    if after_end:
        return Check(
            name,
            "fail",
            f"Committed beyond the end of the log in partitions {after_end}: the topic was "
            "recreated.",
            "Run `ember state rebase` to accept the topic as it is now.",
        )
    before_start = [n for n, offset in offsets if offset < watermarks[n][0]]
    if before_start:
        return Check(
            name,
            "fail",
            f"Retention deleted records of partitions {before_start} before they were read.",
            "Give the topic a longer retention, or the service more workers.",
        )
    if not offsets:
        return Check(name, "ok", "Has not read yet: it starts by input.start.")
    lag = sum(
        high - (low if offset is None else offset)
        for (low, high), offset in zip(watermarks, committed, strict=True)
    )
    workers = "" if members is None else f", {members} worker{'' if members == 1 else 's'}"
    if members == 0 and lag:
        return Check(name, "warn", f"{lag:,} records behind, and no worker runs.", "`ember run`")
    return Check(name, "ok", f"{lag:,} records behind{workers}.")


def _members(cluster: Cluster, name: str) -> int | None:
    """Return the number of members of a group; None if the broker does not tell."""
    if cluster.embedded:
        return None
    try:
        futures = cluster.admin.describe_consumer_groups([name], request_timeout=5)
        description = futures[name].result()
    except KafkaException:
        return None
    return len(description.members)
