"""Re-keyed records that lie in their topic twice are absorbed once, whoever wrote them when."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, MetaRow, Outcome, SliceOffsets
from stream.records import Decoded, Rejected, SourcePosition
from tests.stream.engine.conftest import START, TP, Sent, cuts_of, decoded, signal

SOURCES, PARTITIONS = 3, 2


def step(engine: Engine, feed: list[tuple[Sent, SourcePosition]], begin: int, end: int) -> None:
    part = feed[begin:end]
    batch = decoded([message for message, _ in part], len(engine.channels))
    batch.positions = dict(enumerate(position for _, position in part))
    stamps = np.full(len(part), START // 1000 + 10**9)
    engine.step(TP, batch, SliceOffsets(np.arange(begin, end), stamps))


def absorbed(
    model: FleetModel, feed: list[tuple[Sent, SourcePosition]], size: int = 1000
) -> Engine:
    engine = Engine(model)
    engine.attach(TP)
    begin = 0
    for end in cuts_of(size, len(feed)):
        step(engine, feed, begin, end)
        begin = end
    return engine


def feed_of(rows: int) -> list[tuple[Sent, SourcePosition]]:
    values = signal(rows, 3, 0)
    return [
        (
            Sent(((b"a", START + i * 10_000_000, tuple(row)),)),
            SourcePosition(f"in:{i % SOURCES}", i // SOURCES, 0),
        )
        for i, row in enumerate(values.tolist())
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_comes_again_changes_nothing(model: FleetModel, size: int) -> None:
    feed = feed_of(60)
    twice = feed[:30] + feed[9:30] + feed[9:]  # two restarts at one committed position
    once, engine = absorbed(model, feed), absorbed(model, twice, size)
    meta, expected = engine.meta(TP), once.meta(TP)
    assert meta.counts == {**expected.counts, Outcome.DUPLICATE: len(twice) - len(feed)}
    assert meta.sequences == expected.sequences
    assert sum(meta.counts.values()) == meta.absorbed + 1
    kept, other = (
        e._store.layout.views(np.frombuffer(e.row(TP, b"a") or b"", np.uint8)[None])
        for e in (once, engine)
    )
    for name in kept:
        if name != "offset":
            assert kept[name].tobytes() == other[name].tobytes(), name


def test_a_duplicate_that_is_refused_counts_once() -> None:
    """Refusals of the engine's codec are records of the source like any other."""
    meta = MetaRow()
    assert not meta.note_source(SourcePosition("in:0", 5, 0))
    assert not meta.note_source(SourcePosition("in:0", 5, 1))
    assert meta.note_source(SourcePosition("in:0", 5, 0))
    assert not meta.note_source(SourcePosition("other:0", 1, 0))


def test_a_refused_duplicate_is_no_dead_letter(model: FleetModel) -> None:
    engine = Engine(model)
    engine.attach(TP)
    position = SourcePosition("in:0", 0, 0)
    none = Decoded(
        [],
        np.zeros(0, np.int64),
        np.zeros((0, 3)),
        np.zeros(0, np.int32),
        [Rejected(i, "not_json", "") for i in range(2)],  # type: ignore[arg-type]
        positions={0: position, 1: position},
    )
    result = engine.step(TP, none, SliceOffsets(np.arange(2), np.zeros(2, np.int64)))
    assert [r.message for r in result.rejected] == [0]
    assert engine.meta(TP).counts == {"not_json": 1, "duplicate": 1}


def test_without_re_keying_the_meta_row_is_as_ever() -> None:
    row = MetaRow(absorbed=3).encode()
    assert b"sequences" not in row
    assert b"events_from_ms" not in row


def test_history_ends_at_a_time_where_it_comes_by_re_keying(model: FleetModel) -> None:
    """It is kept in the meta row: a replay, and the next worker, end it there as well."""
    engine = Engine(model)
    engine.attach(TP)
    assert engine.open(TP, 0, -1, 5_000)
    meta = MetaRow.decode(engine.meta(TP).encode())
    assert (meta.events_from_ms, meta.first_offset, meta.absorbed) == (5_000, 0, -1)
    gives = meta.gives_events(np.arange(3), np.array([4_999, 5_000, -1]))
    assert gives.tolist() == [False, True, False]
    assert not engine.open(TP, 0, -1, 6_000)
    assert engine.meta(TP).events_from_ms == 5_000


class Writer:
    """A re-keyer without transactions; it may be a zombie and not know it.

    Args:
        committed: Offsets of the group.
        topic: Partitions of the repartition topic, written to at the end.
        source: Source partition that it copies.
    """

    def __init__(
        self, committed: dict[int, int], topic: dict[int, list[SourcePosition]], source: int
    ) -> None:
        self.committed, self.topic, self.source = committed, topic, source
        self.position = committed[source]
        self.unsent: dict[int, list[SourcePosition]] = {p: [] for p in range(PARTITIONS)}

    def read(self, records: int, end: int) -> None:
        """Take the next messages; those of one partition wait to be sent in their order."""
        for offset in range(self.position, min(self.position + records, end)):
            for number in range(1 + offset % 2):
                partition = (offset + number) % PARTITIONS
                position = SourcePosition(f"in:{self.source}", offset, number)
                self.unsent[partition].append(position)
            self.position = offset + 1

    def send(self, partition: int, records: int) -> None:
        """The broker appends some of what waits, without gaps: the producer is idempotent."""
        self.topic[partition] += self.unsent[partition][:records]
        del self.unsent[partition][:records]

    def commit(self, fenced: bool) -> None:
        """All is acknowledged first; the group refuses who is not a member any more."""
        if not any(self.unsent.values()) and not fenced:
            self.committed[self.source] = self.position


@pytest.mark.parametrize("seed", range(50))
def test_whatever_dead_and_living_writers_do_each_record_counts_once(seed: int) -> None:
    """Kills, zombies that write on, restarts: nothing is lost, nothing doubled, order is kept."""
    rng = random.Random(seed)
    committed = dict.fromkeys(range(SOURCES), 0)
    topic: dict[int, list[SourcePosition]] = {p: [] for p in range(PARTITIONS)}
    end = 30
    owners = {source: Writer(committed, topic, source) for source in range(SOURCES)}
    zombies: list[Writer] = []
    while any(offset < end for offset in committed.values()):
        source = rng.randrange(SOURCES)
        owner = owners[source]
        luck = rng.random()
        if luck < 0.08:
            if rng.random() < 0.5:
                zombies.append(owner)
            owners[source] = Writer(committed, topic, source)
        elif luck < 0.4:
            owner.read(rng.randint(1, 6), end)
        elif luck < 0.8:
            writer = rng.choice(zombies) if zombies and luck < 0.55 else owner
            writer.send(rng.randrange(PARTITIONS), rng.randint(1, 5))
        else:
            owner.commit(fenced=False)
            for zombie in zombies:
                zombie.commit(fenced=True)
    for zombie in zombies:  # the last words of the dead
        for partition in range(PARTITIONS):
            zombie.send(partition, 100)
    kept: list[SourcePosition] = []
    for positions in topic.values():
        meta = MetaRow()
        once = [position for position in positions if not meta.note_source(position)]
        for name in {position.sequence for position in once}:
            of_source = [position for position in once if position.sequence == name]
            assert of_source == sorted(of_source)
        kept += once
    expected = [
        SourcePosition(f"in:{source}", offset, number)
        for source in range(SOURCES)
        for offset in range(end)
        for number in range(1 + offset % 2)
    ]
    assert sorted(kept) == sorted(expected)
