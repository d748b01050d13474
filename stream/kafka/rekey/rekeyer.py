"""Re-keyer: copies the input topics to the repartition topic, by the stream key.

A batch of records, and the offsets of the group behind it, are one transaction. While it is
written, the next one is decoded. Without transactions the records come first, and the engine
discards those that come twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.codecs import Codec, RekeyedCodec
from stream.kafka.client.errors import KafkaError
from stream.kafka.client.partitioner import KeyPartitioner
from stream.kafka.context import Context
from stream.kafka.protocol.ports import FencedError, LogEntry, LookupCodec, Membership
from stream.kafka.runtime.dead_letters import DeadLetters
from stream.kafka.supervision.watchdog import STOOD_STILL, Progress
from stream.records import Decoded
from stream.rekeying import rekey_topic
from stream.types import TP

from .merge import TimeMerge
from .ports import RekeyedLog, Sources
from .positions import committed_offsets, find_positions
from .records import RekeyedRecords

log = logging.getLogger(__name__)

Taken = tuple[list[Any], NDArray[np.int64]]
"""Records of a partition, and the times by which they are ordered."""

MOST: Final = 8_192
"""Most messages in one transaction."""
SLICE: Final = 1_024
"""Messages decoded and encoded at once; the event loop turns in between."""
_MANY: Final = 1_024
_GATHER_SECONDS: Final = 0.05
"""Pause after a small transaction, in which records gather: each costs the brokers as much as
thousands of records do."""
_POLL_SECONDS: Final = 0.25
_MERGE_SECONDS: Final = 0.02
"""Time to wait for more records while some are at hand."""
_HELD_SECONDS: Final = 1.0
"""Longest time for which records wait for a partition that has more to read and hands out none."""
_JOIN_SECONDS: Final = 0.1
_CHECK_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 15.0
_REGISTRY_SECONDS: Final = 5.0
_HOLDER: Final = "rekey"


class _Batch(NamedTuple):
    """Records of a transaction.

    Attributes:
        records: Records by partition of the repartition topic.
        offsets: Offsets behind them, by source partition.
        membership: Member that their sources were assigned to.
        counted: Source partition, number of messages and samples of each slice.
        started: Time of the worker's clock at which they were taken.
    """

    records: Mapping[TP, Iterable[LogEntry]]
    offsets: Mapping[TP, int]
    membership: Membership
    counted: list[tuple[TP, int, Decoded]]
    started: float


class Rekeyer:
    """Copies records of the input topics until it is stopped.

    Args:
        context: Surroundings of the worker.
        codec: Codec of the input topics.
        encoder: Encoder of re-keyed records, for the same channels.
        sources: Member of the group that re-keys.
        log: Log of re-keyed records.
        partitions: Partitions of the repartition topic.
        dead_letters: Receiver of refused messages; None: they are only counted.
        transactional: Whether the log is fenced; else records may be written twice.
    """

    def __init__(
        self,
        context: Context,
        codec: Codec,
        encoder: RekeyedCodec,
        sources: Sources,
        log: RekeyedLog,
        *,
        partitions: int,
        dead_letters: DeadLetters | None = None,
        transactional: bool,
    ) -> None:
        self._context = context
        self._codecs = self._next_codecs = codec, encoder
        self._sources = sources
        self._log = log
        self._topic = rekey_topic(context.config.group)
        self._partition_of = KeyPartitioner(partitions)
        self._dead_letters = dead_letters
        self._transactional = transactional
        self._positions: dict[TP, int] = {}
        self._sequences: dict[TP, bytes] = {}
        self._merge = TimeMerge(2 * MOST)
        self._is_full = False  # more is ready than the last transaction could take
        self._held_since = 0.0
        self._waiting: dict[TP, int] = {}  # partitions that wait for a schema
        self._opened = False
        self._assignments = 0
        self._busy = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._progress = Progress(context.config.stuck_seconds)
        self._tasks: list[asyncio.Task[None]] = []

    def switch_codec(self, codec: Codec, encoder: RekeyedCodec) -> None:
        """Decode for the channels of another model from the next transaction on."""
        self._next_codecs = codec, encoder

    def start(self) -> None:
        """Begin to re-key, beside all else."""
        self._tasks = [
            asyncio.ensure_future(self._guarded(self._run)),
            asyncio.ensure_future(self._guarded(self._watch)),
        ]

    async def stop(self) -> None:
        """Finish the transaction in hand, and leave the group."""
        self._stopped.set()
        run, *helpers = self._tasks or [asyncio.ensure_future(asyncio.sleep(0))]
        for task in helpers:
            task.cancel()
        # Failures were told when they came.
        await asyncio.gather(run, *helpers, return_exceptions=True)

    async def _guarded(self, work: Any) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except FencedError as error:
            self._context.fail(f"Re-keying is fenced: {error}.")
        except Exception as error:  # noqa: BLE001  # nobody knows how much was written
            self._context.fail(f"Re-keying failed: {type(error).__name__}: {error}", error)

    async def _run(self) -> None:
        await self._sources.start(self._on_revoked, self._on_assigned)
        try:
            while not self._stopped.is_set():
                if self._opened or await self._open():
                    await self._turn()
            await self._finish()
        finally:
            await self._sources.stop()

    # -- the assignment

    async def _on_revoked(self) -> None:
        async with self._busy:  # the transaction in hand is committed as the member that began it
            if self._writing is not None:
                await asyncio.wait([self._writing])  # who awaits its outcome learns of a failure
            self._forget()

    def _on_assigned(self) -> None:
        self._forget()
        self._assignments += 1

    def _forget(self) -> None:
        self._opened = False
        self._positions, self._waiting = {}, {}
        self._merge.open(())

    async def _open(self) -> bool:
        """Find the positions of an assignment; False: there is none yet, or another one now."""
        await self._finish()
        assignments = self._assignments
        if not assignments:
            await asyncio.sleep(_JOIN_SECONDS)
            return False
        membership, tps = self._sources.membership(), sorted(self._sources.assigned())
        begin = await find_positions(self._context, self._sources, tps, stable=self._transactional)
        if not self._transactional:
            self._sequences = await self._name_sequences(tps)
        async with self._busy:
            if assignments != self._assignments:
                return False
            try:
                if begin.is_new:  # the first offsets hold for whoever gets the partitions next
                    await self._log.begin()
                    await self._log.commit(begin.positions, membership)
            except FencedError as error:
                await self._give_up(error)
                return False
            for tp, offset in begin.positions.items():
                self._sources.seek(tp, offset)
            self._positions, self._opened = dict(begin.positions), True
            self._merge.open(tps)
            self._held_since = self._context.clock()
        self._context.lifecycle.hold(_HOLDER, "")
        self._context.observer.rekey_assigned(tps)
        log.info("Re-keying %d input partitions to %s.", len(tps), self._topic)
        return True

    async def _name_sequences(self, tps: Sequence[TP]) -> dict[TP, bytes]:
        """Name source partitions by the topic's id: offsets of one made again begin anew."""
        topics = await self._context.admin.describe(sorted({topic for topic, _ in tps}))
        ids = {name: status.topic_id for name, status in topics.items()}
        return {
            (topic, number): f"{ids.get(topic) or topic}:{number}".encode() for topic, number in tps
        }

    async def _give_up(self, error: FencedError) -> None:
        """Abort, and begin again at the group's offsets: the group divides partitions anew."""
        log.warning("Re-keying begins again at the group's offsets: %s.", error)
        await self._log.abort()
        self._forget()
        await asyncio.sleep(_JOIN_SECONDS)

    # -- one transaction

    async def _turn(self) -> None:
        """Take the ready records, and write them once the transaction before is done."""
        if self._codecs is not self._next_codecs:
            await self._switch()
        assignments = self._assignments
        partitions = [tp for tp in self._merge.wanted() if tp not in self._waiting]
        seconds = _MERGE_SECONDS if len(self._merge) else _POLL_SECONDS
        fetch = await self._sources.fetch(partitions, MOST, 0.0 if self._is_full else seconds)
        async with self._busy:
            if assignments != self._assignments or not self._opened:
                self._forget()  # records of this fetch may be missing between position and rest
                return
            self._merge.add(await self._decodable(self._new(fetch)))
            ready = self._merge.take(self._lagging(), MOST)
            batch = await self._prepare(ready, self._sources.membership()) if ready else None
            messages = sum(count for _, count, _ in batch.counted) if batch else 0
            self._is_full = messages >= MOST
            await self._finish()
            if batch is None or not self._opened:
                return
            self._writing = asyncio.ensure_future(self._write(batch))
        if messages < _MANY and len(self._merge) < _MANY:
            await asyncio.sleep(_GATHER_SECONDS)

    async def _switch(self) -> None:
        """Use the other codecs, and read waiting records again: these do not know their schemas."""
        async with self._busy:
            await self._finish()
            self._codecs = self._next_codecs
            for tp, offset in self._positions.items():
                self._sources.seek(tp, offset)
            self._sources.resume(self._waiting)
            self._waiting = {}
            self._merge.open(self._positions)

    async def _finish(self) -> None:
        """Wait for the transaction that is written."""
        if self._writing is None:
            return
        try:
            await self._writing
        except FencedError as error:
            await self._give_up(error)
        finally:
            self._writing = None

    def _new(self, fetch: Mapping[TP, list[Any]]) -> dict[TP, list[Any]]:
        """Select records from the positions on, of partitions that do not wait."""
        return {
            tp: [record for record in records if record.offset >= self._positions[tp]]
            for tp, records in fetch.items()
            if tp in self._positions and tp not in self._waiting
        }

    def _lagging(self) -> list[TP]:
        """Return the partitions that others wait for, in bounded time."""
        lagging = [
            tp for tp in self._positions if tp not in self._waiting and self._sources.has_more(tp)
        ]
        now = self._context.clock()
        if not self._merge.empty().intersection(lagging):
            self._held_since = now
        elif now - self._held_since > _HELD_SECONDS:  # a broker may be away
            return [tp for tp in lagging if tp not in self._merge.empty()]
        return lagging

    async def _prepare(self, ready: Mapping[TP, Taken], membership: Membership) -> _Batch:
        """Make the records of a transaction.

        Args:
            ready: Messages by partition, with the times by which they are ordered.
            membership: Member that they were assigned to.
        """
        started = self._context.clock()
        records = RekeyedRecords(
            self._topic,
            self._partition_of,
            self._codecs[1],
            None if self._transactional else self._sequences,
            round(self._context.wall_clock() * 1000),
        )
        counted: list[tuple[TP, int, Decoded]] = []
        for tp, (batch, times) in ready.items():
            for begin in range(0, len(batch), SLICE):
                messages = batch[begin : begin + SLICE]
                decoded = self._decode(messages)
                records.add(tp, messages, times[begin : begin + SLICE], decoded)
                if self._dead_letters is not None and decoded.rejected:
                    self._dead_letters.add(tp, messages, decoded.rejected)
                counted.append((tp, len(messages), decoded))
                await asyncio.sleep(0)
        offsets = {tp: batch[-1].offset + 1 for tp, (batch, _) in ready.items()}
        return _Batch(records.in_order(), offsets, membership, counted, started)

    async def _write(self, batch: _Batch) -> None:
        """Write records, and commit the offsets behind them."""
        await self._log.begin()
        await self._log.write(batch.records)
        if self._dead_letters is not None:
            await self._dead_letters.settle()
        await self._log.commit(batch.offsets, batch.membership)
        self._positions |= batch.offsets
        for tp, count, decoded in batch.counted:
            self._context.observer.rekeyed(tp, count, decoded)
        self._context.observer.timed("rekey", self._context.clock() - batch.started)

    def _decode(self, messages: Sequence[Any]) -> Decoded:
        codec = self._codecs[0]
        if isinstance(codec, LookupCodec):  # schemas were looked up before: nothing may block here
            return codec.decode_known(messages)
        return codec.decode(messages)

    # -- schemas

    async def _decodable(self, fetch: dict[TP, list[Any]]) -> dict[TP, list[Any]]:
        """Select the records before a missing schema; the rest is read again later."""
        codec = self._codecs[0]
        if not isinstance(codec, LookupCodec):
            return fetch
        if missing := codec.lacks(chain.from_iterable(fetch.values())):
            await asyncio.to_thread(codec.look_up, missing)
        ready = {tp: records[: codec.ready(records)] for tp, records in fetch.items()}
        for tp, records in ready.items():
            if len(records) < len(fetch[tp]):
                self._waiting[tp] = fetch[tp][len(records)].offset
        if self._waiting:
            self._sources.pause(self._waiting)
        return ready

    async def _retry_schemas(self) -> None:
        codec = self._codecs[0]
        reason = await asyncio.to_thread(codec.retry) if isinstance(codec, LookupCodec) else ""
        async with self._busy:
            if not self._waiting:
                return
            if reason:
                self._hold(f"{len(self._waiting)} input partitions wait: {reason}")
                return
            for tp, offset in self._waiting.items():
                self._sources.seek(tp, offset)
            self._sources.resume(self._waiting)
            self._waiting = {}
            self._hold("")

    # -- beside it

    async def is_up_to_date(self) -> bool:
        """Return whether the group has re-keyed everything, on all workers; False if unknown.

        Behind records of transactions the end is never reached: their markers take offsets.
        """
        sources = self._sources
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                tps = await sources.partitions()
                committed = await committed_offsets(sources, tps, stable=self._transactional)
                bounds = await sources.log_bounds(tps)
        except (KafkaError, OSError, TimeoutError):
            return False
        return all(max(committed.get(tp, 0), begin) >= end for tp, (begin, end) in bounds.items())

    async def _watch(self) -> None:
        """Report lag and reasons to wait, and end a worker that re-keys no more."""
        checked = self._context.clock()
        while not self._stopped.is_set():
            await asyncio.sleep(min(_REGISTRY_SECONDS, _CHECK_SECONDS) / 5)
            if not self._opened:
                self._hold("re-keying has no partitions of the input topics yet")
                continue
            if self._waiting:
                await self._retry_schemas()
            else:
                self._hold("")
            if self._context.clock() - checked >= _CHECK_SECONDS:
                checked = self._context.clock()
                await self._check()

    def _hold(self, reason: str) -> None:
        self._context.lifecycle.hold(_HOLDER, reason)

    async def _check(self) -> None:
        positions = dict(self._positions)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                bounds = await self._sources.log_bounds(positions)
        except (KafkaError, OSError, TimeoutError):
            return  # without a broker nothing can move
        ends = {tp: end for tp, (_, end) in bounds.items()}
        busy = self._busy.locked() or self._writing is not None
        for tp, end in ends.items():
            # Markers of transactions take offsets, and are never handed out.
            if not busy and tp not in self._waiting and self._sources.fetch_position(tp) == end:
                positions[tp] = end
            self._context.observer.rekey_lag(tp, max(0, end - positions[tp]))
        moving = {tp: offset for tp, offset in positions.items() if tp not in self._waiting}
        if self._context.config.stuck_seconds and (
            stuck := self._progress.look(self._context.clock(), moving, ends)
        ):
            self._context.fail(f"Re-keying: {stuck}", code=STOOD_STILL)
