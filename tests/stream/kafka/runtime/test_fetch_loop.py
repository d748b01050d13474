"""Fetches reach the edge one at a time, and none of an earlier assignment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from aiokafka import TopicPartition

from stream.kafka.runtime.fetch_loop import FetchLoop

INPUT, CHANGES = TopicPartition("in", 0), TopicPartition("changes", 0)
RECOVERY: Any = "recovery"


class EndError(Exception):
    """The process ended."""


class Session:
    """Writes down what it is given; holds a fetch while `gate` is closed."""

    def __init__(self) -> None:
        self.sources = {"changes": "in"}
        self.config = SimpleNamespace(shutdown_timeout_seconds=5.0)
        self.given: list[Any] = []
        self.went_on: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load_changelog(self, recovery: Any, tp: Any, records: Any) -> None:
        self.given.append(("changelog", recovery, tp, records))

    async def process(self, fetch: Any, going_on: Any) -> None:
        await self.gate.wait()
        self.given.append(("inputs", fetch))
        self.went_on.append(going_on())

    def follow_recovery(self, recovery: Any, active: Any) -> None:
        self.given.append(("recovery", recovery, active))

    async def release(self, reason: str) -> None:
        self.given.append(("let go", reason))

    def fatal(self, sentence: str) -> NoReturn:
        raise EndError(sentence)


class App:
    generation, open = 4, True


def flow_of(edge: Session, app: App) -> FetchLoop:
    return FetchLoop(edge, lambda: app.generation, lambda: app.open)  # type: ignore[arg-type]


async def test_inputs_are_processed_together_and_changelogs_one_by_one() -> None:
    edge, app = Session(), App()
    more = TopicPartition("in", 1)
    await flow_of(edge, app).take(RECOVERY, {INPUT: [1], CHANGES: [2], more: [3]}, [INPUT], 4)
    assert edge.given == [
        ("changelog", RECOVERY, CHANGES, [2]),
        ("inputs", {INPUT: [1], more: [3]}),
        ("recovery", RECOVERY, [INPUT]),
    ]
    assert edge.went_on == [True]


async def test_without_inputs_nothing_is_processed() -> None:
    edge = Session()
    await flow_of(edge, App()).take(RECOVERY, {CHANGES: [2]}, [], 4)
    assert [what for what, *_ in edge.given] == ["changelog", "recovery"]


async def test_a_fetch_of_an_earlier_assignment_is_dropped() -> None:
    edge = Session()
    await flow_of(edge, App()).take(RECOVERY, {INPUT: [1], CHANGES: [2]}, [], 3)
    assert edge.given == []


@pytest.mark.parametrize(("generation", "opened"), [(5, True), (4, False)])
async def test_a_fetch_in_hand_does_not_go_on_after_its_assignment(
    generation: int, opened: bool
) -> None:
    edge, app = Session(), App()
    edge.gate.clear()
    taking = asyncio.ensure_future(flow_of(edge, app).take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)
    app.generation, app.open = generation, opened
    edge.gate.set()
    await taking
    assert edge.went_on == [False]
    assert (("recovery", RECOVERY, []) in edge.given) == opened


async def test_partitions_are_let_go_between_two_fetches() -> None:
    edge, app = Session(), App()
    edge.gate.clear()
    flow = flow_of(edge, app)
    taking = asyncio.ensure_future(flow.take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)
    letting_go = asyncio.ensure_future(flow.release("revoke"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert edge.given == []
    edge.gate.set()
    await asyncio.gather(taking, letting_go)
    assert edge.given[-1] == ("let go", "revoke")


async def test_a_fetch_that_does_not_end_ends_the_process() -> None:
    edge = Session()
    edge.gate.clear()
    edge.config.shutdown_timeout_seconds = 0.05
    flow = flow_of(edge, App())
    taking = asyncio.ensure_future(flow.take(RECOVERY, {INPUT: [1]}, [], 4))
    await asyncio.sleep(0)
    with pytest.raises(EndError, match=r"The records in hand \(stop\) took longer than 0\.05 s"):
        await flow.release("stop")
    assert edge.given == []
    taking.cancel()


async def test_between_two_fetches_none_is_taken() -> None:
    edge = Session()
    flow = flow_of(edge, App())
    async with flow.between():
        taking = asyncio.ensure_future(flow.take(RECOVERY, {INPUT: [1]}, [], 4))
        for _ in range(5):
            await asyncio.sleep(0)
        assert edge.given == []
    await taking
    assert edge.given
