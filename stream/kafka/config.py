"""Kafka configuration of one worker, built from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from stream.kafka.client.security import security
from stream.settings import Settings
from stream.types import TP

_PARTITION_MAX_BYTES = 4_194_304
_EVENTS_IN_FLIGHT = 20_000
_METADATA_SECONDS = 60.0
_SHUTDOWN_TIMEOUT_SECONDS = 30.0


def table_name(input_topic: str) -> str:
    """Return the name of the state table of an input topic."""
    return f"state-{input_topic}"


def changelog_topic(group: str, input_topic: str) -> str:
    """Return the changelog topic of an input; Faust makes the same name of group and table."""
    return f"{group}-{table_name(input_topic)}-changelog"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Kafka configuration of one worker.

    Settings have their defaults in `stream.settings` only.

    Attributes:
        bootstrap_servers: Addresses of brokers, each `host:port`.
        group: Consumer group; prefix of internal topics and transactional ids.
        topics: Topics that the engine reads: the input topics, or that of re-keyed records.
        rekeyed: Input topics that are re-keyed; empty: the engine reads them itself.
        rekey_partitions: Partitions of the topic of re-keyed records when it is made; 0: as many as
            the largest of `rekeyed`.
        rekey_retention_seconds: Time for which re-keyed records stay after they are absorbed.
        max_key_bytes: Longest stream key.
        streams: Names that stand for `<input>` in output topics, by input topic where it differs.
        model_topic: Topic of the model's bundles; empty: they come from elsewhere.
        model_topics: Topics of the bundles of all profiles.
        profile: Pattern of the one profile that this is for; empty: all, or none.
        control_topic: Topic of the documents of operators; empty: nobody follows them.
        security: Security keywords of aiokafka.
        client_id: Name of the client in the broker's logs.
        instance_id: Id of a static member; empty: dynamic membership.
        session_timeout_seconds: Silence after which the group takes a worker for dead.
        output: `<input>` patterns by kind: anomaly, trigger, dead_letters, scores.
        scores: Whether scored rows are written.
        scores_retention_seconds: Retention of their topic when it is made.
        replication_factor: Replicas of topics created here; -1: the broker's default.
        fetch_max_bytes: Most bytes in one answer of a broker.
        start: Place where a group without state begins: an end of the log, or so many seconds ago,
            then without events up to the end of the log.
        interval_seconds: Time between checkpoints.
        checkpoint_bytes: Bytes of changed rows above which a checkpoint does not wait.
        guarantee: Delivery of events: before the checkpoint, or in its transaction.
        transactions: Use of transactions; auto: where the broker has them.
        standby_replicas: Copies of each state on other workers.
        max_age_seconds: Age of a record above which events about it are backlog.
        tell_silence: Whether keys of a partition without records are idle by the worker's clock.
        dead_letters: Whether refused messages are written.
        dead_letters_per_second: Most whole letters; above, only coordinates are written.
        dead_letters_late: Whether late messages are dead letters too.
        dead_letters_no_channels: Whether messages without any of the model's channels are, too.
        directory: Folder for files on disk.
        snapshot_seconds: Time between copies of the state on disk; 0: none.
        hang_seconds: Time without a turn of the event loop after which the process ends; 0: never.
        stuck_seconds: Time with messages but no step in a partition until it ends; 0: never.
        metadata_seconds: Time after which the consumer asks for topics and partitions again.
        partition_max_bytes: Most bytes of one partition in an answer.
        events_in_flight: Unacknowledged events above which reading waits.
        shutdown_timeout_seconds: Time for a revoke or a stop before the process is ended.
    """

    bootstrap_servers: tuple[str, ...]
    group: str
    topics: tuple[str, ...]
    rekeyed: tuple[str, ...]
    rekey_partitions: int
    rekey_retention_seconds: float
    max_key_bytes: int
    streams: Mapping[str, str]
    model_topic: str
    model_topics: tuple[str, ...]
    profile: str
    control_topic: str
    security: Mapping[str, Any]
    client_id: str
    instance_id: str
    session_timeout_seconds: float
    output: Mapping[str, str]
    scores: bool
    scores_retention_seconds: float
    replication_factor: int
    fetch_max_bytes: int
    start: Literal["earliest", "latest"] | float
    interval_seconds: float
    checkpoint_bytes: int
    guarantee: Literal["at_least_once", "exactly_once"]
    transactions: Literal["auto", "on", "off"]
    standby_replicas: int
    max_age_seconds: float
    tell_silence: bool
    dead_letters: bool
    dead_letters_per_second: int
    dead_letters_late: bool
    dead_letters_no_channels: bool
    directory: Path
    snapshot_seconds: float
    hang_seconds: float
    stuck_seconds: float
    metadata_seconds: float = _METADATA_SECONDS
    partition_max_bytes: int = _PARTITION_MAX_BYTES
    events_in_flight: int = _EVENTS_IN_FLIGHT
    shutdown_timeout_seconds: float = _SHUTDOWN_TIMEOUT_SECONDS

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the configuration from the settings."""
        kafka, output = settings.kafka, settings.output
        return cls(
            bootstrap_servers=tuple(kafka.servers),
            group=kafka.group,
            topics=settings.engine_topics,
            rekeyed=settings.input.topics if settings.input.rekey else (),
            rekey_partitions=settings.input.rekey_partitions,
            rekey_retention_seconds=settings.input.rekey_retention_seconds,
            max_key_bytes=settings.input.max_key_bytes,
            streams=settings.stream_names,
            model_topic=settings.model_topic,
            model_topics=settings.model_topics,
            profile="" if settings.profile is None else settings.profile[1],
            control_topic=settings.control_topic,
            security=security(kafka),
            client_id=kafka.client_id,
            instance_id=kafka.instance_id,
            session_timeout_seconds=kafka.session_timeout_seconds,
            output={
                "anomaly": output.anomalies,
                "trigger": output.triggers,
                "dead_letters": output.dead_letters,
                "scores": output.scores_topic,
            },
            scores=bool(output.scored_keys),
            scores_retention_seconds=output.scores_retention_seconds,
            replication_factor=kafka.replication_factor,
            fetch_max_bytes=kafka.fetch_max_bytes,
            start=settings.input.begin,
            interval_seconds=settings.checkpoint.interval_seconds,
            checkpoint_bytes=settings.checkpoint.max_bytes,
            guarantee=settings.checkpoint.guarantee,
            transactions=settings.checkpoint.transactions,
            standby_replicas=settings.state.standby_replicas,
            max_age_seconds=settings.alerts.max_age_seconds,
            tell_silence=settings.window.stale_without_records,
            dead_letters=settings.dead_letters.enabled,
            dead_letters_per_second=settings.dead_letters.max_per_second,
            dead_letters_late=settings.dead_letters.late,
            dead_letters_no_channels=settings.dead_letters.no_channels,
            directory=settings.state.directory,
            snapshot_seconds=settings.state.snapshot_interval_seconds,
            hang_seconds=settings.supervision.hang_seconds,
            stuck_seconds=settings.supervision.stuck_seconds,
        )

    @property
    def source(self) -> str:
        """CloudEvents source of the events."""
        return f"/ember-stream/{self.group}"

    @property
    def tools_transactional_id(self) -> str:
        """Transactional id of the state tools, which write while no worker runs."""
        return f"{self.group}-state"

    @property
    def model_transactional_id(self) -> str:
        """Transactional id of writers to the model topic: there is one at a time."""
        return f"{self.group}-model{self._of_profile}"

    @property
    def _of_profile(self) -> str:
        """End of names of one profile; without profiles the group says enough."""
        return f".{self.model_topic}" if self.profile else ""

    @property
    def control_transactional_id(self) -> str:
        """Transactional id of writers to the control topic: there is one at a time."""
        return f"{self.group}-control"

    @property
    def learn_group(self) -> str:
        """Group by which one worker is chosen to train the model."""
        # Without profiles the topic says nothing that the group does not.
        return f"{self.model_topic}-learn" if self.profile else f"{self.group}-learn"

    def output_topic(self, kind: str, input_topic: str) -> str:
        """Return the output topic of a kind (`anomaly`, `trigger`, `dead_letters`, `scores`)."""
        return self.output[kind].replace("<input>", self.streams.get(input_topic, input_topic))

    @property
    def snapshot_directory(self) -> Path:
        """Folder of the copies of this group's state."""
        return self.directory / "snapshots" / quote(self.group, safe="")

    def changelog(self, input_topic: str) -> str:
        """Return the changelog topic of an input topic."""
        return changelog_topic(self.group, input_topic)

    @property
    def sources(self) -> dict[str, str]:
        """Input topics by changelog topic."""
        return {self.changelog(topic): topic for topic in self.topics}

    def source_of(self, tp: TP) -> TP:
        """Return the input partition of a changelog partition."""
        return self.sources[tp[0]], tp[1]

    def client_settings(self) -> dict[str, Any]:
        """Return the keywords that every client of aiokafka takes."""
        return {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "request_timeout_ms": 40_000,
            **self.security,
        }

    @property
    def rebalance_seconds(self) -> float:
        """Time that the group gives its members to give partitions back."""
        return max(2 * self.shutdown_timeout_seconds, 60.0)

    def consumer_settings(self) -> dict[str, Any]:
        """Return the keywords of the consumer that is a member of the group."""
        session_ms = int(self.session_timeout_seconds * 1000)
        return {
            **self.client_settings(),
            "group_id": self.group,
            "group_instance_id": self.instance_id or None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",  # never otherwise: it also governs the changelogs
            "isolation_level": "read_committed",
            # A fetch is taken whole; the processor cuts it into slices.
            "max_poll_records": None,
            "max_poll_interval_ms": 300_000,
            "fetch_max_wait_ms": 500,
            "fetch_max_bytes": self.fetch_max_bytes,
            "max_partition_fetch_bytes": self.partition_max_bytes,
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": min(3000, session_ms // 4),
            "rebalance_timeout_ms": int(self.rebalance_seconds * 1000),
            "metadata_max_age_ms": int(self.metadata_seconds * 1000),
        }
