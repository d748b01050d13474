"""Clocks that are wrong: what a record may claim, and what a replay makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, SliceOffsets
from tests.stream.engine.conftest import (
    INTERVAL,
    SECOND,
    START,
    TP,
    Sent,
    decoded,
    interleaved,
    rows_of,
    sent,
    signal,
)

HOUR = 3_600 * SECOND
LIMITS = Limits(max_keys=64, future_us=HOUR, stale_intervals=5.0)
YEARS = 10 * 365 * 86_400 * SECOND
VALUES = (1.0, 2.0, 3.0)


def dated(message: Sent, kafka_us: int) -> Sent:
    return Sent(message.samples, timestamp_ms=kafka_us // 1000)


def clock_of(engine: Engine) -> int:
    return engine.meta(TP).clock_us


class Worker:
    """One life: the clock that each slice is taken at, and what has to be written before it."""

    def __init__(self, model: FleetModel, rows: dict[bytes, bytes] | None = None) -> None:
        self.engine = Engine(model, None, LIMITS)
        if rows:
            self.engine.load(TP, list(rows), list(rows.values()))
        else:
            self.engine.attach(TP)
        self.written: list[dict[bytes, bytes]] = []
        self.events: list[bytes] = []
        self.reasons: list[str] = []

    def take(self, feed: list[Sent], now_us: int, first: int) -> None:
        batch = decoded(feed, 3)
        offsets = SliceOffsets(
            np.arange(first, first + len(feed)),
            np.array([message.timestamp_ms for message in feed], dtype=np.int64),
        )
        if self.engine.bound_clocks([(TP, len(feed))], batch, offsets, now_us):
            self.written.append(self.checkpoint())
        result = self.engine.step(TP, batch, offsets)
        self.events += [event.body for event in result.events]
        self.reasons += [rejected.reason for rejected in result.rejected]

    def checkpoint(self) -> dict[bytes, bytes]:
        dirty = self.engine.take_dirty(TP)
        rows = {key: row for key, row in zip(dirty.keys, dirty.rows, strict=True) if row}
        assert META_KEY in rows
        return rows


def test_one_record_of_the_far_future_is_refused_whatever_kafka_says(model: FleetModel) -> None:
    """It moves neither its key nor its partition."""
    now = START + 200 * INTERVAL * SECOND
    feed = [dated(m, m.samples[0][1]) for m in rows_of(b"a", signal(150, 3, 0))]
    wrong = dated(sent(b"a", now + YEARS, VALUES), now + YEARS)
    clean, met = Worker(model), Worker(model)
    clean.take(feed[:-1], now, 0)
    clean.take(feed[-1:], now, 150)
    met.take([*feed[:-1], wrong], now, 0)
    met.take(feed[-1:], now, 150)
    assert met.reasons == ["future"]
    assert clock_of(met.engine) == clock_of(clean.engine) == feed[-1].samples[0][1]
    assert met.engine.row(TP, b"a") == clean.engine.row(TP, b"a")
    assert met.engine.meta(TP).counts["scored"] == 150
    assert met.events == clean.events
    assert len(met.written) == 1
    assert not clean.written


def test_keys_that_die_later_are_told(model: FleetModel) -> None:
    now = START + 500 * INTERVAL * SECOND
    keys = interleaved(rows_of(b"a", signal(150, 3, 0)), rows_of(b"b", signal(60, 3, 1)))
    feed = [dated(m, m.samples[0][1]) for m in keys]
    feed.insert(50, dated(sent(b"c", now + YEARS, VALUES), now + YEARS))
    worker = Worker(model)
    worker.take(feed, now, 0)
    assert any(b"stale" in body for body in worker.events)


def test_a_key_ahead_within_the_bound_does_not_move_its_partition(model: FleetModel) -> None:
    """The partition's clock stays with the worker's, a minute apart at most."""
    now = START
    ahead = dated(sent(b"a", now + HOUR // 2, VALUES), now + HOUR // 2)
    worker = Worker(model)
    worker.take([ahead, dated(sent(b"b", now, VALUES), now)], now, 0)
    assert not worker.reasons
    assert clock_of(worker.engine) <= now + 61 * SECOND


@pytest.mark.parametrize("stamp", [-1, 0])
def test_no_kafka_time_falls_back_to_the_workers_clock(model: FleetModel, stamp: int) -> None:
    feed = [
        Sent(m.samples, timestamp_ms=stamp)
        for m in [
            *rows_of(b"a", signal(20, 3, 0)),
            sent(b"b", START + HOUR // 2, VALUES),
            sent(b"c", START + 2 * HOUR, VALUES),
        ]
    ]
    now = START + 20 * INTERVAL * SECOND
    worker = Worker(model)
    worker.take(feed, now, 0)
    assert worker.reasons == ["future"]
    assert sum(worker.engine.meta(TP).counts.values()) == 22
    assert now <= clock_of(worker.engine) <= now + 61 * SECOND


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_replay_on_another_worker_at_another_time_decides_the_same(
    model: FleetModel, size: int
) -> None:
    """From what was written before the first doubtful record: the same bytes, refusals, rows."""
    now = START + 40 * INTERVAL * SECOND
    rows = [dated(m, m.samples[0][1]) for m in rows_of(b"a", signal(140, 3, 0))]
    wrong = [
        dated(sent(b"a", now + 3 * HOUR, VALUES), now + 3 * HOUR),
        Sent(sent(b"b", now + 2 * HOUR, VALUES).samples, timestamp_ms=-1),
        Sent(sent(b"c", now + HOUR // 2, VALUES).samples, timestamp_ms=-1),
    ]
    before, after = rows[:40], [*wrong, *rows[40:90]]
    first = Worker(model)
    first.take(before, now, 0)
    first.take(after, now, len(before))
    assert first.reasons == ["future", "future"]
    later = Worker(model, first.written[0])  # killed right after; its events went out
    begin = len(before)
    for cut in range(0, len(after), size):
        piece = after[cut : cut + size]
        later.take(piece, now + 20, begin)
        begin += len(piece)
    assert later.reasons == first.reasons
    assert later.engine.row(TP, b"a") == first.engine.row(TP, b"a")
    assert later.engine.row(TP, b"c") == first.engine.row(TP, b"c")
    assert later.engine.meta(TP) == first.engine.meta(TP)


def test_a_backlog_needs_no_bound_and_a_lasting_one_few_checkpoints(model: FleetModel) -> None:
    """Ordinary records write nothing ahead; a clock that stays wrong, once in half a minute."""
    values = signal(600, 3, 0)
    feed = [dated(m, m.samples[0][1]) for m in rows_of(b"a", values)]
    backlog = Worker(model)
    backlog.take(feed, START + 10**14, 0)
    assert not backlog.written
    worker, offset = Worker(model), 0
    for i in range(600):  # one a second
        now = START + i * SECOND
        wrong = dated(sent(b"b", now + YEARS, VALUES), now + YEARS)
        worker.take([dated(sent(b"a", now, values[i]), now), wrong], now, offset)
        offset += 2
    assert 2 <= len(worker.written) <= 21
    assert worker.engine.meta(TP).counts["future"] == 600
    assert clock_of(worker.engine) == START + 599 * SECOND
