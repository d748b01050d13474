"""Plan of `ember init`: all choices about one source, and the reasons for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.cli.doctor.findings import Check

from .channels import ChannelFacts


@dataclass(frozen=True)
class Decision:
    """One choice, for the table.

    Attributes:
        about: Subject of the choice.
        choice: The choice, in a few words.
        reason: Reason of the choice.
    """

    about: str
    choice: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Settings for a source, and how they came about.

    Attributes:
        source: Name of the source, for sentences.
        data: Source as DATA of `ember train`, with the options that it needs there.
        input: Settings of `[input]`.
        window: Settings of `[window]`.
        channels: Facts about each channel.
        texts: Fields that are texts, and so no channels.
        decisions: Choices and reasons, in the order of the settings.
        findings: Findings of the checks of `ember doctor` that remain.
        rows_are_intervals: True where a row is an interval.
    """

    source: str
    data: str
    input: dict[str, Any]
    window: dict[str, Any]
    channels: Sequence[ChannelFacts]
    decisions: Sequence[Decision]
    texts: Sequence[str] = ()
    findings: Sequence[Check] = field(default=())
    kafka: dict[str, Any] = field(default_factory=dict)

    def reason(self, about: str) -> str:
        """Return the reason of a choice; empty where there was none."""
        return next((d.reason for d in self.decisions if d.about == about), "")
