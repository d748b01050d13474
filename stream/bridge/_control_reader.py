"""Reader of the control topic in the thread of a bridge."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from stream.control import NO_CONTROL, ControlSet
from stream.errors import UserError
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.settings import Settings
from stream.tools import clients, reading

log = structlog.stdlib.get_logger("ember")

_AGAIN_SECONDS = 10.0


class ControlReader:
    """Documents in force, as far as this bridge knows.

    Args:
        settings: Settings of the service.
        clock: Monotonic clock, in seconds.

    Attributes:
        current: Documents in force.
        is_ready: True once the topic was read to its end, or was not there.
        trouble: Reason why it cannot be read now; empty when it can.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka, self._topic, self._clock = settings.kafka, settings.control_topic, clock
        self._consumer: Consumer | None = None
        self._catalogue = ControlCatalogue()
        self._next_attempt = float("-inf")
        self.current: ControlSet = NO_CONTROL
        self.is_ready = not self._topic  # nobody follows documents
        self.trouble = ""

    def poll(self) -> None:
        """Take new records. One that loses sight of the topic keeps the documents it has."""
        if not self._topic or self._clock() < self._next_attempt:
            return
        try:
            if self._consumer is None:
                self._open()
            if self._consumer is not None:
                self._take(self._consumer)
        except (UserError, KafkaException) as error:
            self.close()
            self._next_attempt = self._clock() + _AGAIN_SECONDS
            self.trouble = f"topic {self._topic!r} cannot be read ({error})"
            log.warning("control topic cannot be read", topic=self._topic, error=str(error))

    def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> None:
        # A consumer that asks for a missing topic may make it, with the broker's own settings.
        if self._topic not in clients.partition_counts(clients.fetch_metadata(self._kafka)):
            self.current, self.is_ready, self.trouble = NO_CONTROL, True, ""
            self._next_attempt = self._clock() + _AGAIN_SECONDS
            return
        self._catalogue = ControlCatalogue()
        self._consumer = clients.open_consumer(self._kafka)
        self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])

    def _take(self, consumer: Consumer) -> None:
        for message in consumer.consume(500, timeout=0.0 if self.is_ready else 0.2):
            if message.error() is None:
                key, value = message.key(), message.value()
                offset = message.offset()
                assert offset is not None
                if offset < self._catalogue.next_offset:  # the topic was made anew
                    self._catalogue = ControlCatalogue()
                self._catalogue.take(offset, key, value)
            elif reading.is_partition_end(message):
                self.current, self.is_ready, self.trouble = self._catalogue.current, True, ""
            else:
                reading.raise_if_fatal(message)
