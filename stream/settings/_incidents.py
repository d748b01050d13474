"""The `[incidents]` section: keys that fire together."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from stream.key_pattern import KeyPattern

from ._base import Names, Section


class IncidentsSection(Section):
    """Incidents that `ember incidents` makes of triggers."""

    key_pattern: str = Field(
        default="",
        description="Pattern of keys that gives them labels, such as `{site}-{host}`. Empty: no "
        "labels.",
    )
    same_labels: Names = Field(
        default=(),
        description="Labels of the pattern whose values related keys have alike. Empty: the first "
        "one.",
    )
    window_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Longest time between the begins of two keys that are related, by event time.",
    )
    gather_seconds: float = Field(
        default=15.0,
        ge=0,
        description="Time for which an incident gathers keys before it is told, and for which its "
        "end waits.",
    )
    storm_keys: int = Field(
        default=20,
        ge=2,
        description="Keys that begin within the window, from which time alone makes them related.",
    )
    update_seconds: float = Field(
        default=600.0,
        ge=1,
        description="Time after which growth is told (`updated`); each further time is twice as "
        "long.",
    )
    max_members: int = Field(default=20, ge=1, le=1_000, description="Keys that a message lists.")
    max_alerts: int = Field(
        default=100_000,
        ge=1,
        description="Most alerts that may fire at a time; further ones are counted and left out.",
    )
    port: int = Field(
        default=6060, ge=0, le=65535, description="Port of the metrics and health of the process."
    )

    @field_validator("key_pattern")
    @classmethod
    def _sound_pattern(cls, value: str) -> str:
        KeyPattern(value)
        return value

    @model_validator(mode="after")
    def _labels_of_the_pattern(self) -> Self:
        names = KeyPattern(self.key_pattern).names
        unknown = [name for name in self.same_labels if name not in names]
        if unknown:
            raise ValueError(
                f"`same_labels` has {unknown[0]!r}, which is no field of `key_pattern`; expected "
                f"some of {', '.join(names) or 'a pattern with fields'}"
            )
        return self

    @property
    def shared_labels(self) -> tuple[str, ...]:
        """Labels whose values related keys have alike."""
        return self.same_labels or KeyPattern(self.key_pattern).names[:1]
