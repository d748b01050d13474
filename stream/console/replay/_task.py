"""Tasks of the process that replays, and the lines it answers with."""

from __future__ import annotations

import base64
import pickle
from dataclasses import dataclass
from typing import Any

import msgspec

from stream.control import ControlSet
from stream.settings import Settings


@dataclass(frozen=True)
class WhatIfTask:
    """Replay of some keys twice: as it is, and with a change.

    Attributes:
        settings: Settings of the service.
        changed: Settings with the change.
        keys: Stream keys; empty: all of the topic.
        since_ms: Kafka timestamp of the first record.
        control: Documents in force.
        changed_control: Documents with the change.
    """

    settings: Settings
    changed: Settings
    keys: tuple[bytes, ...]
    since_ms: int | None
    control: ControlSet
    changed_control: ControlSet


@dataclass(frozen=True)
class ActivationsTask:
    """Replay of one key, for the neurons after each of its rows.

    Attributes:
        settings: Settings of the service.
        key: Stream key.
        since_ms: Kafka timestamp of the first record.
    """

    settings: Settings
    key: bytes
    since_ms: int | None


Task = WhatIfTask | ActivationsTask


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Progress of a replay; `share` is the part of the step that is done, 0 to 1."""

    phase: str
    share: float


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """End of a replay that could not be done, with the reason."""

    error: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """End of a replay, with its result."""

    result: Any


Line = Step | Failed | Done


def encode_task(task: Task) -> bytes:
    """Return a task as one line, for a process of the same program."""
    return base64.b64encode(pickle.dumps(task)) + b"\n"


def decode_task(line: bytes) -> Task:
    """Read the line of a task, which only the console writes."""
    task: Task = pickle.loads(base64.b64decode(line))  # noqa: S301  # from our own parent
    return task
