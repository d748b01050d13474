"""Writer of documents to the control topic, as `ember control apply` writes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from stream.control import ControlSet
from stream.kafka.config import WorkerConfig
from stream.kafka.control_topic.publisher import Edit, Stamp, publish
from stream.settings import Settings
from stream.tools import clients

from .store import Store


class TopicWriter:
    """Writer of documents; one write at a time.

    Args:
        settings: Settings of the service.
        store: Store that is told of the documents in force before the topic is read again.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._config = WorkerConfig.from_settings(settings)
        # Two writers of one process would fence each other.
        self._lock = threading.Lock()

    def publish(self, edits: Sequence[Edit], stamp: Stamp) -> ControlSet:
        """Write changes of documents; return those in force.

        Raises:
            UserError: If they were not written.
        """
        with self._lock:
            clients.fetch_metadata(self._settings.kafka)  # a broker that is not there: one sentence
            control = asyncio.run(publish(self._config, edits, stamp))
            self._store.take_control(control, self._store.changes)
            return control
