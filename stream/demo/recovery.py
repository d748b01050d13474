"""Proof of a recovery: the state in the changelog, and that of a replay that was never killed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import Message

from stream.codecs import make_codec
from stream.configure import load_model, make_engine
from stream.control import NO_CONTROL, ControlSet
from stream.engine import META_KEY, MetaRow, SliceOffsets
from stream.kafka.config import WorkerConfig
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.source import read_catalogue
from stream.settings import Settings
from stream.tools import clients, reading
from stream.tools.log_record import LogRecord, as_log_record
from stream.tools.state import PartitionState, StateLog
from stream.types import TP

_SLICE: Final = 2_048


class Recovered(NamedTuple):
    """State of all keys, and what it should be.

    Attributes:
        keys: Number of keys.
        records: Number of records that the state has absorbed.
        replayed: Number of records that were replayed.
        digest: Digest of the rows in the changelog.
        expected: Digest of the rows of a replay; None where the topic has lost records that it
            needs.
    """

    keys: int
    records: int
    replayed: int
    digest: str
    expected: str | None


def read_state(settings: Settings) -> list[PartitionState]:
    """Return the committed state of the input topic, from which a later replay can go on.

    Args:
        settings: Settings of the worker.
    """
    (topic,) = settings.input.topics
    return StateLog(settings).read(topic)


def compare_state(settings: Settings, baseline: Sequence[PartitionState] = ()) -> Recovered:
    """Compare the committed state with a replay of the topic in this process.

    A partition that still has its first record is replayed as a whole, another one from the
    baseline on.

    Args:
        settings: Settings of the worker, which has processed all records.
        baseline: State of each partition before the worker was killed; empty: none.
    """
    states = read_state(settings)
    rows = {(state.partition, key): row for state in states for key, row in state.rows.items()}
    spans = _spans(settings, len(states))
    starts = [_start(spans[n][0], baseline[n] if baseline else None) for n in range(len(states))]
    absorbed = sum(state.meta.absorbed + 1 for state in states if state.meta is not None)
    digest = _digest(rows)
    if any(start is None for start in starts):
        return Recovered(len(rows), absorbed, 0, digest, None)
    log = _records(settings, {n: (start or 0, spans[n][1]) for n, start in enumerate(starts)})
    replayed: dict[tuple[int, bytes], bytes] = {}
    replay = _Replay(settings)
    for state, records in zip(states, log.values(), strict=True):
        before = baseline[state.partition] if starts[state.partition] else None
        new_rows = replay.rows(records, state, before)
        replayed |= {(state.partition, key): row for key, row in new_rows.items()}
    return Recovered(len(rows), absorbed, sum(map(len, log.values())), digest, _digest(replayed))


def _start(first: int, before: PartitionState | None) -> int | None:
    """Return the offset a replay begins at; None where the records it needs are gone."""
    if first == 0:
        return 0
    if before is None or before.meta is None or before.meta.absorbed + 1 < first:
        return None
    return before.meta.absorbed + 1


def _digest(rows: Mapping[tuple[int, bytes], bytes]) -> str:
    digest = hashlib.sha256()
    for (partition, key), row in sorted(rows.items()):
        for part in (b"%d" % partition, key, row):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()


def _spans(settings: Settings, partitions: int) -> list[tuple[int, int]]:
    """Return the first and the end offset of each partition."""
    (topic,) = settings.input.topics
    consumer = clients.open_consumer(settings.kafka)
    try:
        return reading.watermarks(consumer, topic, partitions)
    finally:
        consumer.close()


def _records(
    settings: Settings, spans: Mapping[int, tuple[int, int]]
) -> dict[int, list[LogRecord]]:
    """Return the records of each partition between two offsets, in order."""
    (topic,) = settings.input.topics
    consumer = clients.open_consumer(settings.kafka)
    messages: dict[int, list[Message]] = {number: [] for number in spans}
    try:
        ranges = {(topic, number): span for number, span in spans.items()}
        for message in reading.read_range(consumer, ranges):
            messages[message.partition() or 0].append(message)
    finally:
        consumer.close()
    return {n: [as_log_record(m) for m in part] for n, part in messages.items()}


class _Replay:
    """Engines that read records without a break, by the documents that were in force.

    Args:
        settings: Settings of the worker.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._model = settings, load_model(settings)
        self._codec = make_codec(
            settings.input.codec, self._model.sources, **settings.input.codec_options()
        )
        self._catalogue: ControlCatalogue | None = None
        if settings.control_topic:
            config = WorkerConfig.from_settings(settings)
            self._catalogue = asyncio.run(read_catalogue(config))

    def rows(
        self, records: list[LogRecord], state: PartitionState, before: PartitionState | None
    ) -> dict[bytes, bytes]:
        """Return the rows of a partition after some records.

        Args:
            records: Records in order.
            state: State that a worker made of them; it has noted which documents were in force.
            before: State before the first record; None: none.
        """
        tp: TP = (self._settings.input.topics[0], state.partition)
        engine = make_engine(self._settings, self._model)
        engine.attach(tp)
        controls = {offset: self._control(digest) for offset, digest in _epochs(state.meta)}
        rows = {} if before is None else dict(before.rows)
        if before is not None and before.meta is not None:
            engine.load(tp, [META_KEY, *rows], [before.meta.encode(), *rows.values()])
            for offset, _ in _epochs(before.meta):
                engine.use_control(controls.pop(offset, NO_CONTROL))
        for part in _slices(records, set(controls)):
            first = part[0].offset
            if first in controls:
                engine.schedule_control(tp, first, controls[first])
                engine.use_control(controls[first])
            offsets = SliceOffsets(
                np.array([record.offset for record in part]),
                np.array([record.timestamp for record in part]),
            )
            engine.step(tp, self._codec.decode(part), offsets)
        dirty = engine.take_dirty(tp)
        for key, row in zip(dirty.keys, dirty.rows, strict=True):
            if row is None:
                rows.pop(key, None)
            elif key != META_KEY:
                rows[key] = bytes(row)
        return rows

    def _control(self, digest: str) -> ControlSet:
        control = None if self._catalogue is None else self._catalogue.find(digest)
        return NO_CONTROL if control is None else control


def _epochs(meta: MetaRow | None) -> list[tuple[int, str]]:
    """Return the documents that were in force, by their first offset."""
    if meta is None:
        return []
    return [(epoch.offset, epoch.digest) for epoch in meta.control_epochs]


def _slices(records: list[LogRecord], cuts: set[int]) -> list[list[LogRecord]]:
    """Return records in slices that begin where the documents change."""
    slices: list[list[LogRecord]] = []
    for record in records:
        if not slices or len(slices[-1]) == _SLICE or record.offset in cuts:
            slices.append([])
        slices[-1].append(record)
    return slices
