"""Following of the control topic by a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from stream.control import NO_CONTROL, ControlSet
from stream.kafka.client.compacted_log import CompactedLogReader
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.observer import Observer

from .catalogue import ControlCatalogue
from .source import fill, read, topic_exists

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 2.0
_MISSING_SECONDS = 10.0
_REFRESH_SECONDS = 10.0
_MOST_BATCHES = 20
"""Batches without a pause between them after which a set is taken all the same."""


class ControlFollower:
    """Documents of the control topic, as far as this worker knows.

    Args:
        config: Kafka configuration of the worker, with the name of the topic.
        observer: Receiver of reports.
        on_change: Function called when other documents are in force.

    Attributes:
        current: Documents in force.
    """

    def __init__(
        self,
        config: WorkerConfig,
        observer: Observer,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._observer = config, observer
        self._catalogue = ControlCatalogue()
        self._reported = set[tuple[int, str]]()
        self.on_change = on_change
        self.current = NO_CONTROL

    def find(self, digest: str) -> ControlSet | None:
        """Return the documents of a digest; None where they are not known any more."""
        return self._catalogue.find(digest)

    async def start(self, on_wait: Callable[[str], None]) -> None:
        """Read the topic for the first time; wait for a broker that lets it be read.

        Args:
            on_wait: Function told the reason of each wait.
        """
        while True:
            try:
                self._replace(await read(self._config))
                return
            except KafkaError as error:
                on_wait(f"topic {self._config.control_topic!r} cannot be read ({error})")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def refresh(self) -> None:
        """Read the topic now: another worker may know of a later change than this one."""
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                self._replace(await read(self._config))
        except (KafkaError, TimeoutError) as error:
            log.warning("The control topic cannot be read now: %r.", error)

    async def forever(self) -> None:
        """Follow the topic until the task is cancelled, whatever becomes of it."""
        while True:
            seconds = _AGAIN_SECONDS
            try:
                if await topic_exists(self._config):
                    await self._follow()
                else:
                    seconds = _MISSING_SECONDS
            except KafkaError as error:
                log.warning("The control topic cannot be followed now: %r.", error)
            await asyncio.sleep(seconds)

    async def _follow(self) -> None:
        settings, topic = self._config.client_settings(), self._config.control_topic
        async with CompactedLogReader(settings, topic, following=True) as reader:
            # Read anew: records may have been deleted while nobody followed.
            catalogue = ControlCatalogue()
            await fill(catalogue, reader)
            self._replace(catalogue)
            pending, position = 0, catalogue.next_offset
            async for batch in reader.follow_batches(position):
                if batch:
                    if batch[0].offset < position:
                        return  # the topic was made anew
                    position, pending = batch[-1].offset + 1, pending + 1
                    self._take(batch)
                # Documents that are written together are taken together.
                if pending and (not batch or pending >= _MOST_BATCHES):
                    pending = 0
                    self._report()

    def _take(self, batch: Sequence[Any]) -> None:
        for record in batch:
            if record.offset >= self._catalogue.next_offset:  # `refresh` may have been faster
                self._catalogue.take(record.offset, record.key, record.value)

    def _replace(self, catalogue: ControlCatalogue) -> None:
        self._catalogue = catalogue
        self._report()

    def _report(self) -> None:
        """Tell others of the documents in force, and of those that cannot be used, once each."""
        self.current = self._catalogue.current
        ignored = self._catalogue.unusable
        for offset, unusable in ignored.items():
            if (offset, unusable.key) not in self._reported:
                self._reported.add((offset, unusable.key))
                log.error("%s The others are in force.", unusable.reason)
        self._observer.control_followed(self.current, len(ignored))
        self.on_change()
