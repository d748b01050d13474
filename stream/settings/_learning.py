"""The `[learn]` section: training of the model from the input topics, by the workers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from stream.durations import seconds_of
from stream.holiday_days import holiday_fault

from ._base import Names, Section


class LearnSection(Section):
    """Training of the model from the input topics; needs `model.topic`."""

    enabled: bool = Field(
        default=False,
        description="Train the model from the records of `input.topics`, in a process beside one "
        "worker of the group, and publish it to `model.topic`.",
    )
    every: str = Field(
        default="",
        description="Time between two trainings, for example `7d`, from the newest bundle of "
        "`model.topic` on (s, m, h, d). Empty: only where there is no model.",
    )
    min_history: str = Field(
        default="1d",
        description="History that the first training waits for (s, m, h, d).",
    )
    since: str = Field(
        default="28d",
        description="History that a training reads, by Kafka's timestamps (s, m, h, d). Kafka may "
        "keep less.",
    )
    keys: int = Field(
        default=0,
        ge=0,
        description="Keys of a large fleet to train on, chosen by a hash of the key; 0: all. The "
        "others are new ones to the model.",
    )
    calendar_zone: str = Field(
        default="",
        description="Time zone of the people who load the machines, for example `Europe/Berlin`: "
        "profiles of day and week follow its clock. Empty: UTC.",
    )
    holidays: Names = Field(
        default=(),
        description="Days of that zone that count as Sundays, such as `2026-12-25`, and countries "
        "or parts of them with all their public holidays, such as `DE-BY` (extra `calendars`).",
    )
    private_key: Path | None = Field(
        default=None,
        description="PEM file of the Ed25519 key that signs the bundles; needed where "
        "`model.public_key` is set.",
    )

    @field_validator("every", "min_history", "since")
    @classmethod
    def _length(cls, value: str) -> str:
        if value and not seconds_of(value):
            raise ValueError("expected a length of time, for example `7d` (s, m, h, d)")
        return value

    @field_validator("calendar_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected a time zone such as `Europe/Berlin`") from None
        return value

    @field_validator("holidays")
    @classmethod
    def _days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for day in value:
            if fault := holiday_fault(day):
                raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _history_is_read(self) -> Self:
        if self.since_seconds < self.min_history_seconds:
            raise ValueError(
                f"`min_history` waits for more history than `since` reads. Expected "
                f"`since` of {self.min_history} or more. Received: since={self.since!r}"
            )
        return self

    @property
    def every_seconds(self) -> float | None:
        """`every`, in seconds; None: once."""
        return seconds_of(self.every)

    @property
    def min_history_seconds(self) -> float:
        """`min_history`, in seconds."""
        return seconds_of(self.min_history) or 0.0

    @property
    def since_seconds(self) -> float:
        """`since`, in seconds; without an end where it is empty."""
        return seconds_of(self.since) or float("inf")
