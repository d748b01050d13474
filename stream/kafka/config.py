"""What the Kafka edge has to be told. Built by `stream.app` from the settings."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from aiokafka.helpers import create_ssl_context

from stream.errors import UserError
from stream.kafka.client.oauth import AsyncTokens, TokenSource
from stream.settings import KafkaSection, Settings


def security(kafka: KafkaSection) -> dict[str, Any]:
    """Aiokafka's security keywords.

    Raises:
        UserError: If a certificate or key cannot be read.
    """
    found: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.security_protocol.startswith("SASL_"):
        found["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_mechanism == "OAUTHBEARER":
            found["sasl_oauth_token_provider"] = AsyncTokens(TokenSource(kafka))
        else:
            found["sasl_plain_username"] = kafka.sasl_username
            found["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    if kafka.security_protocol.endswith("SSL"):
        try:
            found["ssl_context"] = create_ssl_context(
                cafile=_path(kafka.ssl_ca_location),
                certfile=_path(kafka.ssl_certificate_location),
                keyfile=_path(kafka.ssl_key_location),
                password=kafka.ssl_key_password.get_secret_value() or None,
            )
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                "The TLS files cannot be used. Expected readable PEM files under `[kafka]` "
                f"ssl_ca_location, ssl_certificate_location, ssl_key_location. Received: {error}.",
                exit_code=2,
            ) from error
    return found


def login_refused(mechanism: str, username: str, why: str) -> str:
    """The sentence for credentials a broker does not accept."""
    return (
        "The broker refused the login. Expected credentials it knows. Received: "
        f"sasl_mechanism={mechanism!r}, sasl_username={username!r} ({why}). "
        "Check kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password (or its file)."
    )


def not_safe(why: str) -> str:
    """The sentence for a broker whose certificate nobody vouches for."""
    return (
        "The connection is not safe. Expected a certificate of the broker that "
        f"kafka.ssl_ca_location vouches for, with the broker's name in it. Received: {why}."
    )


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """One worker's Kafka side.

    Attributes:
        bootstrap_servers: `host:port` each.
        group: Consumer group; prefix of internal topics and transactional ids.
        topics: Input topics.
        security: aiokafka's security keywords.
        client_id: For the broker's logs.
        instance_id: Static membership; empty: dynamic.
        session_timeout_seconds: Silence after which the group takes a worker for dead.
        output: `<input>` patterns by kind: anomaly, trigger, dead_letters.
        replication_factor: Of topics created here; -1: the broker's default.
        fetch_max_bytes: Bytes in one answer of a broker.
        partition_max_bytes: Bytes of one partition in it.
        start: Where a group without state begins: at an end of the log, or so many seconds ago,
            then without events up to the end of the log.
        interval_seconds: Between checkpoints.
        checkpoint_bytes: Bytes of changed rows from which on one does not wait for the interval.
        guarantee: Whether events wait for the checkpoint's transaction.
        transactions: auto: on where the broker has them.
        standby_replicas: Copies of each state on other workers.
        events_in_flight: Events not yet acknowledged above which reading waits.
        max_age_seconds: Age of a record from which on events about it are backlog.
        dead_letters: Whether refused messages are written.
        dead_letters_per_second: Above it only coordinates.
        dead_letters_late: Whether late messages are dead letters too.
        directory: For what is kept on disk.
        snapshot_seconds: Between copies of the state on the disk; 0: none.
        hang_seconds: Without a turn of the event loop until the process ends; 0: never.
        stuck_seconds: With messages and without a step in a partition until it ends; 0: never.
        patience_seconds: How long a revoke or a stop may take before the process is ended.
    """

    bootstrap_servers: tuple[str, ...]
    group: str
    topics: tuple[str, ...]
    security: Mapping[str, Any] = field(default_factory=dict)
    client_id: str = "ember"
    instance_id: str = ""
    session_timeout_seconds: float = 12.0
    output: Mapping[str, str] = field(
        default_factory=lambda: {
            "anomaly": "<input>.anomalies",
            "trigger": "<input>.triggers",
            "dead_letters": "<input>.dead-letters",
        }
    )
    replication_factor: int = -1
    fetch_max_bytes: int = 52_428_800
    partition_max_bytes: int = 4_194_304
    start: Literal["earliest", "latest"] | float = "earliest"
    interval_seconds: float = 2.0
    checkpoint_bytes: int = 268_435_456
    guarantee: Literal["at_least_once", "exactly_once"] = "at_least_once"
    transactions: Literal["auto", "on", "off"] = "auto"
    standby_replicas: int = 1
    events_in_flight: int = 20_000
    max_age_seconds: float = 3_600.0
    dead_letters: bool = True
    dead_letters_per_second: int = 100
    dead_letters_late: bool = False
    directory: Path = Path(".ember")
    snapshot_seconds: float = 0.0
    hang_seconds: float = 120.0
    stuck_seconds: float = 300.0
    shutdown_timeout_seconds: float = 30.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the settings say of the Kafka side."""
        kafka, output = settings.kafka, settings.output
        return cls(
            bootstrap_servers=tuple(kafka.servers),
            group=kafka.group,
            topics=tuple(settings.input.topics),
            security=security(kafka),
            client_id=kafka.client_id,
            instance_id=kafka.instance_id,
            session_timeout_seconds=kafka.session_timeout_seconds,
            output={
                "anomaly": output.anomalies,
                "trigger": output.triggers,
                "dead_letters": output.dead_letters,
            },
            replication_factor=kafka.replication_factor,
            fetch_max_bytes=kafka.fetch_max_bytes,
            start=settings.input.begin,
            interval_seconds=settings.checkpoint.interval_seconds,
            checkpoint_bytes=settings.checkpoint.max_bytes,
            guarantee=settings.checkpoint.guarantee,
            transactions=settings.checkpoint.transactions,
            standby_replicas=settings.state.standby_replicas,
            max_age_seconds=settings.alerts.max_age_seconds,
            dead_letters=settings.dead_letters.enabled,
            dead_letters_per_second=settings.dead_letters.max_per_second,
            dead_letters_late=settings.dead_letters.late,
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
        """Of the state tools, which write while no worker runs."""
        return f"{self.group}-state"

    def output_topic(self, kind: str, input_topic: str) -> str:
        """Output topic of a kind (`anomaly`, `trigger`, `dead_letters`) for an input topic."""
        return self.output[kind].replace("<input>", input_topic)

    @property
    def snapshot_directory(self) -> Path:
        """Folder of the copies of this group's state."""
        return self.directory / "snapshots" / quote(self.group, safe="")

    def table(self, input_topic: str) -> str:
        """Name of the state table of an input topic."""
        return f"state-{input_topic}"

    def changelog(self, input_topic: str) -> str:
        """Changelog topic of an input topic; Faust makes the same name of group and table."""
        return f"{self.group}-{self.table(input_topic)}-changelog"

    def client_settings(self) -> dict[str, Any]:
        """Keywords that every client of aiokafka takes."""
        return {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "request_timeout_ms": 40_000,
            **self.security,
        }
