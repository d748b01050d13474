"""Kafka configuration of a worker under test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stream.kafka.config import WorkerConfig
from stream.settings import Settings


def worker_config(**changes: Any) -> WorkerConfig:
    """Take the defaults of the settings, without copies on disk, and read topics from the start.

    Args:
        changes: Keywords of `WorkerConfig`.
    """
    defaults = WorkerConfig.from_settings(Settings())
    plain = {"start": "earliest", "snapshot_seconds": 0.0, "group": "g", "topics": ("in",)}
    return replace(defaults, **{**plain, **changes})
