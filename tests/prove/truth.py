"""What a log must come to: every record once, in order, through codec and engine, undisturbed."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.kafka_client import Record
from ember_core.pipeline import FleetModel
from stream.codecs import Codec, RekeyedCodec, make_codec
from stream.configure import make_engine
from stream.control import NO_CONTROL, ControlSet
from stream.engine import META_KEY, SliceOffsets
from stream.rekeying import source_of
from stream.settings import Settings

from .frame import Refuted
from .rules import Changes


class _Message(NamedTuple):
    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: list[tuple[str, bytes]]


LEAST_EVENTS = 20
"""Fewer events than these show nothing."""

Event = tuple[str, bytes]
"""Id and body."""


class Truth(NamedTuple):
    """What an undisturbed run gives."""

    events: dict[tuple[str, bytes], list[Event]]
    """By kind and key, in the order of its records."""
    rows: dict[tuple[int, bytes], bytes]
    metas: dict[int, Any]


def of(
    log: Sequence[Record],
    topic: str,
    settings: Settings,
    model: FleetModel,
    changes: Changes | None = None,
) -> Truth:
    """Backtest a log.

    Args:
        log: All records of an input topic.
        topic: Its name.
        settings: Those of the service.
        model: As the service has it.
        changes: Documents of operators by their first offset, of each partition.
    """
    engine = make_engine(settings, model)
    codec: Codec = make_codec(settings.input.codec, model.sources, **settings.input.codec_options())
    if settings.input.rekey:
        codec = RekeyedCodec(model.sources)
    events: dict[tuple[str, bytes], list[Event]] = defaultdict(list)
    rows, metas = {}, {}
    by_partition: dict[int, list[Record]] = defaultdict(list)
    for record in log:
        by_partition[record.partition].append(record)
    for partition, records in by_partition.items():
        tp = topic, partition
        engine.attach(tp)
        engine.use_control(NO_CONTROL)
        for part, control in _parts(records, (changes or {}).get(partition, [])):
            if control is not None:
                engine.use_control(control)
            messages = [_Message(r.key, r.value, r.timestamp_ms, r.offset, r.headers) for r in part]
            slice_offsets = SliceOffsets(
                np.array([m.offset for m in messages]), np.array([m.timestamp for m in messages])
            )
            for event in engine.step(tp, codec.decode(messages), slice_offsets).events:
                events[event.kind, event.key].append((event.id, event.body))
        dirty = engine.take_dirty(tp)
        for key, row in zip(dirty.keys, dirty.rows, strict=True):
            if key == META_KEY:
                metas[partition] = msgspec.json.decode(row or b"{}")
            elif row is not None:
                rows[partition, key] = row
        engine.detach(tp)
    return Truth(dict(events), rows, metas)


def _parts(
    records: Sequence[Record], changes: Sequence[tuple[int, ControlSet]]
) -> Iterator[tuple[Sequence[Record], ControlSet | None]]:
    """Cut records into steps, each with the documents that begin with it."""
    begins = {bisect_left(records, offset, key=lambda r: r.offset): c for offset, c in changes}
    cuts = sorted({*range(0, len(records), 4096), *(b for b in begins if b < len(records))})
    for begin, end in zip(cuts, [*cuts[1:], len(records)], strict=True):
        yield records[begin:end], begins.get(begin)


def rekeyed(
    sent: Sequence[Record],
    log: Sequence[Record],
    topic: str,
    settings: Settings,
    model: FleetModel,
) -> dict[str, int]:
    """Hold a re-keyed log against what was sent: nothing is missing, nothing is there twice.

    Args:
        sent: All records of the input topic.
        log: All records of the topic of re-keyed ones, read committed.
        topic: Name of the input topic.
        settings: Those of the service.
        model: As the service has it.

    Raises:
        Refuted: At the first difference.
    """
    codec = make_codec(settings.input.codec, model.sources, **settings.input.codec_options())
    messages = [_Message(r.key, r.value, r.timestamp_ms, r.offset, r.headers) for r in sent]
    decoded = codec.decode(messages)
    expected = [
        (topic, sent[index].partition, sent[index].offset, 0) for index in decoded.message.tolist()
    ]
    found = [tuple(source_of(record.headers) or ()) for record in log]
    if len(set(found)) != len(found):
        raise Refuted(f"{len(found) - len(set(found))} records were re-keyed twice.")
    if set(found) != set(expected):
        raise Refuted(
            f"{len(set(expected) - set(found))} of {len(expected)} records were not re-keyed, "
            f"{len(set(found) - set(expected))} are of none that was sent."
        )
    places: dict[bytes | None, set[int]] = defaultdict(set)
    for record in log:
        places[record.key].add(record.partition)
    if scattered := [key for key, partitions in places.items() if len(partitions) > 1]:
        raise Refuted(f"{len(scattered)} keys are in several partitions.")
    return {"rekeyed_records": len(found), "refused_records": len(decoded.rejected)}


def compare(
    truth: Truth,
    published: Mapping[str, Sequence[Record]],
    changelog: Mapping[tuple[int, bytes], bytes],
    *,
    exactly_once: bool,
) -> dict[str, int]:
    """Hold what a service published and remembers against the truth.

    Args:
        truth: The undisturbed run.
        published: All records of the output topics by kind, read committed.
        changelog: Rows by partition and key.
        exactly_once: Events must be the same list, not only the same set.

    Returns:
        Counts of events, repeated ones, and rows.

    Raises:
        Refuted: At the first difference.
    """
    seen: dict[tuple[str, bytes], list[Event]] = defaultdict(list)
    for kind, records in published.items():
        for record in records:
            name = dict(record.headers)["ce_id"].decode()
            seen[kind, record.key or b""].append((name, record.value or b""))
    expected = {event for events in truth.events.values() for event in events}
    found = {event for events in seen.values() for event in events}
    if found != expected:
        raise Refuted(
            f"Events differ: {len(expected - found)} of {len(expected)} are missing, "
            f"{len(found - expected)} are not of the backtest, for example "
            f"{sorted(expected - found)[:2]} and {sorted(found - expected)[:2]}."
        )
    events = sum(map(len, truth.events.values()))
    if events < LEAST_EVENTS:
        raise Refuted(f"Only {events} events: too few to show anything. Give it more rows.")
    repeated = sum(map(len, seen.values())) - events
    if exactly_once and repeated:
        raise Refuted(f"{repeated} events were published twice where it should be exactly once.")
    if exactly_once and seen != truth.events:
        raise Refuted("The events of a key are not in the order of its records.")
    rows = {at: row for at, row in changelog.items() if at[1] != META_KEY}
    if rows.keys() != truth.rows.keys():
        raise Refuted(f"{len(rows)} rows of state instead of {len(truth.rows)}.")
    if wrong := [at for at, row in truth.rows.items() if rows[at] != row]:
        raise Refuted(f"{len(wrong)} of {len(rows)} rows of state differ, the first of {wrong[0]}.")
    metas = {p: msgspec.json.decode(v) for (p, key), v in changelog.items() if key == META_KEY}
    for partition, meta in truth.metas.items():
        for name in ("absorbed", "first_offset", "counts"):
            if metas[partition][name] != meta[name]:
                raise Refuted(
                    f"Partition {partition} has {name} {metas[partition][name]} "
                    f"instead of {meta[name]}."
                )
    return {"events": events, "repeated_events": repeated, "rows": len(rows)}
