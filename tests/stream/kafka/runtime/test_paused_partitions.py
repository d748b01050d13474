"""Partitions that wait for a schema: cut where it is needed, left alone, read again from there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.positions import Positions
from stream.kafka.runtime.paused_partitions import PausedPartitions
from stream.kafka.runtime.processor import Processor
from stream.observer import Observer
from stream.records import Decoded, Message
from stream.types import TP
from tests.broker.counting import CountingCodec, CountingEngine, value_of
from tests.stream.kafka.fakes import FakeSink, make_context

A, B = ("in", 0), ("in", 1)


class Registry(CountingCodec):
    """A codec whose records name what has to be asked for, in a header."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.there: set[int] = set()
        self.down = False
        self.asked: list[list[int]] = []
        self.awaited: set[int] = set()

    def lacks(self, messages: Iterable[Message]) -> list[int]:
        return sorted({m.headers for m in messages} - self.known)  # type: ignore[type-var]

    def look_up(self, ids: Iterable[int]) -> None:
        self.asked.append(list(ids))
        if self.down:
            self.awaited |= set(ids)
        else:
            self.known |= set(ids) & self.there

    def ready(self, messages: Sequence[Message]) -> int:
        waits = [n for n, m in enumerate(messages) if m.headers in self.awaited]
        return min(waits, default=len(messages))

    def decode(self, messages: Sequence[Message]) -> Decoded:
        raise AssertionError("it may ask, and block")

    def decode_known(self, messages: Sequence[Message]) -> Decoded:
        assert {m.headers for m in messages} <= self.known
        return super().decode(messages)

    def retry(self) -> str:
        if self.down:
            return "away"
        self.awaited.clear()
        return ""


class Fetching:
    """Says what it was told, in order."""

    generation, is_open = 1, True

    def __init__(self, lock: asyncio.Lock) -> None:
        self.told: list[Any] = []
        self.lock = lock

    def pause(self, tps: Iterable[TP]) -> None:
        self.told.append(("pause", sorted(tps)))

    def resume(self, tps: Iterable[TP]) -> None:
        self.told.append(("resume", sorted(tps)))

    async def wait_for_fetch(self) -> None:
        self.told.append("wait_for_fetch")

    async def seek(self, positions: Mapping[TP, int]) -> None:
        assert self.lock.locked()
        self.told.append(("seek", dict(positions)))


class Said(Observer):
    def __init__(self) -> None:
        self.phases: list[tuple[str, str]] = []

    def phase(self, phase: str, detail: str) -> None:
        self.phases.append((phase, detail))


class Rig:
    def __init__(self) -> None:
        lock = asyncio.Lock()
        self.codec, self.fetching, self.said = Registry(), Fetching(lock), Said()
        self.engine, self.positions = CountingEngine(), Positions()
        for tp in (A, B):
            self.engine.attach(tp)
            self.positions.start(tp, 0, -1)
        context = make_context(self.said)
        context.lifecycle.run(2)
        self.waiting = PausedPartitions(
            context, self.positions, self.fetching, lock, self.codec, (0.0,)
        )
        self.processor = Processor(
            context,
            self.engine,  # type: ignore[arg-type]
            self.codec,
            self.positions,
            Outbox(FakeSink([])),
            paused=self.waiting,
            slice_messages=7,
        )

    async def take(self, **fetch: list[Any]) -> tuple[int, int]:
        await self.processor.process({{"a": A, "b": B}[name]: fetch[name] for name in fetch})
        return self.positions.position(A), self.positions.position(B)

    async def until_asked(self, done: Any) -> None:
        task = asyncio.ensure_future(self.waiting.forever(lambda: False))
        while not done():  # noqa: ASYNC110  # turn by turn, whatever it is that comes
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})


def records(schema: int, first: int, count: int) -> list[Any]:
    return [
        SimpleNamespace(key=b"k", value=value_of(i), offset=i, timestamp=i, headers=schema)
        for i in range(first, first + count)
    ]


async def test_only_what_needs_the_answer_waits_and_is_read_again_from_there() -> None:
    rig = Rig()
    rig.codec.there = {1, 2}
    assert await rig.take(a=records(1, 0, 11)) == (11, 0)
    rig.codec.down = True
    mixed = records(1, 11, 13) + records(2, 24, 5) + records(1, 29, 3)
    assert await rig.take(a=mixed, b=records(1, 0, 17)) == (24, 17)
    assert (rig.positions.is_paused(A), rig.positions.is_paused(B)) == (True, False)
    assert rig.fetching.told == [("pause", [A])]
    # What a fetch on its way still brings of it comes again.
    assert await rig.take(a=records(1, 32, 2), b=records(1, 17, 2)) == (24, 19)
    assert rig.said.phases[-1][0] == "waiting"
    await rig.until_asked(lambda: ("waiting", "in-0: away") in rig.said.phases)
    assert rig.positions.is_paused(A)
    rig.codec.down = False
    await rig.until_asked(lambda: rig.said.phases[-1][0] == "running")
    assert rig.fetching.told[-4:] == [
        *(("pause", [A]), "wait_for_fetch"),  # nothing on its way is from behind the position
        *(("seek", {A: 24}), ("resume", [A])),
    ]
    assert not rig.positions.is_paused(A)
    assert await rig.take(a=mixed[13:]) == (32, 19)
    assert rig.codec.asked == [[1], [2], [2]]


async def test_a_partition_given_away_waits_no_more() -> None:
    """Whoever gets it, maybe this worker, reads from its position."""
    rig = Rig()
    rig.codec.down = True
    assert await rig.take(a=records(2, 0, 5)) == (0, 0)
    rig.positions.drop(A)
    rig.positions.start(A, 0, -1)
    rig.codec.down, rig.codec.there = False, {2}
    rig.codec.awaited.clear()
    assert await rig.take(a=records(2, 0, 5)) == (5, 0)
    assert ("resume", [A]) not in rig.fetching.told


async def test_the_event_loop_turns_while_it_asks() -> None:
    rig = Rig()
    rig.codec.there = {1}
    loop = asyncio.get_running_loop()
    look_up = rig.codec.look_up

    def asking(ids: Iterable[int]) -> None:
        turned = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
        turned.result(60)
        look_up(ids)

    rig.codec.look_up = asking  # type: ignore[method-assign]
    assert await rig.take(a=records(1, 0, 3)) == (3, 0)
