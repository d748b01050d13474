"""Checks of `ember doctor` on the cluster: topics, durability, transactions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin._metadata import TopicMetadata

from stream.settings import OutputKind
from stream.tools import clients

from .control_topic_check import control_topic
from .findings import Check, Cluster
from .group_check import group
from .model_topic_check import model_topic

_TRANSACTION_SECONDS = 15.0
_EMBEDDED_PARTITIONS = 4
"""Partitions of a topic that the embedded broker makes when a client first asks for it."""
_MOST_AHEAD_MS = 86_400_000


def broker(cluster: Cluster) -> Iterator[Check]:
    """Check that a real broker answered."""
    nodes = len(cluster.metadata.brokers)
    if cluster.embedded:
        yield Check(
            "broker",
            "warn",
            "The embedded broker: in memory, forgets beyond 5 MiB a partition and at its end.",
            "Use a real Apache Kafka for anything but demos and tests.",
        )
    else:
        yield Check("broker", "ok", f"{nodes} broker{'s' if nodes > 1 else ''} answered.")


def topics(cluster: Cluster) -> Iterator[Check]:
    """Check inputs, changelogs and outputs."""
    for topic in cluster.settings.input.topics:
        name = f"topic {topic}"
        if topic not in cluster.counts:
            names = sorted(topic for topic in cluster.counts if not topic.startswith("__"))
            yield Check(
                name,
                "fail",
                f"There is no input topic {topic!r}. The cluster has: {', '.join(names) or '-'}.",
                "Create it, or name the right one with EMBER_INPUT__TOPICS or [input] topics.",
            )
            continue
        yield Check(name, "ok", f"{cluster.counts[topic]} partitions.")
        yield from _health(name, cluster.metadata.topics[topic])
        yield from _timestamps(cluster, topic)
        if not cluster.settings.input.rekey:
            yield _changelog(cluster, topic)
            yield from _outputs(cluster, topic)
    if cluster.settings.input.rekey:
        yield from _rekeyed(cluster)
    for topic in cluster.settings.model_topics:
        yield model_topic(cluster, topic)
    if cluster.settings.control_topic:
        yield control_topic(cluster)


def _rekeyed(cluster: Cluster) -> Iterator[Check]:
    """Check the topic of re-keyed records, with its changelog and outputs."""
    (topic,), (stream, *_) = cluster.settings.engine_topics, cluster.settings.streams
    name = f"topic {topic}"
    wanted = cluster.settings.input.rekey_partitions
    count = cluster.counts.get(topic)
    if count is None:
        number = wanted or max(cluster.inputs.values(), default=0)
        if cluster.embedded:
            fix = f"Start it with `--topics {topic}:{number}` beside the others."
            detail = "Missing, and the embedded broker does not make topics when asked."
            yield Check(name, "fail", detail, fix)
            return
        detail = f"Not there yet: the first start makes it, with {number} partitions."
        yield Check(name, "ok", detail)
        return
    if wanted not in (0, count):
        yield Check(
            name,
            "fail",
            f"It has {count} partitions, and input.rekey_partitions is {wanted}. The number is "
            "fixed when the topic is made, as keys would move.",
            f"Set input.rekey_partitions to {count}, or to 0.",
        )
    else:
        yield Check(name, "ok", f"{count} partitions.")
    yield from _health(name, cluster.metadata.topics[topic])
    retention = cluster.config(topic).get("retention.ms", "-1")
    if retention != "-1":
        yield Check(
            name,
            "warn",
            f"retention.ms is {retention}: measured by the records' own timestamps, so that "
            "history may be deleted before it is read. The worker deletes what it has absorbed.",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
            "--add-config retention.ms=-1",
        )
    yield _changelog(cluster, topic)
    yield from _outputs(cluster, stream)


def _health(name: str, topic: TopicMetadata) -> Iterator[Check]:
    leaderless = [number for number, part in topic.partitions.items() if part.leader < 0]
    if leaderless:
        yield Check(
            name,
            "fail",
            f"Partitions without a leader: {leaderless}. They can be neither read nor written.",
            "Bring their brokers back.",
        )
    lagging = [n for n, part in topic.partitions.items() if len(part.isrs) < len(part.replicas)]
    if lagging:
        yield Check(
            name,
            "warn",
            f"Partitions with a replica behind: {lagging}.",
            "Look at the brokers that hold them.",
        )


def _timestamps(cluster: Cluster, topic: str) -> Iterator[Check]:
    """Check the limit of the broker for timestamps in the future.

    Workers measure such records by their own clocks, which costs a checkpoint each half minute.
    """
    config = cluster.config(topic)
    limit = config.get("message.timestamp.after.max.ms", "")
    is_producer_time = config.get("message.timestamp.type") == "CreateTime"
    if is_producer_time and limit.isdecimal() and int(limit) > _MOST_AHEAD_MS:
        yield Check(
            f"topic {topic}",
            "warn",
            "The broker takes timestamps however far ahead: workers then have only their own "
            "clocks to refuse times by.",
            f"`kafka-configs --alter --topic {topic} --add-config "
            "message.timestamp.after.max.ms=3600000`, or message.timestamp.type=LogAppendTime.",
        )


def _changelog(cluster: Cluster, topic: str) -> Check:
    changelog = cluster.changelog(topic)
    name = f"changelog {changelog}"
    expected = cluster.counts[topic]
    if changelog not in cluster.counts:
        if cluster.embedded and expected != _EMBEDDED_PARTITIONS:
            return Check(
                name,
                "warn",
                "New: nothing is kept yet. The embedded broker would make it with "
                f"{_EMBEDDED_PARTITIONS} partitions, and its input {topic!r} has {expected}: a "
                "second start would be refused.",
                f"Start it with `--topics {changelog}:{expected}` beside the others.",
            )
        return Check(name, "ok", "Not there yet: the first start makes it.")
    if cluster.counts[changelog] != expected:
        return Check(
            name,
            "fail",
            f"It has {cluster.counts[changelog]} partitions, its input {topic!r} has {expected}. A "
            "key's state would be looked for in the wrong place.",
            "Run `ember state rebase` to move the keys to their new partitions.",
        )
    if check := cluster.not_compacted(name, changelog, "the state of quiet keys"):
        return check
    return Check(name, "ok", f"{expected} partitions, as its input.")


def _outputs(cluster: Cluster, topic: str) -> Iterator[Check]:
    output = cluster.settings.output
    kinds: list[OutputKind] = ["anomalies", "triggers", "dead_letters"]
    kinds += ["scores"] if output.scored_keys else []
    names = [output.topic(kind, topic) for kind in kinds]
    missing = [name for name in names if name not in cluster.counts]
    if not missing:
        yield Check(f"outputs of {topic}", "ok", ", ".join(names))
    elif cluster.embedded:
        yield Check(
            f"outputs of {topic}",
            "warn",
            f"Missing: {', '.join(missing)}.",
            "Start the embedded broker with them: `--topics NAME:PARTITIONS ...`.",
        )
    else:
        detail = f"Not there yet: {', '.join(missing)}. The first start makes them."
        yield Check(f"outputs of {topic}", "ok", detail)


def durability(cluster: Cluster) -> Iterator[Check]:
    """Check the replicas of inputs and changelogs, and how many must acknowledge a record."""
    if cluster.embedded:
        return
    for topic, partitions in (cluster.inputs | cluster.stored).items():
        yield from _durability(cluster, topic, partitions)
        changelog = cluster.changelog(topic)
        if changelog in cluster.counts:
            yield from _durability(cluster, changelog, cluster.counts[changelog])


def _durability(cluster: Cluster, topic: str, partitions: int) -> Iterator[Check]:
    name = f"durability {topic}"
    parts = cluster.metadata.topics[topic].partitions.values()
    replicas = min((len(part.replicas) for part in parts), default=0) if partitions else 0
    setting = cluster.config(topic).get("min.insync.replicas", "")
    insync = int(setting) if setting.isdecimal() else 1
    numbers = f"replication {replicas}, min.insync.replicas {insync}"
    if replicas < 2:
        detail = f"{numbers}: losing one disk loses the records."
        fix = "Three brokers, replication 3, min.insync.replicas 2."
        yield Check(name, "warn", detail, fix)
    elif insync < 2:
        detail = f"{numbers}: a record that one broker has counts as written."
        yield Check(name, "warn", detail, "Set min.insync.replicas=2 on the topic.")
    elif insync >= replicas:
        detail = f"{numbers}: one broker down stops all writing."
        yield Check(name, "warn", detail, "One more replica, or min.insync.replicas one less.")
    else:
        yield Check(name, "ok", numbers)


def transactions(cluster: Cluster) -> Iterator[Check]:
    """Check that checkpoints can be fenced by transactions."""
    setting = cluster.settings.checkpoint.transactions
    exactly_once = cluster.settings.checkpoint.guarantee == "exactly_once"
    consequence = "State is at least once here: a zombie's late rows are not fenced."
    if setting == "off":
        yield Check(
            "transactions", "warn", f"Switched off. {consequence}", "checkpoint.transactions"
        )
        return
    embedded = "the embedded broker only pretends to have them"
    cause = embedded if cluster.embedded else _init_transactions(cluster)
    if not cause:
        yield Check("transactions", "ok", "Available: checkpoints are fenced.")
    elif setting == "on" or exactly_once:
        yield Check(
            "transactions",
            "fail",
            f"Not available ({cause}), but the settings ask for them.",
            "Allow them for this client (ACL on transactional ids), or set "
            "checkpoint.transactions=off and guarantee=at_least_once.",
        )
    else:
        yield Check("transactions", "warn", f"Not available ({cause}). {consequence}")


def _init_transactions(cluster: Cluster) -> str:
    """Start a transactional producer; return the error of the broker, or an empty string."""
    kafka = cluster.settings.kafka
    # A new id every time: the id of a worker would fence that worker.
    name = f"{kafka.group}-doctor-{uuid.uuid4().hex[:8]}"
    try:
        producer = clients.open_producer(kafka, transactional__id=name)
        producer.init_transactions(_TRANSACTION_SECONDS)
    except KafkaException as error:
        return str(error.args[0].str())
    return ""


CLUSTER_CHECKS: tuple[Callable[[Cluster], Iterator[Check]], ...] = (
    broker,
    topics,
    durability,
    transactions,
    group,
)
