"""Fetches reach the processor one at a time, and none of an earlier assignment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from stream.kafka.runtime.fetch_loop import FetchLoop
from tests.stream.kafka.fakes import EndError, make_context

INPUT, CHANGES = TopicPartition("in", 0), TopicPartition("changes", 0)
RECOVERY: Any = SimpleNamespace(in_recovery=False)


class Parts:
    """Loader and processor; hold a fetch while `gate` is closed."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.went_on: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.generation, self.is_open = 4, True
        self.lock = asyncio.Lock()

    async def load(self, recovery: Any, tp: Any, records: Any) -> None:
        self.given.append(("changelog", recovery, tp, records))

    async def process(self, fetch: Any, going_on: Any) -> None:
        await self.gate.wait()
        self.given.append(("inputs", fetch))
        self.went_on.append(going_on())

    def processed(self, tps: Any) -> None:
        assert self.given[-1] == ("inputs", tps)

    def follow(self, recovery: Any, active: Any) -> None:
        self.given.append(("recovery", recovery, active))

    def loop(self, **more: Any) -> FetchLoop:
        parts: Any = self
        return FetchLoop(make_context(**more), parts, self.lock, parts, parts, self.processed)


async def test_inputs_are_processed_together_and_changelogs_one_by_one() -> None:
    parts = Parts()
    more = TopicPartition("in", 1)
    await parts.loop().take(RECOVERY, {INPUT: [1], CHANGES: [2], more: [3]}, [INPUT], 4)
    assert parts.given == [
        ("changelog", RECOVERY, CHANGES, [2]),
        ("inputs", {INPUT: [1], more: [3]}),
        ("recovery", RECOVERY, [INPUT]),
    ]
    assert parts.went_on == [True]


async def test_without_inputs_nothing_is_processed() -> None:
    parts = Parts()
    await parts.loop().take(RECOVERY, {CHANGES: [2]}, [], 4)
    assert [what for what, *_ in parts.given] == ["changelog", "recovery"]


async def test_a_fetch_of_an_earlier_assignment_is_dropped() -> None:
    parts = Parts()
    await parts.loop().take(RECOVERY, {INPUT: [1], CHANGES: [2]}, [], 3)
    assert parts.given == []


@pytest.mark.parametrize(("generation", "opened"), [(5, True), (4, False)])
async def test_a_fetch_in_hand_does_not_go_on_after_its_assignment(
    generation: int, opened: bool
) -> None:
    parts = Parts()
    parts.gate.clear()
    taking = asyncio.ensure_future(parts.loop().take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)
    parts.generation, parts.is_open = generation, opened
    parts.gate.set()
    await taking
    assert parts.went_on == [False]
    assert (("recovery", RECOVERY, []) in parts.given) == opened


async def test_partitions_are_given_back_between_two_fetches() -> None:
    parts = Parts()
    parts.gate.clear()
    loop = parts.loop()
    taking = asyncio.ensure_future(loop.take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)

    async def finish() -> None:
        async with loop.finished("revoke"):
            await asyncio.sleep(0)

    finishing = asyncio.ensure_future(finish())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not finishing.done()
    parts.gate.set()
    await asyncio.gather(taking, finishing)
    assert parts.given


async def test_a_fetch_that_does_not_end_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = Parts()
    parts.gate.clear()
    loop = parts.loop(shutdown_timeout_seconds=0.05)
    taking = asyncio.ensure_future(loop.take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)
    with pytest.raises(EndError):
        async with loop.finished("stop"):
            raise AssertionError("it does not come here")
    assert "The records in hand (stop) took longer than 0.05 s" in caplog.text
    assert parts.given == []
    taking.cancel()


async def test_between_two_fetches_none_is_taken() -> None:
    parts = Parts()
    loop = parts.loop()
    async with parts.lock:
        taking = asyncio.ensure_future(loop.take(RECOVERY, {INPUT: [1]}, [], 4))
        for _ in range(5):
            await asyncio.sleep(0)
        assert parts.given == []
    await taking
    assert parts.given
