"""All producers of one worker, and the state log and sinks on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from stream.kafka.protocol.ports import EventSink, Membership, StateLog
from stream.types import TP

from .fenced_producer import FencedProducer
from .producers import PlainLog, ProducerSink, TransactionalLog
from .rekeyed_log import PlainRekeyedLog, TransactionalRekeyedLog

_ROW_BATCH_BYTES = 786_432
_EVENT_BATCH_BYTES = 65_536
_MAX_REQUEST_BYTES = 4 * 1_048_576
_TRANSACTION_SECONDS = 30.0


class ProducerSet:
    """Producers of rows, events and dead letters.

    Args:
        settings: Keywords of aiokafka's clients.
        transactional_id: Transactional id of this worker; empty where the broker cannot fence.
        early_events: Whether events are sent before their checkpoint (at least once).
        dead_letters: Whether refused messages are written.
        transaction_seconds: Time after which the broker ends a transaction by itself.

    Attributes:
        events: Sink of events that do not wait for a checkpoint; None: all of them wait.
        dead_letters: Sink of dead letters; None: they are only counted.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        transactional_id: str,
        *,
        early_events: bool,
        dead_letters: bool,
        transaction_seconds: float = _TRANSACTION_SECONDS,
    ) -> None:
        self._settings = settings
        self._transaction_seconds = transaction_seconds
        self._fenced: FencedProducer | None = None
        self._plain: AIOKafkaProducer | None = None
        self.events: EventSink | None = None
        self.dead_letters: EventSink | None = None
        self._sinks: list[ProducerSink] = []
        if transactional_id:
            self._fenced = FencedProducer(
                transactional_id=transactional_id,
                transaction_timeout_ms=int(transaction_seconds * 1000),
                max_batch_size=_ROW_BATCH_BYTES,
                max_request_size=_MAX_REQUEST_BYTES,
                **settings,
            )
            self._sinks.append(ProducerSink(self._fenced))
        if self._fenced is None or early_events:
            # Without transactions this producer writes rows too, and rows need large batches.
            size = _EVENT_BATCH_BYTES if self._fenced else _ROW_BATCH_BYTES
            self._plain = self._producer(enable_idempotence=True, max_batch_size=size)
            sink = ProducerSink(self._plain)
            self._sinks.append(sink)
            self.events = sink if early_events else None
        self._with_dead_letters = dead_letters
        self._late_sink: ProducerSink | None = None

    async def start(self) -> None:
        """Connect the producers of rows and events; none stays open where one fails."""
        try:
            for sink in self._sinks:
                await sink.start()
        except BaseException:
            for sink in self._sinks:
                await sink.stop()
            raise
        # Dead letters connect with the first of them, so they do not keep a worker from starting.
        if self._with_dead_letters:
            self.dead_letters = self._late_sink = ProducerSink(self._producer(acks="all"))

    async def stop(self, seconds: float) -> None:
        """Deliver pending messages and close.

        Args:
            seconds: Most time for each producer.

        Raises:
            TimeoutError: If a producer took longer.
        """
        sinks = [*self._sinks, *([self._late_sink] if self._late_sink is not None else [])]
        for sink in sinks:
            await asyncio.wait_for(sink.stop(), seconds)

    def state_log(
        self,
        changelog: Callable[[str], str],
        group: str,
        commit: Callable[[Mapping[TP, int], Membership], Awaitable[None]],
    ) -> StateLog:
        """Return the log of state and offsets.

        Args:
            changelog: Function from an input topic to its changelog topic.
            group: Consumer group.
            commit: Function that commits offsets where there are no transactions.
        """
        if self._fenced is not None:
            return TransactionalLog(self._fenced, changelog, group, self._transaction_seconds)
        return PlainLog(self._plain, changelog, commit)

    def rekeyed_log(
        self, group: str, commit: Callable[[Mapping[TP, int], Membership], Awaitable[None]]
    ) -> TransactionalRekeyedLog | PlainRekeyedLog:
        """Return the log of re-keyed records.

        Args:
            group: Consumer group that reads their sources.
            commit: Function that commits offsets where there are no transactions.
        """
        if self._fenced is not None:
            return TransactionalRekeyedLog(self._fenced, str, group, self._transaction_seconds)
        return PlainRekeyedLog(self._plain, str, commit)

    def _producer(self, **settings: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            linger_ms=5, max_request_size=_MAX_REQUEST_BYTES, **settings, **self._settings
        )
