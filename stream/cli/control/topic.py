"""Control topic of the settings, as the commands read and write it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from stream.control import Document
from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.source import read_catalogue
from stream.settings import Settings
from stream.tools import clients


def config_of(settings: Settings) -> WorkerConfig:
    """Return the configuration of the group, which follows a control topic.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If its workers follow none.
    """
    if not settings.control_topic:
        raise UserError(
            "The workers of this group follow no control topic. Expected control.enabled=true. "
            "Received: control.enabled=false. Set it in ember.toml, and restart the workers."
        )
    return WorkerConfig.from_settings(settings)


def read(settings: Settings) -> ControlCatalogue:
    """Read the control topic.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If it cannot be read, or is another topic.
    """
    config = config_of(settings)
    clients.fetch_metadata(settings.kafka)  # a broker that is not there is one sentence
    catalogue = asyncio.run(read_catalogue(config))
    if catalogue.is_foreign:
        raise UserError(
            f"Topic {settings.control_topic!r} is no control topic. Expected documents of "
            f"operators, with keys such as rule/disk. Received: {len(catalogue.unusable):,} "
            "records with other keys, and none of these. Set control.topic to the topic of this "
            "group, such as <group>-control."
        )
    return catalogue


def find(catalogue: ControlCatalogue, key: str) -> Document:
    """Return a document of the topic.

    Args:
        catalogue: Contents of the topic.
        key: Kind and name, such as `rule/disk`.

    Raises:
        UserError: If there is none.
    """
    document = catalogue.by_key().get(key)
    if document is None:
        names = ", ".join(sorted(catalogue.by_key())[:20]) or "none"
        raise UserError(
            f"There is no such document. Expected one of: {names}. Received: {key!r}. "
            "`ember control list` shows them."
        )
    return document


def now() -> str:
    """Return the time as documents have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
