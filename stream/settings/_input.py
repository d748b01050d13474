"""Sections of the input: `[input]` and `[window]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from ember_core.rows import USES_TEXT, is_aggregate
from stream.durations import seconds_of
from stream.types import CodecName, KeyFrom

from ._base import Names, Section, Table
from ._topics import name_fault


class InputSection(Section):
    """Input topics, codec, and limits of messages."""

    topics: Names = Field(
        default=("telemetry",),
        min_length=1,
        description="Input topics; each is a stream of its own, and with `rekey` all are one.",
    )
    start: str = Field(
        default="-1h",
        description="Start of a group without state. `earliest`: all records. `latest`: new "
        "records only. `-24h` (s, m, h, d): this far back by Kafka's timestamps; the records that "
        "are there already warm keys up and give no events.",
    )
    codec: CodecName = Field(default="json", description="Format of the values.")
    key: str = Field(
        default="",
        description="Stream key from the record: fields joined by `+`, for example "
        '`tags.host` or `labels["job"] + "/" + labels["instance"]`. Empty: Kafka key only.',
    )
    key_from: KeyFrom = Field(
        default="kafka",
        description="Origin of the stream key. `kafka`: the Kafka key, and `key` where there is "
        "none. `record`: always `key`, for topics whose Kafka keys are hashes or random. `auto`: "
        "`key`, and the Kafka key where the record lacks these fields.",
    )
    rekey: bool = Field(
        default=False,
        description="Re-keying, for topics in which a stream key is in several partitions: the "
        "records go through the topic `<group>-rekey`, keyed by the stream key. Several input "
        "topics are joined there into one stream.",
    )
    rekey_partitions: int = Field(
        default=0,
        ge=0,
        description="Partitions of `<group>-rekey` when it is made; 0: as many as the input topic "
        "with the most.",
    )
    rekey_retention: str = Field(
        default="24h",
        description="Time for which records stay in `<group>-rekey` after they are absorbed, by "
        "Kafka's timestamp (s, m, h, d).",
    )
    time: str = Field(
        default="ts",
        description="Field of the event time (json, avro, json_schema, protobuf), a dotted path. "
        "Empty: Kafka's timestamp.",
    )
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso8601", "excel"] = Field(
        default="auto",
        description="Unit of the event time; auto: by magnitude, strings are dates. excel: days of "
        "a spreadsheet.",
    )
    time_format: str = Field(
        default="",
        description="Format of event times in text, such as `%d/%m/%Y %H:%M:%S` (strptime). Empty: "
        "ISO 8601 and the other forms of [reading](reading.md).",
    )
    time_zone: str = Field(
        default="",
        description="Time zone of event times without an offset, such as `Europe/Berlin`. Empty: "
        "UTC. Of an hour that comes twice the first is meant.",
    )
    values: str = Field(
        default="values",
        description="Object that holds the channels (json, avro, json_schema, protobuf). A channel "
        "that is not in it stands beside the time. A dotted name is a path: `env.temp`. Empty: "
        "there is no such object.",
    )
    records: str = Field(
        default="",
        description="List that holds the records of a message (json, avro, json_schema, protobuf), "
        "a dotted path; time and key may stand beside it. Empty: a message is a record, a list of "
        "records, or JSON lines.",
    )
    missing: Names = Field(
        default=(),
        description='Words and numbers that mean "no value", besides those that are known, for '
        "example `-9999`.",
    )
    decimal: Literal["", ".", ","] = Field(
        default="",
        description="Decimal sign of numbers in text: `.` or `,`. Empty: a point.",
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
        description="Event times that lie further ahead of the Kafka timestamp, or of the worker's "
        "own clock, are refused.",
    )
    schema_registry_url: str = Field(
        default="", description="Schema registry of the codecs avro and protobuf."
    )
    schema_registry_username: str = Field(default="", description="User of the schema registry.")
    schema_registry_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the schema registry."
    )
    schema_registry_password_file: Path | None = Field(
        default=None, description="File that holds the password of the schema registry."
    )

    def codec_options(self) -> dict[str, Any]:
        """Return the arguments of `stream.codecs.make_codec`, except name and channels."""
        names: tuple[str, ...] = ("key", "key_from", "time", "time_unit", "values", "fields")
        names += ("records", "missing", "decimal", "time_format", "time_zone")
        limits = ("max_message_bytes", "max_key_bytes")
        registry = ("schema_registry_url", "schema_registry_username")
        options = {name: getattr(self, name) for name in (*names, *limits, *registry)}
        password = self.schema_registry_password.get_secret_value()
        return {**options, "schema_registry_password": password}

    @field_validator("topics")
    @classmethod
    def _topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(value):
            if fault := name_fault(name):
                raise ValueError(fault)
            if name in value[:number]:
                raise ValueError(f"{name!r} is named twice; expected each topic once")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            if value:
                ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            raise ValueError(
                "expected a time zone of the IANA database, for example Europe/Berlin or UTC"
            ) from None
        return value

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        value = value.lower()
        is_age = value.startswith("-") and seconds_of(value[1:]) is not None
        if value not in ("earliest", "latest") and not is_age:
            raise ValueError("expected earliest, latest, or how far back, for example `-24h`")
        return value

    @field_validator("rekey_retention")
    @classmethod
    def _retention(cls, value: str) -> str:
        if seconds_of(value) is None:
            raise ValueError("expected a length of time, for example `24h` (s, m, h, d)")
        return value

    @property
    def rekey_retention_seconds(self) -> float:
        """`rekey_retention`, in seconds."""
        return seconds_of(self.rekey_retention) or 0.0

    @property
    def begin(self) -> Literal["earliest", "latest"] | float:
        """`start`, with an age in seconds in place of a duration."""
        age_seconds = seconds_of(self.start.removeprefix("-"))
        if age_seconds is not None:
            return age_seconds
        return "latest" if self.start == "latest" else "earliest"

    @model_validator(mode="after")
    def _schemas_need_a_registry(self) -> Self:
        if self.codec in ("avro", "protobuf") and not self.schema_registry_url:
            raise ValueError(f"The codec {self.codec} also needs `schema_registry_url`")
        return self


class WindowSection(Section):
    """Windowing of samples into rows."""

    mode: Literal["count", "time"] = Field(
        default="count",
        description="count: every record is a row. time: a row closes per interval of event time. "
        "Default with a codec of one metric a record (influx, telegraf, collectd, prometheus, "
        "otlp): time.",
    )
    interval_seconds: float = Field(
        default=10.0, gt=0, description="Length of an interval of event time (mode time)."
    )
    allowed_lateness_seconds: float = Field(
        default=5.0, ge=0, description="Time for which an interval stays open for late samples."
    )
    aggregate: str = Field(
        default="last",
        description=f"Aggregate of a channel's samples in one interval: {USES_TEXT}.",
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
        description="Silence until a key is stale, in usual intervals of the key; longer where "
        "longer pauses of it are usual; 0: never.",
    )
    stale_without_records: bool = Field(
        default=True,
        description="Where a whole partition is silent, keys become stale by the worker's clock.",
    )

    @field_validator("aggregate")
    @classmethod
    def _known_aggregate(cls, value: str) -> str:
        if not is_aggregate(value):
            raise ValueError(f"expected {USES_TEXT}, not {value!r}")
        return value

    @field_validator("aggregates")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for channel, aggregate in value.items():
            if not is_aggregate(aggregate):
                raise ValueError(f"channel {channel!r}: expected {USES_TEXT}, not {aggregate!r}")
        return value
