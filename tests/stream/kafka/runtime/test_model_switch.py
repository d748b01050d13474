"""Rows of another model are taken over piece by piece: the loop turns, and a rebalance may come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from stream.engine import META_KEY, MetaRow
from stream.engine.state.migration import mark_of
from stream.kafka.faust.tables import SlabRecovery
from stream.kafka.protocol import changelog as changelog
from stream.kafka.protocol.assignment import Assignment, AssignmentClosed
from stream.kafka.runtime.session import Session
from stream.observer import Observer
from tests.simulation.spill import DictSpill
from tests.simulation.tiny import TinyEngine
from tests.stream.kafka.fakes import FakeClock, FakeLog, make_context

IN = ("in", 3)
FORMER = "8" * 64
KEYS = [b"k%02d" % i for i in range(11)]


class Phases(Observer):
    """What was said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, phase: str, detail: str) -> None:
        self.said.append(f"{phase}: {detail}")


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker that has read the rows of another model; memory has room for three."""
    monkeypatch.setattr(changelog, "_MIGRATED_ROWS", 2)
    nobody: Any = None
    engine = TinyEngine(3, DictSpill)
    outputs: Any = SimpleNamespace(events=None, dead_letters=None, state_log=lambda *_: FakeLog([]))
    client: Any = SimpleNamespace(commit=None)
    context = make_context(Phases(), exit_process=nobody)
    made = Session(context, engine, nobody, client, nobody, outputs)
    engine.attach(IN)
    rows: list[Any] = []
    for offset, key in enumerate(KEYS):
        row = engine._store.initial_row(key).copy()
        views = engine.layout.views(row[None])
        views["model"][0], views["offset"][0] = mark_of(FORMER), offset
        rows.append(row.tobytes())
    fields = engine.row_kind()[1]
    meta = MetaRow(model=FORMER, fields=fields, channels=["x"], absorbed=len(KEYS))
    engine.load(IN, [*KEYS, META_KEY], [*rows, meta.encode()])
    return made


async def migrate(edge: Any, tp: Any = IN) -> None:
    await edge.loader.migrate(edge._assignment, tp)


def kept(edge: Session) -> int:
    engine: Any = edge._engine
    return sum(engine.row(IN, key) is not None for key in KEYS)


async def test_the_loop_turns_between_the_pieces_and_progress_is_told(edge: Any) -> None:
    turns = 0

    async def heart() -> None:
        nonlocal turns
        while True:
            turns += 1
            assert IN not in edge.positions
            await asyncio.sleep(0)

    beating = asyncio.ensure_future(heart())
    await migrate(edge)
    beating.cancel()
    said = edge.context.observer.said
    assert turns >= len(said) >= len(KEYS) // 2
    assert said[0] == "recovering: in-3: migrating rows of another model: 2 of 11"
    assert kept(edge) == len(KEYS)
    assert edge._engine.unmigrated(IN) == 0


async def test_where_nothing_is_to_be_taken_over_nothing_waits(edge: Any) -> None:
    other = ("in", 4)
    edge._engine.attach(other)
    with pytest.raises(StopIteration):
        migrate(edge, other).send(None)
    assert edge.context.observer.said == []


async def test_a_revoke_in_between_ends_it_and_the_next_assignment_goes_on(edge: Any) -> None:
    taking = asyncio.ensure_future(migrate(edge))
    await asyncio.sleep(0)
    await edge.release("revoke")
    with pytest.raises(AssignmentClosed):
        await taking
    assert 0 < edge._engine.unmigrated(IN) < len(KEYS)
    assert edge._engine.take_dirty(IN).keys == [META_KEY]
    edge._assignment = Assignment(edge.positions)
    await migrate(edge)
    assert edge._engine.unmigrated(IN) == 0
    assert kept(edge) == len(KEYS)


async def test_a_partition_that_is_taken_away_in_between_is_left_alone(edge: Any) -> None:
    taking = asyncio.ensure_future(migrate(edge))
    await asyncio.sleep(0)
    edge.detach((edge.context.config.changelog("in"), IN[1]))
    with pytest.raises(AssignmentClosed):
        await taking
    assert edge._engine.active_keys == 0


async def test_a_partition_given_away_in_between_is_not_opened(edge: Any) -> None:
    resuming = asyncio.ensure_future(edge.start(None, [IN]))
    await asyncio.sleep(0)
    await edge.release("revoke")
    await resuming  # without a consumer to ask
    assert IN not in edge.positions
    assert not edge.context.lifecycle.at_work


async def test_when_all_is_read_no_record_is_to_go(edge: Any) -> None:
    """What was told last is not held against the worker later."""
    edge.loader.report(500)
    await edge.start(SimpleNamespace(standby_tps=set()), [])
    assert edge.loader.remaining == 0
    assert edge.context.lifecycle.at_work


@pytest.mark.parametrize("pieces", [0, 3])
async def test_a_step_may_take_longer_while_rows_are_taken_over(pieces: int) -> None:
    """Faust gives it the time of a broker's answer; to take over millions of keys needs more."""
    clock, done = FakeClock(), asyncio.Event()
    loader = SimpleNamespace(migrated_at=float("-inf"))
    context = SimpleNamespace(clock=clock)
    session = SimpleNamespace(context=context, loader=loader)
    recovery: Any = SimpleNamespace(
        app=SimpleNamespace(session=session),
        signal_recovery_start=asyncio.Event(),
        _stopped=asyncio.Event(),
    )
    left = pieces

    def now() -> float:
        nonlocal left
        clock.now += 1.0
        if left:
            left -= 1
            loader.migrated_at = clock.now
        elif pieces:
            done.set()
            loader.migrated_at = clock.now
        return clock.now

    context.clock = now
    waiting = SlabRecovery._wait(recovery, done.wait(), timeout=0.01)
    if pieces:
        await waiting
    else:
        with pytest.raises(TimeoutError):
            await waiting
