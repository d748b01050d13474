"""Topics of a worker: inputs are awaited, outputs and changelogs made and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stream.kafka.client.admin import Admin, connect, wait_for_topics
from stream.kafka.client.errors import KafkaError, is_retriable
from stream.kafka.config import WorkerConfig
from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.protocol.start_offset import partitions_added

log = logging.getLogger(__name__)


REKEYED_CONFIG: Final = {
    "cleanup.policy": "delete",
    # Kafka measures retention by the records' own timestamps: history would be deleted before it
    # is read. The worker deletes what it has absorbed.
    "retention.ms": "-1",
    "message.timestamp.type": "CreateTime",
    "segment.bytes": "52428800",
}
"""Topic settings of `<group>-rekey`."""

MODEL_CONFIG: Final = {
    "cleanup.policy": "compact",
    # Chunks are smaller, whatever the broker's own limit is.
    "max.message.bytes": "1048588",
}
"""Topic settings of the model topic. It has one partition, so that its records have one order."""

CONTROL_CONFIG: Final = MODEL_CONFIG
"""Topic settings of the control topic, which has one partition for the same reason."""


_SEGMENTS: Final = 12
"""Segments of the scores topic within its retention."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cluster as it is before the group is joined.

    Attributes:
        inputs: Input topics by name.
        transactions: Whether checkpoints are fenced transactions.
    """

    inputs: dict[str, TopicStatus]
    transactions: bool


async def prepare(config: WorkerConfig, lifecycle: Lifecycle) -> Cluster:
    """Wait for the inputs, make the outputs and changelogs, settle on transactions.

    Args:
        config: Kafka configuration of the worker.
        lifecycle: Phase of the worker, told the reasons to wait.

    Raises:
        RefusedError: If a changelog has another number of partitions than its input.
    """
    admin = await connect(config.client_settings(), lifecycle.wait)
    try:
        inputs = await wait_for_topics(admin, config.rekeyed or config.topics, lifecycle.wait)
        if config.rekeyed:
            inputs = await _rekeyed(admin, config, inputs, lifecycle)
        await _make(admin, config, inputs)
        await _check_scores(admin, config, inputs)
        inputs = {topic: inputs[topic] for topic in config.topics}
        changelogs = {topic: config.changelog(topic) for topic in inputs}
        described = await admin.describe(list(changelogs.values()))
        for topic, status in inputs.items():
            changelog = described.get(changelogs[topic])
            # A changelog that is still missing is refused after the assignment.
            if changelog is not None and changelog.partitions != status.partitions:
                raise RefusedError(
                    partitions_added(
                        changelogs[topic], topic, status.partitions, changelog.partitions
                    )
                )
        return Cluster(inputs, _transactions(config, admin))
    finally:
        await admin.__aexit__()


def _transactions(config: WorkerConfig, admin: Admin) -> bool:
    if config.transactions == "auto":
        transactions = admin.can_fence
    else:
        transactions = config.transactions == "on"
    if config.guarantee == "exactly_once" and not transactions:
        raise RefusedError(
            "The guarantee exactly_once needs a broker with fenced transactions (KIP-447). "
            "Expected Kafka 2.5 or newer, not the embedded broker. "
            f"Received: transactions={config.transactions!r}."
        )
    return transactions


def own_topics(
    config: WorkerConfig, partitions: Mapping[str, int]
) -> dict[str, tuple[int, dict[str, str]]]:
    """List the topics that Ember makes: all but the inputs.

    Args:
        config: Kafka configuration of the worker, with its names.
        partitions: Number of partitions by input topic; with re-keying also that of the topic of
            re-keyed records, where it exists.

    Returns:
        Number of partitions and topic settings by name.
    """
    topics: dict[str, tuple[int, dict[str, str]]] = {}
    for source in config.rekeyed:
        # Refused while it is re-keyed: the letters are named after the topic it came from.
        if config.dead_letters and source in partitions:
            topics[config.output_topic("dead_letters", source)] = (partitions[source], {})
    for topic in config.topics:
        count = partitions.get(topic, 0)
        if config.rekeyed:
            count = count or config.rekey_partitions or max(partitions.values(), default=0)
            topics[topic] = (count, REKEYED_CONFIG)
        topics[config.changelog(topic)] = (count, {"cleanup.policy": "compact"})
        is_off = {"dead_letters": not config.dead_letters, "scores": not config.scores}
        for kind in config.output:
            name = config.output_topic(kind, topic)
            if kind == "scores" and config.scores:
                # Inputs may share it, and scored rows keep the number of their partition.
                before, _ = topics.get(name, (0, {}))
                topics[name] = max(count, before), _scores_config(config)
            elif not is_off.get(kind, False):
                topics.setdefault(name, (count, {}))
    for topic in config.model_topics:
        topics[topic] = (1, MODEL_CONFIG)
    if config.control_topic:
        topics[config.control_topic] = (1, CONTROL_CONFIG)
    return topics


async def _check_scores(
    admin: Admin, config: WorkerConfig, inputs: Mapping[str, TopicStatus]
) -> None:
    """Refuse a topic of scored rows that lacks partitions of its input.

    Raises:
        RefusedError: If it does: rows could not be written.
    """
    if not config.scores:
        return
    names = {topic: config.output_topic("scores", topic) for topic in config.topics}
    described = await admin.describe(list(dict.fromkeys(names.values())))
    for topic, name in names.items():
        status, needed = described.get(name), inputs[topic].partitions
        if status is not None and status.partitions < needed:
            raise RefusedError(
                "Scored rows are written to the partition of their record. Expected "
                f"{needed} partitions in {name!r}, as {topic!r} has. Received: "
                f"{status.partitions}. Add partitions, or set output.scores to off."
            )


def _scores_config(config: WorkerConfig) -> dict[str, str]:
    """Return the topic settings of scored rows: a segment stays until all of it is old."""
    retention_ms = round(1000 * config.scores_retention_seconds)
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "segment.ms": str(max(retention_ms // _SEGMENTS, 60_000)),
    }


async def prepare_log(config: WorkerConfig, topic: str, settings: Mapping[str, str]) -> bool:
    """Make a topic of one partition where it is missing; tell whether the broker has transactions.

    Args:
        config: Kafka configuration of the group's workers.
        topic: Name of the topic.
        settings: Topic settings.

    Raises:
        RefusedError: If the topic cannot be used.
        KafkaError: If the broker refuses.
    """
    async with Admin(config.client_settings()) as admin:
        status = (await admin.describe([topic])).get(topic)
        if status is None and admin.can_create:
            await admin.create([(topic, 1, config.replication_factor, dict(settings))])
        elif status is None or status.partitions != 1:
            count = "none" if status is None else status.partitions
            raise RefusedError(
                "The topic cannot be used. Expected a compacted topic with one partition. "
                f"Received: {topic!r} with {count}. `ember topics plan` prints the command."
            )
        return config.transactions != "off" and admin.can_fence


async def _rekeyed(
    admin: Admin, config: WorkerConfig, sources: Mapping[str, TopicStatus], lifecycle: Lifecycle
) -> dict[str, TopicStatus]:
    """Make the topic of re-keyed records, and wait until it is there.

    Returns:
        The input topics, and that topic.

    Raises:
        RefusedError: If it has another number of partitions than is configured.
    """
    (topic,) = config.topics
    if not await admin.describe([topic]):
        counts = {name: status.partitions for name, status in sources.items()}
        await _create(admin, config, {topic: own_topics(config, counts)[topic]})
    status = (await wait_for_topics(admin, config.topics, lifecycle.wait))[topic]
    if config.rekey_partitions not in (0, status.partitions):
        raise RefusedError(
            f"The number of partitions of {topic!r} is fixed when it is made, as keys would move. "
            f"Expected input.rekey_partitions={status.partitions}, or 0. Received: "
            f"input.rekey_partitions={config.rekey_partitions}. To change it, delete the topic and "
            "run `ember state rebase`."
        )
    return {**sources, topic: status}


async def _make(admin: Admin, config: WorkerConfig, inputs: dict[str, TopicStatus]) -> None:
    """Create missing topics; where that is not allowed, name them."""
    topics = own_topics(config, {topic: status.partitions for topic, status in inputs.items()})
    described = await admin.describe(list(topics))
    missing = [name for name in topics if name not in described]
    if not missing:
        return
    if not admin.can_create:
        log.warning("This broker makes no topics when asked. Missing: %s.", ", ".join(missing))
        return
    await _create(admin, config, {name: topics[name] for name in missing})


async def _create(
    admin: Admin, config: WorkerConfig, topics: Mapping[str, tuple[int, dict[str, str]]]
) -> None:
    missing = list(topics)
    if not admin.can_create:
        return
    replication = config.replication_factor
    try:
        await admin.create(
            [(name, count, replication, settings) for name, (count, settings) in topics.items()]
        )
    except KafkaError as error:
        if is_retriable(error):
            raise
        raise RefusedError(
            f"Topics could not be created ({error}). Expected the right to create them, or that "
            "they exist, with as many partitions as the input and the changelog compacted. "
            f"Received: missing={missing}. `ember topics plan` prints the commands."
        ) from error
    log.info("Created topics %s.", ", ".join(missing))
