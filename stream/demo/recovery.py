"""Proof of a recovery: the state in the changelog, and that of a replay that was never killed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import Message

from stream.codecs import make_codec
from stream.configure import load_model, make_engine
from stream.control import NO_CONTROL, ControlSet
from stream.engine import META_KEY, MetaRow, SliceOffsets
from stream.kafka.config import WorkerConfig
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
        records: Number of records of the topic.
        digest: Digest of the rows in the changelog.
        expected: Digest of the rows of a replay; None where the topic has lost its first records.
    """

    keys: int
    records: int
    digest: str
    expected: str | None


def compare_state(settings: Settings) -> Recovered:
    """Compare the committed state with a replay of the whole topic in this process.

    Args:
        settings: Settings of the worker, which has processed all records.
    """
    (topic,) = settings.input.topics
    states = StateLog(settings).read(topic)
    rows = {(state.partition, key): row for state in states for key, row in state.rows.items()}
    log = _records(settings, topic, len(states))
    records = sum(len(part) for part in log.values())
    is_whole = all(not part or part[0].offset == 0 for part in log.values())
    expected = None
    if is_whole:
        expected = _digest(_replayed(settings, log, {s.partition: s for s in states}))
    return Recovered(len(rows), records, _digest(rows), expected)


def _digest(rows: Mapping[tuple[int, bytes], bytes]) -> str:
    digest = hashlib.sha256()
    for (partition, key), row in sorted(rows.items()):
        for part in (b"%d" % partition, key, row):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()


def _records(settings: Settings, topic: str, partitions: int) -> dict[int, list[LogRecord]]:
    """Return the records of each partition in order."""
    consumer = clients.open_consumer(settings.kafka)
    messages: dict[int, list[Message]] = {number: [] for number in range(partitions)}
    try:
        ranges = reading.offset_ranges(consumer, {topic: partitions})
        for message in reading.read_range(consumer, ranges):
            messages[message.partition() or 0].append(message)
    finally:
        consumer.close()
    return {n: [as_log_record(m) for m in part] for n, part in messages.items()}


def _replayed(
    settings: Settings, log: Mapping[int, list[LogRecord]], states: Mapping[int, PartitionState]
) -> dict[tuple[int, bytes], bytes]:
    """Return the rows of an engine that has read the records without a break."""
    model = load_model(settings)
    codec = make_codec(settings.input.codec, model.sources, **settings.input.codec_options())
    catalogue = None
    if settings.control_topic:
        catalogue = asyncio.run(read_catalogue(WorkerConfig.from_settings(settings)))
    rows: dict[tuple[int, bytes], bytes] = {}
    for partition, records in log.items():
        tp: TP = (settings.input.topics[0], partition)
        engine = make_engine(settings, model)
        engine.attach(tp)
        controls: dict[int, ControlSet] = {}
        meta = states[partition].meta
        for epoch in _epochs(meta):
            control = catalogue.find(epoch[1]) if catalogue is not None else None
            controls[epoch[0]] = NO_CONTROL if control is None else control
        for part in _slices(records, set(controls)):
            first = part[0].offset
            if first in controls:
                engine.schedule_control(tp, first, controls[first])
                engine.use_control(controls[first])
            offsets = SliceOffsets(
                np.array([record.offset for record in part]),
                np.array([record.timestamp for record in part]),
            )
            engine.step(tp, codec.decode(part), offsets)
        dirty = engine.take_dirty(tp)
        for key, row in zip(dirty.keys, dirty.rows, strict=True):
            if row is not None and key != META_KEY:
                rows[partition, key] = bytes(row)
    return rows


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
