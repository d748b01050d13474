"""Fetches of the input partitions through codec and engine."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain, groupby
from typing import cast

import numpy as np

from stream.codecs import Codec
from stream.engine import Engine, Fetch, Outcome
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import Clock, Headers, LookingUp, Outgoing
from stream.kafka.protocol.positions import Positions
from stream.observer import Observer
from stream.records import Event, Message, Reason, Rejected, cloudevent_headers
from stream.types import TP

from .dead_letters import DeadLetters
from .paused_partitions import PausedPartitions
from .trace_headers import trace_headers

SLICE = 4096
"""Most messages in one step."""

_SMALLEST = 64
_HOLD_SECONDS = 0.05
"""A step should hold the event loop no longer; results do not depend on how a fetch is sliced."""
_YIELDS = 3
"""Turns of the event loop after a step: a broker's reply takes more than one to get through."""

BACKLOG_HEADER = "ember.backlog"
"""On events about records that were old when the worker came to them. A header, not the body:
how late a worker is does not change what it says."""

_LATE = cast(
    "Reason", Outcome.LATE
)  # a outcome of the engine, not a refusal; here it is treated alike


class Processor:
    """Feeds fetches to the engine and what comes out to outbox and dead letters.

    Args:
        codec: Bytes to columns.
        engine: The state.
        ledger: Positions.
        outbox: Takes events.
        dead_letters: Takes refused messages; None: they are only counted.
        topics: From an event's kind and its input topic to an output topic.
        source: CloudEvents source.
        observer: Told of every slice.
        clock: For durations only.
        late: Whether late messages are dead letters too.
        slice_messages: Most messages in one step.
        make_room: Makes a checkpoint, after which rows can leave memory.
        waiting: Partitions that wait for an answer of the codec's registry.
        max_age_seconds: Age of a record, by Kafka's timestamp, from which on its events are
            backlog.
        wall_clock: Seconds since the epoch; for that age only.
    """

    def __init__(
        self,
        *,
        codec: Codec,
        engine: Engine,
        ledger: Positions,
        outbox: Outbox,
        dead_letters: DeadLetters | None,
        topics: Callable[[str, str], str],
        source: str,
        observer: Observer,
        clock: Clock,
        late: bool = False,
        slice_messages: int = SLICE,
        make_room: Callable[[], Awaitable[None]] | None = None,
        waiting: PausedPartitions | None = None,
        max_age_seconds: float = math.inf,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.codec = codec
        self._engine = engine
        self._ledger = ledger
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._topics = topics
        self._source = source
        self._observer = observer
        self._clock = clock
        self._late = late
        self._make_room = make_room
        self._waiting = waiting
        self._max_age_ms = 1000 * max_age_seconds
        self._wall_clock = wall_clock
        self._most = self._slice = slice_messages

    async def process(
        self,
        fetch: Mapping[TP, Sequence[Message]],
        going_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Absorb a fetch. May be cancelled at any await: what is absorbed is accounted for.

        Partitions are gone through one after the other; what is left of a step of one is filled
        up from the next, as a step costs as much as sixty records by itself.

        Args:
            fetch: By input partition, in offset order; those below the position were absorbed
                before.
            going_on: Asked between slices; what is left after False is read again later.
        """
        waiting = deque((await self._decodable(fetch)).items())
        while waiting:
            await self._outbox.room()
            if self._make_room is not None and self._engine.room() < self._slice:
                await self._make_room()
            if not going_on():
                return
            taken = self._take(waiting, max(1, min(self._slice, self._engine.room())))
            if taken:
                self._step(taken)
                await self._outbox.pump()
                for _ in range(_YIELDS):
                    await asyncio.sleep(0)

    async def _decodable(
        self, fetch: Mapping[TP, Sequence[Message]]
    ) -> dict[TP, Sequence[Message]]:
        """What is new in it; of a partition whose next record has to wait, what is before that."""
        new = {
            tp: self._new(tp, records)
            for tp, records in sorted(fetch.items(), key=lambda item: item[0][0])
            if tp in self._ledger and not (self._waiting and tp in self._waiting)
        }
        codec = self.codec
        if not isinstance(codec, LookingUp):
            return new
        if lacking := codec.lacks(chain.from_iterable(new.values())):
            await asyncio.to_thread(codec.look_up, lacking)
        ready = {tp: records[: codec.ready(records)] for tp, records in new.items()}
        held = [tp for tp in new if len(ready[tp]) < len(new[tp]) and tp in self._ledger]
        if held and self._waiting is not None:
            self._waiting.hold(held)
        return ready

    def _new(self, tp: TP, records: Sequence[Message]) -> Sequence[Message]:
        position = self._ledger.position(tp)
        if records and records[0].offset < position:
            return [record for record in records if record.offset >= position]
        return records

    def _take(
        self, waiting: deque[tuple[TP, Sequence[Message]]], most: int
    ) -> dict[TP, Sequence[Message]]:
        """The next slice, out of `waiting`: of one topic, and of nothing given away meanwhile."""
        taken: dict[TP, Sequence[Message]] = {}
        topic = waiting[0][0][0]
        while most and waiting and waiting[0][0][0] == topic:
            tp, records = waiting.popleft()
            if not records or tp not in self._ledger:
                continue
            if len(records) > most:
                waiting.appendleft((tp, records[most:]))
            taken[tp] = records[:most]
            most -= len(taken[tp])
        return taken

    def _step(self, taken: Mapping[TP, Sequence[Message]]) -> None:
        """State, positions and events change together: no await in here."""
        started = self._clock()
        shares = [(tp, len(records)) for tp, records in taken.items()]
        messages = list(chain.from_iterable(taken.values()))
        count = len(messages)
        fetch = Fetch(
            np.fromiter((m.offset for m in messages), np.int64, count),
            np.fromiter((m.timestamp for m in messages), np.int64, count),
        )
        codec = self.codec
        if isinstance(codec, LookingUp):  # it was asked for before: nothing may block in here
            decoded = codec.decode_known(messages)
        else:
            decoded = codec.decode(messages)
        read = self._clock()
        result = self._engine.step_all(shares, decoded, fetch)
        self._observer.timed("decode", read - started)
        self._observer.timed("engine", self._clock() - read)
        for tp, records in taken.items():
            self._ledger.advance(tp, records[-1].offset + 1)
        ends = list(accumulate(number for _, number in shares))

        def source_of(message: int) -> TP:
            return shares[bisect_right(ends, message)][0]

        if result.events:
            traces = trace_headers(messages, decoded, result.events)
            oldest_ms = 1000 * self._wall_clock() - self._max_age_ms
            for event, source in zip(result.events, result.sources, strict=True):
                more = list(traces.get((event.key, event.time_us), ()))
                if messages[source].timestamp < oldest_ms:
                    more.append((BACKLOG_HEADER, b"true"))
                tp = source_of(source)
                self._outbox.add(tp, [self._outgoing(tp, event, more)])
        if self._dead_letters is not None:
            refused = list(result.rejected)
            if self._late:
                refused += (
                    Rejected(i, _LATE, "older than its key's last row") for i in result.late
                )
            refused.sort(key=lambda each: each.message)
            for tp, own in groupby(refused, key=lambda each: source_of(each.message)):
                self._dead_letters.add(tp, messages, list(own))
        seconds = self._clock() - started
        self._adapt(count, seconds)
        self._observer.stepped([tp for tp, _ in shares], decoded, result, count, seconds)

    def _adapt(self, count: int, seconds: float) -> None:
        """Slices as large as the time allows: shorter for a slow model, or one hot key."""
        if seconds > _HOLD_SECONDS:
            self._slice = max(min(self._most, _SMALLEST), count // 2)
        elif seconds < _HOLD_SECONDS / 4 and count == self._slice:
            self._slice = min(self._most, 2 * self._slice)

    def _outgoing(self, tp: TP, event: Event, trace: Iterable[tuple[str, bytes]]) -> Outgoing:
        headers: Headers = [
            *cloudevent_headers(event, self._source),
            ("ember.topic", tp[0].encode()),
            ("ember.partition", str(tp[1]).encode()),
            *trace,
        ]
        topic = self._topics(event.kind, tp[0])
        return Outgoing(topic, event.key, event.body, headers)
