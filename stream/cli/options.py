"""Options that several commands share, each group written once.

A command takes a group as one argument (`cluster: ClusterArgs = ClusterOptions()`); on the command
line its options stand beside the command's own.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from stream.errors import UserError
from stream.settings import Settings
from stream.tools.workers_http import worker_urls

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

_BESIDE = Parameter(name="*")  # the fields become options of the command, without a prefix


@dataclass(frozen=True)
class SettingsOptions:
    """Settings file of a command.

    Attributes:
        config: Settings file. Default: ember.toml in the current folder, if there is one.
    """

    config: Path | None = None


@dataclass(frozen=True)
class ClusterOptions(SettingsOptions):
    """Kafka cluster of a command, and the settings for it.

    Attributes:
        bootstrap_servers: Kafka brokers as host:port, separated by commas. Default:
            kafka.bootstrap_servers.
    """

    bootstrap_servers: Annotated[str | None, Parameter(alias="--bootstrap")] = None

    def settings(self, **sections: dict[str, Any]) -> Settings:
        """Load the settings; values of the command line come before those of the file.

        Args:
            **sections: More values of the command line, by section (`model={"path": path}`).
        """
        kafka = {"bootstrap_servers": self.bootstrap_servers} | sections.pop("kafka", {})
        return Settings.load(self.config, kafka=kafka, **sections)


@dataclass(frozen=True)
class InputTopicOptions(ClusterOptions):
    """Cluster, and one input topic of it.

    Attributes:
        topic: Input topic. Default: all of input.topics.
    """

    topic: str | None = None


@dataclass(frozen=True)
class OutputTopicOptions(ClusterOptions):
    """Cluster, and one output topic of it.

    Attributes:
        topic: Topic to read. Default: the output topics of all input.topics.
    """

    topic: str | None = None


@dataclass(frozen=True)
class WorkerOptions(SettingsOptions):
    """Running workers that a command sends a request to.

    Attributes:
        url: Address of a worker, http://host:port; may be given several times. Default: http.host
            and http.port.
        workers: Number of workers on this host, at consecutive ports.
        json: Print one JSON object.
    """

    url: tuple[str, ...] = ()
    workers: int = 1
    json: bool = False

    def urls(self, settings: Settings) -> list[str]:
        """Return the addresses of these workers."""
        return worker_urls(settings, self.url, self.workers)


SettingsArgs = Annotated[SettingsOptions, _BESIDE]
ClusterArgs = Annotated[ClusterOptions, _BESIDE]
InputTopicArgs = Annotated[InputTopicOptions, _BESIDE]
OutputTopicArgs = Annotated[OutputTopicOptions, _BESIDE]
WorkerArgs = Annotated[WorkerOptions, _BESIDE]


def parse_since(text: str, now: float, name: str = "since") -> float:
    """Return the seconds since the epoch of `2h`, or of an ISO 8601 time (without zone: local).

    Args:
        text: Value of the option.
        now: Seconds since the epoch.
        name: Name of the option.

    Raises:
        UserError: If it is neither.

    Examples:
        >>> parse_since("90s", 1000.0)
        910.0
    """
    match = _LENGTH.fullmatch(text.strip())
    if match:
        return now - float(match[1]) * _UNIT_SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise UserError(
            f"The time is not understood. Expected --{name} like 30s, 15m, 2h, 7d or "
            f"2026-01-31T12:00:00Z. Received: {name}={text!r}.",
            exit_code=2,
        ) from None


def parse_seconds(name: str, text: str) -> float:
    """Return the seconds of a duration such as `30s`.

    Args:
        name: Name of the option.
        text: Value of the option.

    Raises:
        UserError: If it is none, or no time at all.
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise UserError(
            f"The time is not understood. Expected --{name} like 30s, 15m or 2h. "
            f"Received: {name}={text!r}.",
            exit_code=2,
        )
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def since_ms(text: str | None, name: str = "since") -> int | None:
    """Return `--since` in milliseconds since the epoch; None if it was not given."""
    return None if text is None else int(parse_since(text, time.time(), name) * 1000)


def require_at_least(name: str, value: float, least: float) -> None:
    """Refuse an option's value below a bound.

    Args:
        name: Name of the option, without dashes in front.
        value: Value that was given.
        least: Smallest value that is accepted.

    Raises:
        UserError: If the value is too small.
    """
    if value < least:
        raise UserError(
            f"That is too few. Expected --{name} >= {least}. Received: {name}={value}.",
            exit_code=2,
        )
