"""What `ember doctor` asks the cluster: topics, durability, transactions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin._metadata import TopicMetadata

from stream.tools import clients

from .findings import Check, Cluster
from .group_check import group

_TRANSACTION_SECONDS = 15.0
_MOST_AHEAD_MS = 86_400_000


def broker(cluster: Cluster) -> Iterator[Check]:
    """What kind of broker answered."""
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
    """Inputs are there, outputs are there or can be made, changelogs fit."""
    for topic in cluster.settings.input.topics:
        name = f"topic {topic}"
        if topic not in cluster.counts:
            others = sorted(other for other in cluster.counts if not other.startswith("__"))
            yield Check(
                name,
                "fail",
                f"There is no input topic {topic!r}. The cluster has: {', '.join(others) or '-'}.",
                "Create it, or name the right one with EMBER_INPUT__TOPICS or [input] topics.",
            )
            continue
        yield Check(name, "ok", f"{cluster.counts[topic]} partitions.")
        yield from _health(name, cluster.metadata.topics[topic])
        yield from _timestamps(cluster, topic)
        yield _changelog(cluster, topic)
        yield from _outputs(cluster, topic)


def _health(name: str, topic: TopicMetadata) -> Iterator[Check]:
    dead = [number for number, part in topic.partitions.items() if part.leader < 0]
    if dead:
        yield Check(
            name,
            "fail",
            f"Partitions without a leader: {dead}. They can be neither read nor written.",
            "Bring their brokers back.",
        )
    behind = [n for n, part in topic.partitions.items() if len(part.isrs) < len(part.replicas)]
    if behind:
        yield Check(
            name,
            "warn",
            f"Partitions with a replica behind: {behind}.",
            "Look at the brokers that hold them.",
        )


def _timestamps(cluster: Cluster, topic: str) -> Iterator[Check]:
    """Kafka's timestamps bound event times, and with them who counts as silent."""
    found = cluster.config(topic)
    most = found.get("message.timestamp.after.max.ms", "")
    theirs = found.get("message.timestamp.type") == "CreateTime"
    if theirs and most.isdecimal() and int(most) > _MOST_AHEAD_MS:
        yield Check(
            f"topic {topic}",
            "warn",
            "The broker takes timestamps however far ahead: one producer with a wrong clock can "
            "have all other keys of a partition taken for silent.",
            f"`kafka-configs --alter --topic {topic} --add-config "
            "message.timestamp.after.max.ms=3600000`, or message.timestamp.type=LogAppendTime.",
        )


def _changelog(cluster: Cluster, topic: str) -> Check:
    changelog = cluster.changelog(topic)
    name = f"changelog {changelog}"
    wanted = cluster.counts[topic]
    if changelog not in cluster.counts:
        if cluster.embedded:
            return Check(
                name,
                "fail",
                "Missing, and the embedded broker does not make topics when asked.",
                f"Start it with `--topics {changelog}:{wanted}` beside the others.",
            )
        return Check(name, "ok", "Not there yet: the first start makes it.")
    if cluster.counts[changelog] != wanted:
        return Check(
            name,
            "fail",
            f"It has {cluster.counts[changelog]} partitions, its input {topic!r} has {wanted}. A "
            "key's state would be looked for in the wrong place.",
            "Run `ember state rebase` to say what should hold.",
        )
    policy = cluster.config(changelog).get("cleanup.policy", "compact")
    if policy != "compact":
        return Check(
            name,
            "fail",
            f"cleanup.policy is {policy!r}: the broker deletes the state of quiet keys.",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {changelog} "
            "--add-config cleanup.policy=compact",
        )
    return Check(name, "ok", f"{wanted} partitions, as its input.")


def _outputs(cluster: Cluster, topic: str) -> Iterator[Check]:
    output = cluster.settings.output
    kinds: tuple[Literal["anomalies", "triggers", "dead_letters"], ...] = (
        "anomalies",
        "triggers",
        "dead_letters",
    )
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
    """Replicas, and how many must have a record before it counts as written."""
    if cluster.embedded:
        return
    for topic, partitions in cluster.inputs.items():
        yield from _durability(cluster, topic, partitions)
        changelog = cluster.changelog(topic)
        if changelog in cluster.counts:
            yield from _durability(cluster, changelog, cluster.counts[changelog])


def _durability(cluster: Cluster, topic: str, partitions: int) -> Iterator[Check]:
    name = f"durability {topic}"
    parts = cluster.metadata.topics[topic].partitions.values()
    replicas = min((len(part.replicas) for part in parts), default=0) if partitions else 0
    found = cluster.config(topic).get("min.insync.replicas", "")
    insync = int(found) if found.isdecimal() else 1
    numbers = f"replication {replicas}, min.insync.replicas {insync}"
    if replicas < 2:
        detail = f"{numbers}: losing one disk loses the records."
        mend = "Three brokers, replication 3, min.insync.replicas 2."
        yield Check(name, "warn", detail, mend)
    elif insync < 2:
        detail = f"{numbers}: a record that one broker has counts as written."
        yield Check(name, "warn", detail, "Set min.insync.replicas=2 on the topic.")
    elif insync >= replicas:
        detail = f"{numbers}: one broker down stops all writing."
        yield Check(name, "warn", detail, "One more replica, or min.insync.replicas one less.")
    else:
        yield Check(name, "ok", numbers)


def transactions(cluster: Cluster) -> Iterator[Check]:
    """Whether checkpoints can be fenced."""
    wanted = cluster.settings.checkpoint.transactions
    exactly = cluster.settings.checkpoint.guarantee == "exactly_once"
    without = "State is at least once here: a zombie's late rows are not fenced."
    if wanted == "off":
        yield Check("transactions", "warn", f"Switched off. {without}", "checkpoint.transactions")
        return
    why = "the embedded broker only pretends to have them" if cluster.embedded else _init(cluster)
    if not why:
        yield Check("transactions", "ok", "Available: checkpoints are fenced.")
    elif wanted == "on" or exactly:
        yield Check(
            "transactions",
            "fail",
            f"Not available ({why}), but the settings ask for them.",
            "Allow them for this client (ACL on transactional ids), or set "
            "checkpoint.transactions=off and guarantee=at_least_once.",
        )
    else:
        yield Check("transactions", "warn", f"Not available ({why}). {without}")


def _init(cluster: Cluster) -> str:
    """Begin a transactional producer, and give the reason why it did not work, or nothing."""
    kafka = cluster.settings.kafka
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
