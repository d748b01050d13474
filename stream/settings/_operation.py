"""Sections of operation, from `[checkpoint]` to `[log]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ._base import Section


class CheckpointSection(Section):
    """Durability of state and offsets."""

    interval_seconds: float = Field(default=2.0, gt=0, description="Time between checkpoints.")
    max_bytes: int = Field(
        default=268_435_456,
        ge=1,
        description="Bytes of changed rows at which a checkpoint does not wait for the interval.",
    )
    guarantee: Literal["at_least_once", "exactly_once"] = Field(
        default="at_least_once",
        description="at_least_once: events are sent at once. exactly_once: with the checkpoint's "
        "transaction.",
    )
    transactions: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Fenced transactions for state and offsets; auto: where possible.",
    )

    @model_validator(mode="after")
    def _exactly_once_needs_transactions(self) -> Self:
        if self.guarantee == "exactly_once" and self.transactions == "off":
            raise ValueError("The guarantee exactly_once needs `transactions` to be auto or on")
        return self


class StateSection(Section):
    """Keyed state of a worker, in memory and on disk."""

    directory: Path = Field(
        default=Path(".ember"),
        description="Folder of evicted rows, of snapshots, and of fetched schemas and bundles.",
    )
    snapshot_interval_seconds: float = Field(
        default=300.0,
        ge=0,
        description="Time between snapshots of the state in `directory`, from which a restart on "
        "this host recovers; the worker also takes one when it stops. 0: none.",
    )
    max_keys: int = Field(
        default=1_000_000,
        ge=1,
        description="Most keys in memory, of each profile; beyond it the least recently used are "
        "evicted to disk.",
    )
    max_disk_bytes: int = Field(
        default=10_737_418_240,
        ge=0,
        description="Most bytes of evicted rows on disk; beyond it the keys evicted first are "
        "forgotten. 0: no eviction, and a new key beyond `max_keys` is refused (`key_limit`).",
    )
    ttl_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Silence after which a key is forgotten, by the event time of its partition; "
        "0: never.",
    )
    standby_replicas: int = Field(
        default=1, ge=0, description="Workers that keep a copy of each state."
    )


class SupervisionSection(Section):
    """Limits after which a stuck worker ends itself, with exit code 3, to be started again."""

    hang_seconds: float = Field(
        default=120.0,
        ge=0,
        description="Time without an iteration of the event loop after which the process ends; 0: "
        "never.",
    )
    stuck_seconds: float = Field(
        default=300.0,
        ge=0,
        description="Time without progress, in a partition that has messages, a checkpoint or a "
        "recovery, after which the process ends; 0: never.",
    )


class HttpSection(Section):
    """Metrics and health."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(
        default=6066, ge=0, le=65535, description="Port to listen on; 0: any free port."
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token required by all endpoints except the probes; empty: none.",
    )
    token_file: Path | None = Field(default=None, description="File that holds the token.")
    live_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Time without an iteration of the event loop after which /livez fails.",
    )
    stalled_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Time with lag and without progress after which /readyz fails.",
    )


class DeadLettersSection(Section):
    """Dead-letter topic of refused messages."""

    enabled: bool = Field(
        default=True, description="Write refused messages to the dead-letter topic."
    )
    max_per_second: int = Field(
        default=100,
        ge=0,
        description="Whole messages written per second; beyond it only their coordinates.",
    )
    late: bool = Field(default=False, description="Write records that came too late as well.")
    no_channels: bool = Field(
        default=False,
        description="Write records as well that have none of the model's channels. In a topic that "
        "other systems share they are normal.",
    )


class TracesSection(Section):
    """Spans for OpenTelemetry (extra `otel`); its own variables, OTEL_*, set their destination."""

    enabled: bool = Field(
        default=False, description="Write a span for each slice of records and each checkpoint."
    )


class LogSection(Section):
    """Messages on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important level shown."
    )
    format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="auto: pretty on a terminal, JSON lines elsewhere."
    )
    repeat_seconds: float = Field(
        default=10.0,
        ge=0,
        description="Period in which a repeated warning is shown only a few times; 0: always.",
    )

    @field_validator("level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value
