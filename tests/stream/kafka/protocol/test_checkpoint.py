"""The order of a checkpoint, at every point where it can fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.kafka.protocol.checkpoint import Checkpoint, CheckpointError
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import FencedError
from stream.kafka.protocol.positions import Positions
from stream.observer import Observer
from tests.stream.kafka.fakes import (
    ME,
    Boom,
    FakeClock,
    FakeEngine,
    FakeGroup,
    FakeLog,
    FakeSink,
    event,
)

A, B = ("in", 0), ("in", 1)


class Rig:
    """A checkpoint with everything around it faked."""

    def __init__(self, *, held: bool = False, fail: str = "", **sink: Any) -> None:
        self.journal: list[Any] = []
        self.engine = FakeEngine()
        self.positions = Positions()
        self.sink = FakeSink(self.journal, **sink)
        self.outbox = Outbox(None if held else self.sink)
        self.log = FakeLog(self.journal, fail)
        self.group = FakeGroup()
        self.written: list[Any] = []
        self.checkpoint = Checkpoint(
            engine=self.engine,  # type: ignore[arg-type]
            positions=self.positions,
            outbox=self.outbox,
            log=self.log,
            group=self.group,
            clock=FakeClock(),
            observer=Observer(),
            on_written=lambda *seen: self.written.append(seen),
        )
        for tp in (A, B):
            self.positions.start(tp, 10, 10)

    def absorb(self, tp: Any, position: int, *events: bytes) -> None:
        self.engine.touch(tp, b"key", b"row")
        self.positions.advance(tp, position)
        self.outbox.add(tp, [event(value) for value in events])

    def steps(self) -> list[str]:
        return [entry[0] for entry in self.journal]


async def test_events_then_rows_then_offsets() -> None:
    rig = Rig()
    rig.absorb(A, 15, b"e1")
    rig.absorb(B, 12, b"e2")
    assert await rig.checkpoint.run("interval") == 4
    assert rig.steps()[4:] == ["begin", "rows", "rows", "commit"]
    assert {value for step, value in rig.journal[:4] if step == "event acknowledged"} == {
        b"e1",
        b"e2",
    }
    assert rig.journal[-1] == ("commit", {A: 15, B: 12}, ME)
    assert rig.written == [(A, 100, 10, 15, b"meta-row"), (B, 100, 10, 12, b"meta-row")]
    assert rig.positions.committed(A) == 15


async def test_exactly_once_events_are_in_the_transaction() -> None:
    rig = Rig(held=True)
    rig.absorb(A, 15, b"e1")
    await rig.checkpoint.run("interval")
    assert rig.steps() == ["begin", "rows", "event in transaction", "commit"]


async def test_meta_row_is_last_and_says_what_was_committed() -> None:
    """And tombstones, what was absorbed."""
    rig = Rig()
    rig.absorb(A, 15)
    await rig.checkpoint.run("interval")
    rows = next(entry for entry in rig.journal if entry[0] == "rows")
    assert rows[2] == [b"key", b"meta"]
    assert rows[3] == {"ember.committed": b"10"}
    assert rows[4] == {"ember.absorbed": b"14"}


async def test_nothing_moved_writes_nothing() -> None:
    rig = Rig()
    assert await rig.checkpoint.run("interval") == 0
    assert rig.journal == []


async def test_rows_that_changed_without_a_record_are_written() -> None:
    """As after a change of the model: unwritten they would fill a memory that is full of keys."""
    rig = Rig()
    rig.engine.touch(A, b"key", b"migrated row")
    assert await rig.checkpoint.run("full") == 2
    assert rig.journal[-1] == ("commit", {A: 10}, ME)
    assert await rig.checkpoint.run("full") == 0


@pytest.mark.parametrize(
    ("fail", "never", "held"),
    [
        *(("begin", {"rows", "commit"}, held) for held in (False, True)),
        *(("rows", {"commit"}, held) for held in (False, True)),
        *(("commit", set(), held) for held in (False, True)),
        ("event in transaction", {"commit"}, True),
    ],
)
async def test_a_failure_stops_everything_after_it(fail: str, never: set[str], held: bool) -> None:
    rig = Rig(held=held, fail=fail)
    rig.absorb(A, 15, b"e1")
    with pytest.raises(CheckpointError) as caught:
        await rig.checkpoint.run("interval")
    assert isinstance(caught.value.__cause__, Boom)
    assert not never & set(rig.steps())
    assert rig.written == []
    assert rig.positions.committed(A) == 10
    if fail != "begin":
        assert rig.steps()[-1] == "abort"


async def test_events_not_acknowledged_keep_rows_and_offsets_back() -> None:
    rig = Rig(slow=True)
    rig.absorb(A, 15, b"e1")
    running = asyncio.ensure_future(rig.checkpoint.run("interval"))
    await asyncio.sleep(0.01)
    assert rig.steps() == ["event sent"]
    rig.sink.release.set()
    await running
    assert rig.steps()[-1] == "commit"


async def test_a_failed_event_is_not_taken_as_sent() -> None:
    rig = Rig()
    rig.sink.fail = True
    rig.absorb(A, 15, b"e1", b"e2")
    with pytest.raises(CheckpointError):
        await rig.checkpoint.run("interval")
    assert set(rig.steps()) == {"event sent"}


async def test_after_a_failure_no_checkpoint_follows() -> None:
    rig = Rig(fail="rows")
    rig.absorb(A, 15)
    with pytest.raises(CheckpointError):
        await rig.checkpoint.run("interval")
    rig.log.fail = ""
    done = len(rig.journal)
    with pytest.raises(CheckpointError):
        await rig.checkpoint.run("stop")
    assert len(rig.journal) == done
    assert rig.checkpoint.began is None


async def test_a_fenced_worker_writes_nothing() -> None:
    rig = Rig()
    rig.group.fenced = True
    rig.absorb(A, 15, b"e1")
    with pytest.raises(CheckpointError) as caught:
        await rig.checkpoint.run("interval")
    assert isinstance(caught.value.__cause__, FencedError)
    assert rig.journal == []


async def test_the_stream_goes_on_and_what_it_adds_is_the_next_checkpoints() -> None:
    rig = Rig(held=True)
    rig.log.gate = asyncio.Event()
    rig.absorb(A, 15, b"e1")
    running = asyncio.ensure_future(rig.checkpoint.run("interval"))
    await asyncio.sleep(0.01)
    rig.absorb(A, 20, b"e2")
    second = asyncio.ensure_future(rig.checkpoint.run("interval"))
    await asyncio.sleep(0.01)
    assert "commit" not in rig.steps()
    rig.log.gate.set()
    await running
    await second
    events = [entry[1] for entry in rig.journal if entry[0] == "event in transaction"]
    commits = [entry[1] for entry in rig.journal if entry[0] == "commit"]
    assert events == [b"e1", b"e2"]
    assert commits == [{A: 15}, {A: 20}]
    first_commit = rig.steps().index("commit")
    assert rig.journal.index(("event in transaction", b"e2")) > first_commit


async def test_what_is_noted_while_one_is_on_its_way_is_the_next_ones() -> None:
    """A model, a silence or documents that were noted too late for it may not be used unwritten."""
    rig = Rig()
    rig.log.gate = asyncio.Event()
    rig.absorb(A, 15)
    first = asyncio.ensure_future(rig.checkpoint.run("interval"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert rig.engine.dirty == {}
    rig.positions.reopen(A)
    rig.log.gate.set()
    await first
    assert rig.positions.moved(A)
    assert await rig.checkpoint.run("switch") == 1
    assert rig.positions.committed(A) == 15
    assert await rig.checkpoint.run("interval") == 0


async def test_cancelling_the_caller_does_not_cut_a_checkpoint_in_half() -> None:
    rig = Rig()
    rig.log.gate = asyncio.Event()
    rig.absorb(A, 15)
    caller = asyncio.ensure_future(rig.checkpoint.run("interval"))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.sleep(0)
    rig.log.gate.set()
    assert await rig.checkpoint.run("stop") == 0
    assert rig.positions.committed(A) == 15


async def test_a_group_that_lags_behind_the_state_is_brought_up() -> None:
    rig = Rig()
    rig.positions.start(A, 40, 30)
    await rig.checkpoint.run("interval")
    assert rig.journal[-1] == ("commit", {A: 40}, ME)


async def test_a_group_without_an_offset_is_given_that_of_the_state() -> None:
    rig = Rig()
    rig.positions.start(A, 40, -1)
    await rig.checkpoint.run("interval")
    assert rig.journal[-1] == ("commit", {A: 40}, ME)


async def test_a_partition_without_state_has_nothing_to_commit() -> None:
    rig = Rig()
    rig.positions.start(A, 40, -1, fresh=True)
    assert await rig.checkpoint.run("interval") == 0


async def test_dead_letters_are_settled_before_the_offsets_go() -> None:
    rig = Rig()

    async def settle() -> None:
        await asyncio.sleep(0)
        rig.journal.append(("dead letters",))

    rig.checkpoint._settle_dead_letters = settle
    rig.absorb(A, 13)
    await rig.checkpoint.run("interval")
    steps = rig.steps()
    assert steps.index("dead letters") < steps.index("commit")


async def test_each_part_taken_is_counted() -> None:
    """By the count a copy of the state on disk knows that no checkpoint came between."""
    rig = Rig()
    for turn in (1, 2, 3):
        rig.absorb(A, 10 + turn)
        await rig.checkpoint.run("interval")
        assert rig.checkpoint.taken == {A: turn}


async def test_an_observer_hears_how_long_the_stream_was_held_up() -> None:
    """The longest of the parts, not the whole: the stream goes on between them."""
    heard: list[tuple[str, float, float, int]] = []

    class Hearing(Observer):
        def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
            heard.append((reason, seconds, stalled, rows))

    rig = Rig()
    ticks = iter((100.0, 101.0, 102.0, 105.0, 107.0, 120.0))
    rig.checkpoint._observer = Hearing()
    rig.checkpoint._clock = lambda: next(ticks)
    rig.absorb(A, 13)
    rig.absorb(B, 13)
    written = await rig.checkpoint.run("interval")
    assert heard == [("interval", 20.0, 2.0, written)]


@pytest.mark.parametrize("fail", ["", "rows"])
async def test_since_when_one_is_on_its_way_can_be_asked(fail: str) -> None:
    rig = Rig(fail=fail)
    rig.log.gate = asyncio.Event()
    assert rig.checkpoint.began is None
    rig.absorb(A, 15)
    running = asyncio.ensure_future(rig.checkpoint.run("interval"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert rig.checkpoint.began == 0.0
    rig.log.gate.set()
    await asyncio.wait({running})
    assert (running.exception() is not None) == bool(fail)
    assert rig.checkpoint.began is None
