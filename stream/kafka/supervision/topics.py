"""The topics a worker needs: inputs awaited, outputs and changelogs made and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import errors as kafka_errors

from stream.kafka.client.admin import Admin, connect, wait_for_topics
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.observer import Observer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was found before joining.

    Attributes:
        inputs: Every input topic.
        transactions: Whether checkpoints are fenced transactions.
    """

    inputs: dict[str, TopicStatus]
    transactions: bool


async def prepare(config: WorkerConfig, observer: Observer) -> Cluster:
    """Wait for the inputs, make the outputs and changelogs, settle on transactions.

    Raises:
        RefusedError: If a changelog has another number of partitions than its input.
    """
    admin = await connect(config.client_settings(), observer)
    try:
        inputs = await wait_for_topics(admin, config.topics, observer)
        await _make(admin, config, inputs)
        changelogs = {topic: config.changelog(topic) for topic in inputs}
        found = await admin.describe(list(changelogs.values()))
        for topic, facts in inputs.items():
            changelog = found.get(changelogs[topic])
            if changelog is not None and changelog.partitions != facts.partitions:
                raise RefusedError(
                    f"Changelog {changelogs[topic]!r} does not fit its input topic {topic!r}. "
                    f"Expected {facts.partitions} partitions. Received: "
                    f"partitions={changelog.partitions}. Run `ember state rebase` to say what "
                    "should hold."
                )
        return Cluster(inputs, _transactions(config, admin))
    finally:
        await admin.__aexit__()


def _transactions(config: WorkerConfig, admin: Admin) -> bool:
    if config.transactions == "auto":
        wanted = admin.can_fence
    else:
        wanted = config.transactions == "on"
    if config.guarantee == "exactly_once" and not wanted:
        raise RefusedError(
            "The guarantee exactly_once needs a broker with fenced transactions (KIP-447). "
            "Expected Kafka 2.5 or newer, not the embedded broker. "
            f"Received: transactions={config.transactions!r}."
        )
    return wanted


def own_topics(
    config: WorkerConfig, partitions: Mapping[str, int]
) -> dict[str, tuple[int, dict[str, str]]]:
    """The topics that Ember writes to.

    Args:
        config: Names.
        partitions: Input topic -> its number of partitions.

    Returns:
        Name -> number of partitions and topic settings.
    """
    wanted: dict[str, tuple[int, dict[str, str]]] = {}
    for topic, count in partitions.items():
        wanted[config.changelog(topic)] = (count, {"cleanup.policy": "compact"})
        for kind in config.output:
            if kind != "dead_letters" or config.dead_letters:
                wanted.setdefault(config.output_topic(kind, topic), (count, {}))
    return wanted


async def _make(admin: Admin, config: WorkerConfig, inputs: dict[str, TopicStatus]) -> None:
    """Create what is missing; where that is not allowed, say what to create."""
    wanted = own_topics(config, {topic: facts.partitions for topic, facts in inputs.items()})
    found = await admin.describe(list(wanted))
    missing = [name for name in wanted if name not in found]
    if not missing:
        return
    if not admin.can_create:
        log.warning("This broker makes no topics when asked. Missing: %s.", ", ".join(missing))
        return
    replication = config.replication_factor
    try:
        await admin.create(
            [(name, wanted[name][0], replication, wanted[name][1]) for name in missing]
        )
    except kafka_errors.KafkaError as error:
        if error.retriable:
            raise
        raise RefusedError(
            f"Topics could not be created ({error}). Expected the right to create them, or that "
            "they exist, with as many partitions as the input and the changelog compacted. "
            f"Received: missing={missing}. `ember topics plan` prints the commands."
        ) from error
    log.info("Created topics %s.", ", ".join(missing))
