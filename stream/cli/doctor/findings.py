"""Findings of `ember doctor`, and the cluster that its checks read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType

from stream.kafka.config import changelog_topic
from stream.settings import Settings
from stream.tools import clients

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: Name of the check and of the topic, changelog or model it is about.
        status: `ok`, `warn`, `fail`, or `skip` for a check that could not run.
        detail: Sentence about the finding.
        fix: Sentence about the fix; empty if there is nothing to fix.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding for `--json`."""
        return asdict(self)


@dataclass
class Cluster:
    """Topics of the cluster, and an admin client for further requests."""

    settings: Settings
    metadata: ClusterMetadata
    admin: AdminClient = field(init=False)
    counts: dict[str, int] = field(init=False)
    embedded: bool = field(init=False)

    def __post_init__(self) -> None:
        self.admin = AdminClient(clients.client_config(self.settings.kafka))
        self.counts = clients.partition_counts(self.metadata)
        self.embedded = clients.is_embedded(self.metadata)

    @property
    def inputs(self) -> dict[str, int]:
        """Input topics that exist, with their numbers of partitions."""
        topics = self.settings.input.topics
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    @property
    def stored(self) -> dict[str, int]:
        """Topics that the engine reads, where they exist, with their numbers of partitions."""
        topics = self.settings.engine_topics
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    def changelog(self, topic: str) -> str:
        """Return the changelog of an input topic."""
        return changelog_topic(self.settings.kafka.group, topic)

    def config(self, topic: str) -> dict[str, str]:
        """Return the settings of a topic; empty if the broker does not tell."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            futures: Any = self.admin.describe_configs([resource], request_timeout=5)
            entries = futures[resource].result()
        except KafkaException:
            return {}
        return {name: str(entry.value) for name, entry in entries.items()}

    def not_compacted(self, name: str, topic: str, lost: str) -> Check | None:
        """Return a failed check where the broker deletes old records of a topic, or None.

        Args:
            name: Name of the check.
            topic: Topic that has to be compacted.
            lost: Words for its old records.
        """
        policy = self.config(topic).get("cleanup.policy", "compact")
        if policy == "compact":
            return None
        return Check(
            name,
            "fail",
            f"cleanup.policy is {policy!r}: the broker deletes {lost}.",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
            "--add-config cleanup.policy=compact",
        )
