"""Episodes that the service has told, read from its trigger topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import structlog

from ember_core.data.sources import Dataset
from ember_core.pipeline.fit import Incident
from stream.errors import UserError
from stream.settings import Settings
from stream.told_episodes import told_episodes
from stream.tools import clients
from stream.tools.topic_records import Period, TopicRecords

_log = structlog.stdlib.get_logger("ember")


def told_incidents(settings: Settings, dataset: Dataset, since_ms: int) -> list[Incident]:
    """Return the episodes of the keys of a history, to be left out of its training.

    Those marked as false alarm or normal are none. Where the topics cannot be read, a warning says
    so, and nothing is left out.

    Args:
        settings: Settings of the service.
        dataset: The history.
        since_ms: Oldest trigger to read, in milliseconds since the epoch.
    """
    last_us = max((int(t.time_us.max()) for t in dataset.tables if len(t.time_us)), default=0)
    keys = set(dataset.keys)
    try:
        episodes = told_episodes(_events(settings, since_ms), last_us)
    except UserError as error:
        detail = f"No episode is left out of the training: {error.message}"
        _log.warning("learn_episodes", detail=detail)
        return []
    return [episode for episode in episodes if episode.key in keys]


def _events(settings: Settings, since_ms: int) -> Iterator[dict[str, Any]]:
    counts = clients.partition_counts(clients.fetch_metadata(settings.kafka))
    topics = [topic for topic in settings.output_topics("triggers") if topic in counts]
    if not topics:
        return
    for record in TopicRecords(settings.kafka, topics, Period(since_ms)):
        try:
            yield msgspec.json.decode(record.value or b"", type=dict[str, Any])
        except msgspec.MsgspecError:
            continue  # not one of the service
