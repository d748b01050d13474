"""Dead letters: refused messages, byte for byte, with the reason in Kafka Connect's headers.

Nothing here may stop the stream or a checkpoint: failures are counted and logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from stream.kafka.client.errors import is_refused_time, is_too_large
from stream.kafka.context import Context
from stream.kafka.protocol.ports import EventSink, Headers, Outgoing
from stream.records import Message, Reason, Rejected
from stream.types import TP

TRUNCATED_HEADER = "ember.truncated"
REASON_HEADER = "ember.reason"
OFFSETS_HEADER = "ember.offsets"
TIMESTAMP_HEADER = "ember.timestamp"
"""Timestamp of the record, where the dead-letter topic refuses it."""
CONNECT = "__connect.errors."
"""Prefix of Kafka Connect's own headers."""

_KEEP_BYTES = 65_536
"""Bytes kept of a value that is too large for the topic."""
_SKIP_SECONDS = 30.0
"""Time for which checkpoints do not wait, after one has waited in vain."""

log = logging.getLogger(__name__)


class _DeadLetter(NamedTuple):
    message: Outgoing
    reason: Reason
    outcome: str


class DeadLetters:
    """Writer of refused messages, beside the stream.

    Args:
        context: Surroundings of the worker.
        sink: Sink with a producer of its own, which is not idempotent: in an idempotent one, a
            message that the broker refuses would take the following ones with it.
        max_queued: Most letters waiting to be sent; more are dropped and counted.
        settle_seconds: Most time for which a checkpoint waits for acknowledgements.
    """

    def __init__(
        self,
        context: Context,
        sink: EventSink,
        *,
        max_queued: int = 10_000,
        settle_seconds: float = 2.0,
    ) -> None:
        self._config = context.config
        self._observer = context.observer
        self._clock = context.clock
        self._sink = sink
        self._max_queued = max_queued
        self._settle_seconds = settle_seconds
        self._queue: deque[_DeadLetter] = deque()
        self._task: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[None]] = set()
        self._second = -1
        self._whole_letters = 0
        self._logged: dict[str, float] = {}
        self._skip_until = float("-inf")

    def add(self, tp: TP, messages: Sequence[Message], rejected: Sequence[Rejected]) -> None:
        """Take the refused messages of one slice; nothing is awaited.

        Records of other systems are normal in a shared topic, and left out unless asked for.

        Args:
            tp: Input partition.
            messages: Messages of the whole slice.
            rejected: Refused messages, by index in `messages`, and their reasons.
        """
        withheld: dict[Reason, list[int]] = {}
        for index, reason, detail in rejected:
            if reason is Reason.NO_CHANNELS and not self._config.dead_letters_no_channels:
                continue
            message = messages[index]
            if self._allowed():
                self._put(self._whole(tp, message, reason, detail), reason, "written")
            else:
                # Above the rate one message lists the offsets, so that a flood stays small.
                withheld.setdefault(reason, []).append(message.offset)
        for reason, offsets in withheld.items():
            self._put(self._coordinates(tp, reason, offsets), reason, "coordinates")
        if self._queue and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._send_queue())

    async def settle(self) -> None:
        """Wait for acknowledgements in bounded time; after a vain wait, skip it for a while."""
        if self._clock() < self._skip_until:
            return
        deadline = asyncio.get_running_loop().time() + self._settle_seconds
        while (self._task is not None and not self._task.done()) or self._in_flight:
            waiting: set[asyncio.Task[None]] = set(self._in_flight)
            if self._task is not None and not self._task.done():
                waiting.add(self._task)
            seconds = deadline - asyncio.get_running_loop().time()
            if seconds <= 0 or not waiting:
                self._warn("slow", f"{len(waiting)} dead letters are not acknowledged yet")
                self._skip_until = self._clock() + _SKIP_SECONDS
                return
            await asyncio.wait(waiting, timeout=seconds)

    def _allowed(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._whole_letters = second, 0
        self._whole_letters += 1
        return self._whole_letters <= self._config.dead_letters_per_second

    def _put(self, message: Outgoing, reason: Reason, outcome: str) -> None:
        if len(self._queue) + len(self._in_flight) >= self._max_queued:
            self._observer.dead_letters("dropped", reason, 1)
            self._warn("dropped", "dead letters come faster than the broker takes them")
            return
        self._queue.append(_DeadLetter(message, reason, outcome))

    def _whole(self, tp: TP, message: Message, reason: Reason, detail: str) -> Outgoing:
        headers: Headers = [*message.headers, *self._headers(tp, reason, detail)]
        headers.append((CONNECT + "offset", str(message.offset).encode()))
        value = message.value
        if value is None and message.key is None:
            value = b""  # Kafka's clients refuse a message with neither
        return Outgoing(
            self._config.output_topic("dead_letters", tp[0]),
            message.key,
            value,
            headers,
            message.timestamp,
        )

    def _coordinates(self, tp: TP, reason: Reason, offsets: list[int]) -> Outgoing:
        detail = f"{len(offsets)} messages, coordinates only: dead_letters.max_per_second"
        headers = self._headers(tp, reason, detail)
        headers.append((CONNECT + "offset", str(offsets[0]).encode()))
        headers.append((OFFSETS_HEADER, str(len(offsets)).encode()))
        body = {"topic": tp[0], "partition": tp[1], "reason": str(reason), "offsets": offsets}
        value = json.dumps(body, separators=(",", ":")).encode()
        return Outgoing(self._topic(tp), None, value, headers)

    def _topic(self, tp: TP) -> str:
        return self._config.output_topic("dead_letters", tp[0])

    def _headers(self, tp: TP, reason: Reason, detail: str) -> Headers:
        return [
            (CONNECT + "topic", tp[0].encode()),
            (CONNECT + "partition", str(tp[1]).encode()),
            (CONNECT + "connector.name", self._config.group.encode()),
            (CONNECT + "stage", b"VALUE_CONVERTER"),
            (CONNECT + "exception.class.name", f"dev.ember.{reason}".encode()),
            (CONNECT + "exception.message", detail[:1024].encode("utf-8", "replace")),
            (REASON_HEADER, str(reason).encode()),
        ]

    async def _send_queue(self) -> None:
        while self._queue:
            letter = self._queue.popleft()
            try:
                ack = await self._sink.send(letter.message)
            except Exception as error:  # noqa: BLE001  # counted, never fatal
                await self._retry(letter, error)
            else:
                task = asyncio.ensure_future(self._follow(letter, ack))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _follow(self, letter: _DeadLetter, ack: Any) -> None:
        try:
            await ack
        except Exception as error:  # noqa: BLE001
            await self._retry(letter, error)
        else:
            self._observer.dead_letters(letter.outcome, letter.reason, 1)

    async def _retry(self, letter: _DeadLetter, error: BaseException) -> None:
        """Send a letter in the form that the topic takes: cut, or dated now; else give it up."""
        outcome, message = letter.outcome, letter.message
        if is_refused_time(error) and message.timestamp_ms is not None:
            message = _undated(message)
        elif is_too_large(error) and outcome != "cut":
            outcome, message = "cut", _cut(message)
        else:
            self._observer.dead_letters("failed", letter.reason, 1)
            self._warn("failed", f"a dead letter was not written: {error!r}")
            return
        letter = letter._replace(message=message, outcome=outcome)
        try:
            await (await self._sink.send(message))
        except Exception as second:  # noqa: BLE001
            await self._retry(letter, second)
        else:
            self._observer.dead_letters(outcome, letter.reason, 1)

    def _warn(self, kind: str, sentence: str) -> None:
        now = self._clock()
        if now - self._logged.get(kind, float("-inf")) >= 10.0:
            self._logged[kind] = now
            log.warning("Dead letters: %s.", sentence)


def _undated(message: Outgoing) -> Outgoing:
    """Leave the timestamp to the producer, and keep that of the record in a header."""
    stamp = (TIMESTAMP_HEADER, str(message.timestamp_ms).encode())
    return message._replace(timestamp_ms=None, headers=[*message.headers, stamp])


def _cut(message: Outgoing) -> Outgoing:
    """Keep the beginning of key and value, and only the headers with the reason."""
    headers = [h for h in message.headers if h[0].startswith((CONNECT, "ember."))]
    size = len(message.value or b"")
    return message._replace(
        key=None if message.key is None else message.key[:1024],
        value=None if message.value is None else message.value[:_KEEP_BYTES],
        headers=[*headers, (TRUNCATED_HEADER, str(size).encode())],
    )
