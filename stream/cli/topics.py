"""`ember topics plan|create`: what has to be there, for clusters where nobody may create topics."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.kafka.supervision.topics import own_topics
from stream.settings import Settings
from stream.tools import clients

_SERVERS = "--bootstrap-server"


@dataclass(frozen=True)
class Topic:
    """One topic that is needed."""

    name: str
    partitions: int
    config: dict[str, str]
    exists: bool


@dataclass(frozen=True)
class Right:
    """What a user must be allowed to do with one thing."""

    kind: str
    name: str
    prefixed: bool
    operations: tuple[str, ...]


def plan(
    *,
    principal: str = "User:ember",
    partitions: int | None = None,
    bridge: bool = False,
    dead_letters: bool = False,
    json: bool = False,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Print the commands, for Kafka's own tools, that make what the service needs.

    Topics that are there already are left out; rights are printed all. With these, the service
    needs no right to create anything.

    Args:
        principal: Who the service logs in as.
        partitions: Of input topics that are missing. Default: they must be there.
        bridge: The principal runs `ember bridge` too.
        dead_letters: The principal runs `ember dead-letters` too, which writes to the inputs.
        json: Print one JSON object: topics and rights.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    topics = _topics(settings, partitions)
    rights = _rights(settings, bridge=bridge, dead_letters=dead_letters)
    if json:
        answer = {"principal": principal, "topics": topics, "rights": rights}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        return
    servers = settings.kafka.bootstrap_servers
    replication = settings.kafka.replication_factor
    lines = []
    for topic in topics:
        if not topic.exists:
            words = ["kafka-topics.sh", _SERVERS, servers, "--create", "--topic", topic.name]
            words += ["--partitions", str(topic.partitions)]
            if replication > 0:
                words += ["--replication-factor", str(replication)]
            for name, value in topic.config.items():
                words += ["--config", f"{name}={value}"]
            lines.append(shlex.join(words))
    for right in rights:
        words = ["kafka-acls.sh", _SERVERS, servers, "--add", "--allow-principal", principal]
        for operation in right.operations:
            words += ["--operation", operation]
        words += [f"--{right.kind}", right.name]
        if right.prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        lines.append(shlex.join(words))
    sys.stdout.write("\n".join(lines) + "\n")


def create(
    *,
    partitions: int | None = None,
    json: bool = False,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Create the topics the service needs where they are missing; the others are left alone.

    Args:
        partitions: Of input topics that are missing. Default: they must be there.
        json: Print one JSON object: the topics that were created.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    settings = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers})
    missing = [topic for topic in _topics(settings, partitions) if not topic.exists]
    for topic in missing:
        clients.create_topic(settings.kafka, topic.name, topic.partitions, **topic.config)
    if json:
        created: dict[str, Any] = {"created": [topic.name for topic in missing]}
        sys.stdout.write(msgspec.json.encode(created).decode() + "\n")
        return
    names = ", ".join(topic.name for topic in missing)
    sys.stderr.write(f"Created {names}.\n" if names else "All topics are there.\n")


def _topics(settings: Settings, partitions: int | None) -> list[Topic]:
    """Inputs, outputs and changelogs.

    Raises:
        UserError: If an input is missing and nobody says how many partitions it should have.
    """
    there = clients.partition_counts(clients.fetch_metadata(settings.kafka))
    inputs = {topic: there.get(topic, partitions or 0) for topic in settings.input.topics}
    for topic, count in inputs.items():
        if not count:
            raise UserError(
                f"There is no topic {topic!r}. Expected the input topics, whose partitions the "
                f"others must have too. Received: input.topics={list(inputs)}. Create it, or say "
                "--partitions N."
            )
    wanted: dict[str, tuple[int, dict[str, str]]] = {
        topic: (count, {}) for topic, count in inputs.items()
    }
    wanted |= own_topics(WorkerConfig.from_settings(settings), inputs)
    return [Topic(name, count, config, name in there) for name, (count, config) in wanted.items()]


def _rights(settings: Settings, *, bridge: bool, dead_letters: bool) -> list[Right]:
    """The least that the service, `doctor` included, gets by with; and the commands beside it."""
    config = WorkerConfig.from_settings(settings)
    inputs = dict.fromkeys(config.topics, 1)
    read = {config.changelog(topic) for topic in inputs}
    if bridge:
        read |= {settings.output.topic("triggers", topic) for topic in inputs}
    if dead_letters:
        read |= {settings.output.topic("dead_letters", topic) for topic in inputs}
    look = ("Describe", "DescribeConfigs")
    ours = ("Read", "Write", *look) if dead_letters else ("Read", *look)
    rights = [Right("topic", topic, False, ours) for topic in inputs]
    for name in own_topics(config, inputs):
        operations = ("Read", "Write") if name in read else ("Write",)
        rights.append(Right("topic", name, False, (*operations, *look)))
    # A prefix: the bridge is `<group>-alertmanager`, commands that only read `<group>-reader`, and
    # `<group>-dead-letters` remembers what was replayed.
    rights.append(Right("group", config.group, True, ("Read", "Describe")))
    if config.transactions != "off":
        rights.append(Right("transactional-id", config.group, True, ("Write", "Describe")))
    return rights
