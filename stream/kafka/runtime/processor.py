"""Fetches of the input partitions through codec and engine."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain, groupby
from typing import NamedTuple, cast

import numpy as np

from stream.codecs import Codec
from stream.engine import AnyEngine, DetailedScores, Outcome, SliceOffsets, StepResult
from stream.kafka.context import Context
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import Headers, LookupCodec, Outgoing
from stream.kafka.protocol.positions import Positions
from stream.records import Decoded, Event, Message, Reason, Rejected, cloudevent_headers
from stream.rekeying import Source, source_of
from stream.types import TP

from .control import PartitionControls
from .dead_letters import DeadLetters
from .paused_partitions import PausedPartitions
from .score_messages import ScoreMessages, by_partition
from .trace_headers import trace_headers

log = logging.getLogger(__name__)

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

_LATE = cast("Reason", Outcome.LATE)
"""Outcome of the engine, not a refusal; dead letters treat both alike."""


class _Batch(NamedTuple):
    """Records of one step, decoded.

    Attributes:
        counts: Partitions, and the number of messages of each.
        messages: Messages, one partition after the other.
        slice_offsets: Offsets and Kafka timestamps of the messages.
        decoded: Samples of the messages.
        decode_seconds: Time that decoding took.
    """

    counts: list[tuple[TP, int]]
    messages: list[Message]
    slice_offsets: SliceOffsets
    decoded: Decoded
    decode_seconds: float


class Processor:
    """Feeds fetches to the engine, and the results to outbox and dead letters.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        codec: Codec from bytes to columns.
        positions: Positions of the partitions.
        outbox: Receiver of events.
        dead_letters: Receiver of refused messages; None: they are only counted.
        paused: Partitions that wait for a schema; None: the codec needs none.
        checkpoint: Function that makes a checkpoint, given a reason for logs and metrics.
        slice_messages: Most messages in one step.

    Attributes:
        codec: Codec that decodes now; replaced when the model is switched.
        controls: Documents of operators of each partition; None: there are none.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        codec: Codec,
        positions: Positions,
        outbox: Outbox,
        *,
        dead_letters: DeadLetters | None = None,
        paused: PausedPartitions | None = None,
        checkpoint: Callable[[str], Awaitable[None]] | None = None,
        slice_messages: int = SLICE,
    ) -> None:
        self.codec = codec
        self._config = context.config
        self._observer = context.observer
        self._clock = context.clock
        self._wall_clock = context.wall_clock
        self._engine = engine
        self._positions = positions
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._paused = paused
        self._checkpoint = checkpoint
        self.controls: PartitionControls | None = None
        self._most = self._slice = slice_messages
        self._scores = ScoreMessages(context.config)

    async def process(
        self,
        fetch: Mapping[TP, Sequence[Message]],
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Absorb a fetch. May be cancelled at any await: absorbed records are accounted for.

        Partitions are gone through one after the other; a step that one does not fill is filled up
        from the next, as a step costs as much as sixty records by itself.

        Args:
            fetch: Records by input partition, in offset order; those below the position were
                absorbed before.
            goes_on: Function asked between slices; after False, the rest is read again later.
        """
        batches = deque((await self._decodable(fetch)).items())
        while batches:
            await self._outbox.wait_for_capacity()
            # Rows leave memory only when they are in the changelog.
            if self._checkpoint is not None and self._engine.key_capacity() < self._slice:
                await self._checkpoint("full")
            if not goes_on():
                return
            # A slice with more new keys than free slots could not be absorbed whole.
            slices = self._take(batches, max(1, min(self._slice, self._engine.key_capacity())))
            if slices:
                batch = self._decode(slices)
                if self._bound_clocks(batch) and self._checkpoint is not None:
                    await self._checkpoint("clock")
                    if not goes_on():
                        return
                self._step(batch)
                await self._outbox.pump()
                for _ in range(_YIELDS):
                    await asyncio.sleep(0)

    async def _decodable(
        self, fetch: Mapping[TP, Sequence[Message]]
    ) -> dict[TP, Sequence[Message]]:
        """Select new records, and of a partition that has to wait those before the missing schema.

        Partitions of a topic come together, as a step is of one topic.
        """
        new = {
            tp: self._new(tp, records)
            for tp, records in sorted(fetch.items(), key=lambda item: item[0][0])
            if tp in self._positions and not self._positions.is_paused(tp)
        }
        codec = self.codec
        if not isinstance(codec, LookupCodec):
            return new
        if missing_ids := codec.lacks(chain.from_iterable(new.values())):
            await asyncio.to_thread(codec.look_up, missing_ids)
        ready = {tp: records[: codec.ready(records)] for tp, records in new.items()}
        waiting = [tp for tp in new if len(ready[tp]) < len(new[tp]) and tp in self._positions]
        if waiting and self._paused is not None:
            self._paused.pause(waiting)
        return ready

    def _new(self, tp: TP, records: Sequence[Message]) -> Sequence[Message]:
        position = self._positions.position(tp)
        if records and records[0].offset < position:
            return [record for record in records if record.offset >= position]
        return records

    def _take(
        self, batches: deque[tuple[TP, Sequence[Message]]], most: int
    ) -> dict[TP, Sequence[Message]]:
        """Remove the next slice from `batches`: of one topic, and of partitions still owned.

        All of its partitions have the same documents of operators, which one step is made by.
        """
        slices: dict[TP, Sequence[Message]] = {}
        first = batches[0][0]
        while most and batches and self._is_together(first, batches[0][0]):
            tp, records = batches.popleft()
            if not records or tp not in self._positions:
                continue
            if len(records) > most:
                batches.appendleft((tp, records[most:]))
            slices[tp] = records[:most]
            most -= len(slices[tp])
        return slices

    def _is_together(self, first: TP, second: TP) -> bool:
        """Return whether records of two partitions may be in one step."""
        if first[0] != second[0]:
            return False
        return self.controls is None or self.controls.of(first) == self.controls.of(second)

    def _decode(self, slices: Mapping[TP, Sequence[Message]]) -> _Batch:
        started = self._clock()
        counts = [(tp, len(records)) for tp, records in slices.items()]
        messages = list(chain.from_iterable(slices.values()))
        total = len(messages)
        slice_offsets = SliceOffsets(
            np.fromiter((m.offset for m in messages), np.int64, total),
            np.fromiter((m.timestamp for m in messages), np.int64, total),
        )
        codec = self.codec
        if isinstance(codec, LookupCodec):  # schemas were looked up before: nothing may block here
            decoded = codec.decode_known(messages)
        else:
            decoded = codec.decode(messages)
        return _Batch(counts, messages, slice_offsets, decoded, self._clock() - started)

    def _bound_clocks(self, batch: _Batch) -> list[TP]:
        """Bound what records claim by this worker's clock; return partitions to write first."""
        now_us = int(self._wall_clock() * 1e6)
        changed = self._engine.bound_clocks(
            batch.counts, batch.decoded, batch.slice_offsets, now_us
        )
        for tp in changed:
            self._engine.meta(tp).begin_at(self._positions.position(tp))
            self._positions.reopen(tp)
            log.info("%s-%d: a record claims a time that has not come yet.", *tp)
        return changed

    def _step(self, batch: _Batch) -> None:
        """Change state, positions and events together: no await in here."""
        started = self._clock()
        counts, messages, decoded = batch.counts, batch.messages, batch.decoded
        total = len(messages)
        if self.controls is not None:
            self.controls.bring_into_force(counts[0][0])
        result = self._engine.step_all(counts, decoded, batch.slice_offsets)
        self._observer.timed("decode", batch.decode_seconds)
        self._observer.timed("engine", self._clock() - started)
        # Messages of a slice lie one partition after the other; a bisection finds theirs.
        ends = list(accumulate(count for _, count in counts))
        for (tp, _), end in zip(counts, ends, strict=True):
            self._positions.advance(tp, messages[end - 1].offset + 1)

        def partition_of(message: int) -> TP:
            return counts[bisect_right(ends, message)][0]

        if result.events:
            self._send(messages, decoded, result, partition_of)
        if result.details:
            self._send_scores([tp for tp, _ in counts], ends, decoded, result)
        if self._dead_letters is not None:
            self._refuse(self._dead_letters, messages, result, partition_of)
        seconds = batch.decode_seconds + self._clock() - started
        self._adapt(total, seconds)
        self._observer.stepped([tp for tp, _ in counts], decoded, result, total, seconds)

    def _send(
        self,
        messages: Sequence[Message],
        decoded: Decoded,
        result: StepResult,
        partition_of: Callable[[int], TP],
    ) -> None:
        traces = trace_headers(messages, decoded, result.events)
        oldest_ms = 1000 * (self._wall_clock() - self._config.max_age_seconds)
        for event, source in zip(result.events, result.sources, strict=True):
            headers = list(traces.get((event.key, event.time_us), ()))
            if 0 < messages[source].timestamp < oldest_ms:  # -1 and 0 are no time
                headers.append((BACKLOG_HEADER, b"true"))
            tp = partition_of(source)
            origin = source_of(messages[source].headers) if self._config.rekeyed else None
            self._outbox.add(tp, [self._outgoing(tp, event, headers, origin)])

    def _send_scores(
        self, partitions: Sequence[TP], ends: Sequence[int], decoded: Decoded, result: StepResult
    ) -> None:
        started = self._clock()
        for details in result.details:
            for tp, rows in by_partition(details, decoded.message, partitions, ends):
                self._add_scores(tp, rows)
        self._observer.timed("scores", self._clock() - started)

    def _add_scores(self, tp: TP, details: DetailedScores) -> None:
        for message, rows in self._scores.of(tp, details):
            self._outbox.add(tp, [message])
            self._observer.scores(rows, len(message.value or b""))

    def send(self, tp: TP, events: Sequence[Event], scores: Sequence[DetailedScores] = ()) -> None:
        """Send events and scored rows of a partition that no record has brought about."""
        self._observer.emitted(events)
        self._outbox.add(tp, [self._outgoing(tp, event, (), None) for event in events])
        for details in scores:
            self._add_scores(tp, details)

    def _refuse(
        self,
        dead_letters: DeadLetters,
        messages: Sequence[Message],
        result: StepResult,
        partition_of: Callable[[int], TP],
    ) -> None:
        refused = list(result.rejected)
        if self._config.dead_letters_late:
            refused += (Rejected(i, _LATE, "older than its key's last row") for i in result.late)
        # `groupby` needs the partitions together, and they lie in message order.
        refused.sort(key=lambda each: each.message)
        for tp, rejected in groupby(refused, key=lambda each: partition_of(each.message)):
            dead_letters.add(tp, messages, list(rejected))

    def _adapt(self, count: int, seconds: float) -> None:
        """Make slices as large as the time allows: shorter for a slow model, or one hot key."""
        if seconds > _HOLD_SECONDS:
            self._slice = max(min(self._most, _SMALLEST), count // 2)
        elif seconds < _HOLD_SECONDS / 4 and count == self._slice:
            self._slice = min(self._most, 2 * self._slice)

    def _outgoing(
        self, tp: TP, event: Event, trace: Iterable[tuple[str, bytes]], origin: Source | None
    ) -> Outgoing:
        # People look for the record where its producer has sent it.
        topic, partition = tp if origin is None else origin.tp
        topic = self._config.streams.get(topic, topic)
        headers: Headers = [
            *cloudevent_headers(event, self._config.source),
            ("ember.topic", topic.encode()),
            ("ember.partition", str(partition).encode()),
            *trace,
        ]
        output = self._config.output_topic(event.kind, tp[0])
        return Outgoing(output, event.key, event.body, headers)
