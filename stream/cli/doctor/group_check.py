"""Where the consumer group stands, for `ember doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaException

from stream.tools import clients

from .findings import Check, Cluster


def group(cluster: Cluster) -> Iterator[Check]:
    """Where the consumer group stands."""
    kafka = cluster.settings.kafka
    members = _members(cluster)
    consumer = clients.open_consumer(kafka, kafka.group)
    try:
        for topic, partitions in cluster.inputs.items():
            marks = clients.watermarks(consumer, topic, partitions)
            done = clients.committed(consumer, topic, partitions)
            yield _lag(f"group {kafka.group} on {topic}", marks, done, members)
    finally:
        consumer.close()


def _lag(
    name: str, marks: list[tuple[int, int]], done: list[int | None], members: int | None
) -> Check:
    beyond = [n for n, at in enumerate(done) if at is not None and at > marks[n][1]]
    if beyond:
        return Check(
            name,
            "fail",
            f"Committed beyond the end of the log in partitions {beyond}: the topic was made anew.",
            "Run `ember state rebase` to say what should hold.",
        )
    lost = [n for n, at in enumerate(done) if at is not None and at < marks[n][0]]
    if lost:
        return Check(
            name,
            "fail",
            f"Retention deleted records of partitions {lost} before they were read.",
            "Give the topic a longer retention, or the service more workers.",
        )
    if all(at is None for at in done):
        return Check(name, "ok", "Has not read yet: it starts by input.start.")
    lag = sum(
        high - (low if at is None else at) for (low, high), at in zip(marks, done, strict=True)
    )
    workers = "" if members is None else f", {members} worker{'' if members == 1 else 's'}"
    if members == 0 and lag:
        return Check(name, "warn", f"{lag:,} records behind, and no worker runs.", "`ember run`")
    return Check(name, "ok", f"{lag:,} records behind{workers}.")


def _members(cluster: Cluster) -> int | None:
    """Members of the group; None where the broker does not tell."""
    if cluster.embedded:
        return None
    name = cluster.settings.kafka.group
    try:
        found = cluster.admin.describe_consumer_groups([name], request_timeout=5)[name].result()
    except KafkaException:
        return None
    return len(found.members)
