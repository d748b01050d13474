"""What `ember doctor` finds, and the cluster it asks."""

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
    """One finding, and what to do about it."""

    name: str
    status: Status
    detail: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


@dataclass
class Cluster:
    """The cluster as it answered, and clients to ask it more."""

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
        """Input topics that exist, with their partitions."""
        topics = self.settings.input.topics
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    def changelog(self, topic: str) -> str:
        """Changelog of an input topic."""
        return changelog_topic(self.settings.kafka.group, topic)

    def config(self, topic: str) -> dict[str, str]:
        """Settings of a topic; empty where the broker does not tell."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            asked: Any = self.admin.describe_configs([resource], request_timeout=5)
            found = asked[resource].result()
        except KafkaException:
            return {}
        return {name: str(entry.value) for name, entry in found.items()}
