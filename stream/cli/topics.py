"""`ember topics plan | create`: the topics and ACLs of the service."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from stream.configure import INCIDENTS_CONFIG
from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.kafka.supervision.topics import own_topics
from stream.settings import Settings
from stream.tools import clients

from .options import ClusterArgs, ClusterOptions
from .output import message, print_json

_SERVERS = "--bootstrap-server"


@dataclass(frozen=True)
class Topic:
    """A topic that the service needs."""

    name: str
    partitions: int
    config: dict[str, str]
    exists: bool


@dataclass(frozen=True)
class Acl:
    """Operations that the service needs on one resource."""

    kind: str
    name: str
    prefixed: bool
    operations: tuple[str, ...]


def plan(
    *,
    principal: str = "User:ember",
    partitions: int | None = None,
    bridge: bool = False,
    incidents: bool = False,
    remote_write: bool = False,
    dead_letters: bool = False,
    deploy: bool = False,
    control: bool = False,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Print the kafka-topics and kafka-acls commands that prepare a cluster for the service.

    Existing topics are left out; all ACLs are printed. With them, the service needs no right to
    create anything.

    Args:
        principal: Principal that the service logs in as.
        partitions: Number of partitions of missing input topics. Default: they must exist.
        bridge: Include the ACLs of `ember bridge`.
        incidents: Include topics and ACLs of `ember incidents`.
        remote_write: Include the ACLs of `ember remote-write`.
        dead_letters: Include the ACLs of `ember dead-letters`, which writes to the input topics.
        deploy: Include the ACLs of `ember model deploy`, which writes to the model topic.
        control: Include the ACLs of `ember control apply`, which writes to the control topic.
        json: Print one JSON object: topics and rights.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    topics = _topics(settings, partitions, incidents=incidents)
    acls = _acls(
        settings,
        bridge=bridge,
        incidents=incidents,
        remote_write=remote_write,
        dead_letters=dead_letters,
        deploy=deploy,
        control=control,
    )
    if json:
        answer = {"principal": principal, "topics": topics, "rights": acls}
        print_json(answer)
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
    for acl in acls:
        words = ["kafka-acls.sh", _SERVERS, servers, "--add", "--allow-principal", principal]
        for operation in acl.operations:
            words += ["--operation", operation]
        words += [f"--{acl.kind}", acl.name]
        if acl.prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        lines.append(shlex.join(words))
    sys.stdout.write("\n".join(lines) + "\n")


def create(
    *,
    partitions: int | None = None,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Create the missing topics of the service; existing ones are left as they are.

    Args:
        partitions: Number of partitions of missing input topics. Default: they must exist.
        json: Print one JSON object: the topics that were created.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    missing = [topic for topic in _topics(settings, partitions) if not topic.exists]
    for topic in missing:
        clients.create_topic(settings.kafka, topic.name, topic.partitions, **topic.config)
    if json:
        print_json({"created": [topic.name for topic in missing]})
        return
    names = ", ".join(topic.name for topic in missing)
    message(f"Created {names}." if names else "All topics are there.")


def _topics(settings: Settings, partitions: int | None, *, incidents: bool = False) -> list[Topic]:
    """Return the input topics, output topics and changelogs, and those of incidents if asked for.

    Raises:
        UserError: If an input topic is missing and `partitions` is None.
    """
    counts = clients.partition_counts(clients.fetch_metadata(settings.kafka))
    # Outputs and changelogs have the partitions of their input; 0 stands for an unknown number.
    inputs = {topic: counts.get(topic, partitions or 0) for topic in settings.input.topics}
    for topic, count in inputs.items():
        if not count:
            raise UserError(
                f"There is no topic {topic!r}. Expected the input topics, whose partitions the "
                f"others must have too. Received: input.topics={list(inputs)}. Create it, or say "
                "--partitions N."
            )
    topics: dict[str, tuple[int, dict[str, str]]] = {
        topic: (count, {}) for topic, count in inputs.items()
    }
    config = WorkerConfig.from_settings(settings)
    present = {topic: counts[topic] for topic in config.topics if topic in counts}
    topics |= own_topics(config, inputs | present)
    if incidents:  # one partition each: an incident may have keys of all partitions
        topics |= dict.fromkeys(settings.output_topics("incidents"), (1, INCIDENTS_CONFIG))
    return [Topic(name, count, config, name in counts) for name, (count, config) in topics.items()]


def _acls(
    settings: Settings,
    *,
    bridge: bool,
    incidents: bool,
    remote_write: bool,
    dead_letters: bool,
    deploy: bool,
    control: bool,
) -> list[Acl]:
    """Return the fewest ACLs that the service, `ember doctor` and these commands work with."""
    config = WorkerConfig.from_settings(settings)
    inputs = dict.fromkeys(settings.input.topics, 1)
    read = {config.changelog(topic) for topic in config.topics}
    # With learn.enabled episodes are left out of a training.
    if bridge or incidents or remote_write or settings.learn.enabled:
        read |= set(settings.output_topics("triggers"))
    if remote_write:
        read |= set(settings.output_topics("scores"))
    if dead_letters:
        read |= set(settings.output_topics("dead_letters"))
    describe = ("Describe", "DescribeConfigs")
    on_input = ("Read", "Write", *describe) if dead_letters else ("Read", *describe)
    acls = [Acl("topic", topic, False, on_input) for topic in inputs]
    for name in own_topics(config, inputs):
        operations: tuple[str, ...] = ("Read", "Write") if name in read else ("Write",)
        if config.rekeyed and name in config.topics:
            operations = ("Read", "Write", "Delete")  # absorbed records are deleted
        if name in config.model_topics:
            # With learn.enabled the workers publish.
            publishes = deploy or settings.learn.enabled
            operations = ("Read", "Write") if publishes else ("Read",)
        if name == config.control_topic:  # workers only read it
            operations = ("Read", "Write") if control else ("Read",)
        acls.append(Acl("topic", name, False, (*operations, *describe)))
    if incidents:
        operations = ("Read", "Write", *describe)
        acls += [Acl("topic", t, False, operations) for t in settings.output_topics("incidents")]
    # A prefix: a bridge is `<group>-alertmanager`, incidents are `<group>-incidents`, series
    # `<group>-remote-write`, commands that only read `<group>-reader`, the workers choose by
    # `<group>-learn` who trains, and `<group>-dead-letters` stores the progress of replays.
    acls.append(Acl("group", config.group, True, ("Read", "Describe")))
    if config.transactions != "off":
        acls.append(Acl("transactional-id", config.group, True, ("Write", "Describe")))
    return acls
