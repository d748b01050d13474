"""Silence of whole partitions by the worker's clock: told late, once, and never by mistake."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, MetaRow
from stream.engine.quiet import MARGIN_US
from stream.kafka.protocol.positions import Positions
from stream.kafka.runtime.quiet_partitions import QuietPartitions
from stream.records import Event
from tests.stream.engine.conftest import INTERVAL, TP, Run, feed_into, rows_of, signal
from tests.stream.engine.conftest import bundle as bundle
from tests.stream.engine.conftest import model as model
from tests.stream.kafka.fakes import FakeClock, make_context

ROWS = 130
STALE = 5.0 * INTERVAL
MARGIN = MARGIN_US / 1e6
CHECK = 10.0
KEY = b"a"


class Rig:
    """A worker with one partition, whose log ends where it has absorbed everything."""

    def __init__(self, model: FleetModel, **config: Any) -> None:
        self.model, self.clock = model, FakeClock()
        limits = Limits(max_keys=8, stale_intervals=5.0)
        self.run = feed_into(
            Run(Engine(model, None, limits)), rows_of(KEY, signal(ROWS, 3, 0)), first_offset=0
        )
        self.positions = Positions()
        self.positions.start(TP, ROWS, ROWS)
        self.log: list[tuple[bytes, bytes | None]] = []
        self.sent: list[Event] = []
        self.reasons: list[str] = []
        self.context = make_context(clock=self.clock, **config)
        self.context.lifecycle.join("now")
        self.context.lifecycle.recover("now")
        self.context.lifecycle.run(1)
        self.quiet = QuietPartitions(
            self.context,
            self.run.engine,
            self.positions,
            asyncio.Lock(),
            self.checkpoint,
            lambda _tp, events, _scores: self.sent.extend(events),
        )

    async def checkpoint(self, reason: str) -> None:
        """Write what is dirty; the meta row says how far silence is told, before it is."""
        assert self.positions.moved(TP)
        dirty = self.run.engine.take_dirty(TP)
        self.log += zip(dirty.keys, dirty.rows, strict=True)
        self.reasons.append(reason)

    def written(self) -> MetaRow:
        """The meta row of the last checkpoint."""
        return MetaRow.decode(self.log[-1][1] or b"")

    async def wait(self, seconds: float, *, at_end: bool = True) -> None:
        """Let time pass, with a check of the cluster every ten seconds."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(self.clock.now + CHECK, until)
            self.quiet.note({TP} if at_end else set())
            if self.quiet._due.is_set():
                self.quiet._due.clear()
                await self.quiet.emit()

    def absorb(self, row: int) -> None:
        """One more record."""
        position = self.positions.position(TP)
        sends = rows_of(KEY, signal(row + 1, 3, 0))[-1:]
        self.run.events.clear()
        feed_into(self.run, sends, first_offset=position)
        self.positions.advance(TP, position + 1)


@pytest.fixture
def rig(model: FleetModel) -> Rig:
    return Rig(model)


async def test_it_is_told_once_when_the_partition_was_silent_for_long(rig: Rig) -> None:
    await rig.wait(MARGIN + STALE)  # the first check begins the count
    assert rig.sent == []
    await rig.wait(3 * CHECK)
    (event,) = rig.sent
    assert b"EmberKeyStale" in event.body
    assert rig.reasons == ["silence"]
    assert rig.written().silent_until_us is not msgspec.UNSET
    assert rig.positions.moved(TP)  # the next checkpoint writes the row
    await rig.wait(3_600)
    assert len(rig.sent) == 1
    rig.absorb(ROWS + 400)
    (back,) = [e for e in rig.run.events if b"EmberKeyStale" in e.body]
    assert b'"resolved"' in back.body


async def test_a_worker_killed_after_the_checkpoint_leaves_it_to_the_next(
    rig: Rig, model: FleetModel
) -> None:
    await rig.wait(MARGIN + STALE + 3 * CHECK)
    second = Rig(model)
    engine = Engine(model, None, Limits(max_keys=8, stale_intervals=5.0))
    keys, rows = zip(*rig.log, strict=True)
    engine.load(TP, list(keys), list(rows))
    second.quiet._engine = engine
    second.quiet.emit_scheduled(TP)
    assert second.sent == rig.sent != []
    second.quiet.emit_scheduled(TP)
    assert len(second.sent) == 1


@pytest.mark.parametrize("away", ["lag", "no answer", "paused", "off"])
async def test_a_worker_that_does_not_know_the_end_of_the_log_tells_nothing(
    rig: Rig, model: FleetModel, away: str
) -> None:
    if away == "off":
        rig = Rig(model, tell_silence=False)
    await rig.wait(CHECK)
    if away == "paused":
        rig.positions.pause([TP])
    if away == "no answer":
        rig.clock.now += 3_600
        await rig.wait(CHECK)
    else:
        await rig.wait(3_600, at_end=away == "off")
    assert rig.sent == []
    if away == "paused":
        rig.positions.resume([TP])
    if away in ("no answer", "paused"):  # it is counted anew
        await rig.wait(MARGIN + STALE - CHECK)
        assert rig.sent == []
        await rig.wait(4 * CHECK)
        assert len(rig.sent) == 1


async def test_records_begin_the_count_anew(rig: Rig) -> None:
    for row in range(ROWS, ROWS + 5):
        await rig.wait(MARGIN + STALE - CHECK)
        rig.absorb(row)
    assert rig.sent == []


async def test_a_record_that_comes_before_the_lock_is_free_ends_the_silence(rig: Rig) -> None:
    await rig.wait(MARGIN + STALE)
    rig.clock.now += 2 * CHECK
    rig.quiet.note({TP})
    assert rig.quiet._due.is_set()
    rig.absorb(ROWS)
    await rig.quiet.emit()
    assert (rig.sent, rig.reasons) == ([], [])


async def test_records_that_wait_to_be_re_keyed_are_waited_for(rig: Rig) -> None:
    done = False

    async def upstream() -> bool:
        return done

    rig.quiet.upstream = upstream
    await rig.wait(3_600)
    assert (rig.sent, rig.reasons) == ([], [])
    done = True
    await rig.wait(2 * CHECK)
    assert len(rig.sent) == 1


async def test_bursts_that_recur_are_waited_for(rig: Rig) -> None:
    """The first two pauses of an hour are told; then they are usual."""
    counts = []
    for burst in range(4):
        await rig.wait(3_600)
        rig.absorb(ROWS + 400 * (burst + 1))
        counts.append(sum(b"EmberKeyStale" in event.body for event in rig.sent))
    assert counts == [1, 2, 2, 2]
    await rig.wait(3 * 3_600)
    assert sum(b"EmberKeyStale" in event.body for event in rig.sent) == 3


async def test_the_task_tells_what_a_check_has_found(rig: Rig) -> None:
    stopped = False
    task = asyncio.ensure_future(rig.quiet.forever(lambda: stopped))
    for _ in range(20):
        rig.clock.now += CHECK
        rig.quiet.note({TP})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(rig.sent) == 1
    task.cancel()
