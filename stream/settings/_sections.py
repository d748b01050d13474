"""Every section but `[kafka]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from ._base import Names, Section, Table
from ._durations import seconds_of

_WEEK_SECONDS = 604_800.0
_PERIOD_SECONDS = {
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": _WEEK_SECONDS,
    "month": 2_629_746.0,
    "year": 31_556_952.0,
}


class InputSection(Section):
    """Input topics, codec, and limits of messages."""

    topics: Names = Field(
        default=("telemetry",),
        min_length=1,
        description="Input topics; each is a stream of its own.",
    )
    start: str = Field(
        default="-1h",
        description="Start of a group without state. `earliest`: all records. `latest`: new "
        "records only. `-24h` (s, m, h, d): this far back by Kafka's timestamps; the records that "
        "are there already warm keys up and give no events.",
    )
    codec: Literal["json", "telegraf", "prometheus", "otlp", "otlp_proto", "otlp_json", "avro"] = (
        Field(default="json", description="Format of the values.")
    )
    key: str = Field(
        default="",
        description="Stream key where the Kafka key is null: fields joined by `+`, for example "
        '`tags.host` or `labels["job"] + "/" + labels["instance"]`. Empty: Kafka key only.',
    )
    time: str = Field(
        default="ts",
        min_length=1,
        description="Field of the event time (json and avro), a dotted path.",
    )
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso8601"] = Field(
        default="auto",
        description="Unit of the event time; auto: by magnitude, strings are ISO 8601.",
    )
    values: str = Field(
        default="values",
        min_length=1,
        description="Object that holds the channels (json and avro). In a record without such an "
        "object the channels stand beside the time.",
    )
    fields: Table = Field(
        default={},
        description="Field names of channels that are not named like their field: "
        "`{ channel = field }`.",
    )
    max_message_bytes: int = Field(
        default=1_048_576, ge=1, description="Longer values are refused (`too_large`)."
    )
    max_key_bytes: int = Field(default=512, ge=1, description="Longer stream keys are refused.")
    future_seconds: float = Field(
        default=3_600.0,
        ge=0,
        description="Event times that lie further ahead of the Kafka timestamp are refused.",
    )
    schema_registry_url: str = Field(default="", description="Schema registry of the avro codec.")
    schema_registry_username: str = Field(default="", description="User of the schema registry.")
    schema_registry_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the schema registry."
    )
    schema_registry_password_file: Path | None = Field(
        default=None, description="File that holds the password of the schema registry."
    )

    def codec_options(self) -> dict[str, Any]:
        """Return the arguments of `stream.codecs.make_codec`, except name and channels."""
        names = ("key", "time", "time_unit", "values", "fields")
        limits = ("max_message_bytes", "max_key_bytes")
        registry = ("schema_registry_url", "schema_registry_username")
        options = {name: getattr(self, name) for name in (*names, *limits, *registry)}
        password = self.schema_registry_password.get_secret_value()
        return {**options, "schema_registry_password": password}

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        value = value.lower()
        is_age = value.startswith("-") and seconds_of(value[1:]) is not None
        if value not in ("earliest", "latest") and not is_age:
            raise ValueError("expected earliest, latest, or how far back, for example `-24h`")
        return value

    @property
    def begin(self) -> Literal["earliest", "latest"] | float:
        """`start`, with an age in seconds in place of a duration."""
        age_seconds = seconds_of(self.start.removeprefix("-"))
        if age_seconds is not None:
            return age_seconds
        return "latest" if self.start == "latest" else "earliest"

    @model_validator(mode="after")
    def _avro_needs_a_registry(self) -> Self:
        if self.codec == "avro" and not self.schema_registry_url:
            raise ValueError("The codec avro also needs `schema_registry_url`")
        return self


class WindowSection(Section):
    """Windowing of samples into rows."""

    mode: Literal["count", "time"] = Field(
        default="count",
        description="count: every record is a row. time: a row closes per interval of event time.",
    )
    interval_seconds: float = Field(
        default=10.0, gt=0, description="Length of an interval of event time (mode time)."
    )
    allowed_lateness_seconds: float = Field(
        default=5.0, ge=0, description="Time for which an interval stays open for late samples."
    )
    aggregate: Literal["last", "mean", "max", "count"] = Field(
        default="last", description="Aggregate of a channel's samples in one interval."
    )
    aggregates: Table = Field(
        default={}, description="Aggregates of single channels: `{ channel = aggregate }`."
    )
    max_gap: int = Field(
        default=10,
        ge=0,
        description="Longest gap over which a missing channel is carried forward, in usual "
        "intervals of the key.",
    )
    stale_intervals: float = Field(
        default=20.0,
        ge=0,
        description="Silence until a key is stale, in usual intervals of the key; 0: never.",
    )

    @field_validator("aggregates")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for channel, aggregate in value.items():
            if aggregate not in ("last", "mean", "max", "count"):
                raise ValueError(
                    f"channel {channel!r}: expected last, mean, max or count, not {aggregate!r}"
                )
        return value


def _bundle_path(value: Any) -> Any:
    """Convert to a path, except an https address: a path would lose one of its slashes."""
    if not isinstance(value, str) or value.startswith("https://"):
        return value
    if "://" in value:
        raise ValueError("expected a folder or an https address")
    return Path(value)


BundlePath = Annotated[Path | str, BeforeValidator(_bundle_path)]


class ModelSection(Section):
    """Model bundle and warm-up of unknown keys."""

    path: BundlePath = Field(
        default=Path("model"),
        description="Folder of the model bundle, or its https address. An address needs `sha256`; "
        "the bundle is fetched once, into `state.directory`.",
    )
    sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="Expected digest of the bundle, as `ember model show` prints it; empty: any.",
    )
    public_key: Path | None = Field(
        default=None,
        description="PEM file of the Ed25519 public key that verifies the bundle's signature "
        "(`ember model sign`, extra `signatures`); unset: no signature is required.",
    )
    shadow: Path | None = Field(
        default=None,
        description="Folder of a candidate bundle that scores the same records without events; "
        "`ember model shadow` compares it. Costs as much as the model itself.",
    )
    warmup_rows: int = Field(
        default=500, ge=0, description="Rows before a key that is not in the bundle is scored."
    )
    alarm_warmup_rows: int = Field(
        default=2_000, ge=0, description="Rows before a key that is not in the bundle may alarm."
    )

    @model_validator(mode="after")
    def _an_address_needs_a_digest(self) -> Self:
        if isinstance(self.path, str) and not self.sha256:
            raise ValueError("An address in `path` also needs `sha256`")
        return self


class AlertsSection(Section):
    """Thresholds and budget of alerts."""

    anomaly_severity: float = Field(
        default=3.0,
        ge=0,
        le=12,
        description="Severity (-log10 of the probability) of an anomaly event.",
    )
    budget: str = Field(
        default="1/week", description="False triggers accepted per key, for example `2/day`."
    )
    evidence_rows: float = Field(
        default=0.5,
        gt=0,
        description="Time constant of the motor neuron's evidence, in rows. When set, it replaces "
        "the model's own, for which the on-threshold was calibrated.",
    )
    refractory_rows: int | None = Field(
        default=None,
        ge=0,
        description="Rows after an episode in which no new one fires; unset: as trained.",
    )
    max_alert_age: str = Field(
        default="1h",
        description="Events about older records, by Kafka's timestamp at the time of sending, "
        "carry the header `ember.backlog`: to be kept, but not to page anybody (s, m, h, d).",
    )

    @field_validator("budget")
    @classmethod
    def _budget(cls, value: str) -> str:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+?)s?", value.strip())
        if match is None or match[2] not in _PERIOD_SECONDS or float(match[1]) <= 0:
            periods = ", ".join(_PERIOD_SECONDS)
            raise ValueError(f"expected NUMBER/PERIOD above zero, with a period of {periods}")
        return f"{match[1]}/{match[2]}"

    @field_validator("max_alert_age")
    @classmethod
    def _age(cls, value: str) -> str:
        if seconds_of(value) is None:
            raise ValueError("expected a length of time, for example `1h` (s, m, h, d)")
        return value

    @property
    def max_age_seconds(self) -> float:
        """`max_alert_age`, in seconds."""
        return seconds_of(self.max_alert_age) or 0.0

    @property
    def budget_per_week(self) -> float:
        """False triggers accepted per key and week."""
        number, _, period = self.budget.partition("/")
        return float(number) * _WEEK_SECONDS / _PERIOD_SECONDS[period]


class OutputSection(Section):
    """Output topics. `<input>` stands for the input topic."""

    anomalies: str = Field(
        default="<input>.anomalies", min_length=1, description="Topic of anomalies."
    )
    triggers: str = Field(
        default="<input>.triggers", min_length=1, description="Topic of triggers."
    )
    dead_letters: str = Field(
        default="<input>.dead-letters", min_length=1, description="Topic of refused messages."
    )

    def topic(
        self, kind: Literal["anomalies", "triggers", "dead_letters"], input_topic: str
    ) -> str:
        """Return the name of an output topic of an input topic."""
        template: str = getattr(self, kind)
        return template.replace("<input>", input_topic)


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
        description="Most keys in memory; beyond it the least recently used are evicted to disk.",
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
