"""Following of the control topic: whole sets only, and on through whatever befalls the topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream.control import NO_CONTROL, ControlSet, Document, Rule
from stream.kafka.client.errors import KafkaError
from stream.kafka.control_topic import follower as follower_module
from stream.kafka.control_topic import source as source_module
from stream.kafka.control_topic.follower import ControlFollower
from stream.observer import Observer
from tests.worker_config import worker_config


def rule(name: str, weight: float = 0.5) -> Document:
    return Document(name=name, author="ada", time="2026-11-30T12:00:00Z", body=Rule(weight=weight))


class Topic:
    """A topic in memory; `batches` are cut where a test cuts them, with pauses in between."""

    def __init__(self) -> None:
        self.exists = True
        self.failures = 0
        self.records: list[Any] = []
        self.coming: asyncio.Queue[list[Any]] = asyncio.Queue()

    def put(self, *documents: tuple[str, Document | bytes | None]) -> list[Any]:
        batch = []
        for key, value in documents:
            content = value.encode() if isinstance(value, Document) else value
            record = SimpleNamespace(offset=len(self.records), key=key.encode(), value=content)
            self.records.append(record)
            batch.append(record)
        return batch

    async def is_there(self, config: Any) -> bool:
        if self.failures:
            self.failures -= 1
            raise KafkaError("no broker")
        return self.exists


class Reader:
    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def end(self) -> int:
        return len(self._topic.records)

    async def read(self, end: int, first: int = 0) -> AsyncIterator[Any]:
        for record in self._topic.records[first:end]:
            yield record

    async def follow_batches(self, first: int) -> AsyncIterator[list[Any]]:
        while True:
            yield await self._topic.coming.get()


class Watch(Observer):
    def __init__(self) -> None:
        self.sets: list[ControlSet] = []
        self.ignored = 0

    def control_followed(self, control: ControlSet, ignored: int) -> None:
        self.sets.append(control)
        self.ignored = ignored


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.topic, self.watch, self.changes = Topic(), Watch(), 0
        for module in (follower_module, source_module):
            monkeypatch.setattr(module, "topic_exists", self.topic.is_there)
            monkeypatch.setattr(module, "CompactedLogReader", lambda *_, **__: Reader(self.topic))
        for name in ("_AGAIN_SECONDS", "_MISSING_SECONDS"):
            monkeypatch.setattr(follower_module, name, 0.001)
        config = worker_config(control_topic="g-control")
        self.follower = ControlFollower(config, self.watch, self._changed)
        self.waits: list[str] = []
        self.following: asyncio.Task[None] | None = None

    def _changed(self) -> None:
        self.changes += 1

    async def start(self) -> None:
        await self.follower.start(self.waits.append)
        self.following = asyncio.ensure_future(self.follower.forever())

    async def come(self, *batches: list[Any]) -> None:
        """Let batches come, as polls bring them."""
        for batch in batches:
            await self.topic.coming.put(batch)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110  # nothing sets an event for it
                await asyncio.sleep(0.001)

    def names(self) -> list[str]:
        return [document.name for document in self.follower.current.documents]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    rig = Rig(monkeypatch)
    yield rig
    if rig.following is not None:
        rig.following.cancel()
        await asyncio.wait({rig.following})


async def test_a_worker_starts_without_the_topic_and_finds_it_later(rig: Rig) -> None:
    rig.topic.exists = False
    await rig.start()
    assert rig.follower.current == NO_CONTROL
    rig.topic.put(("rule/a", rule("a")))
    rig.topic.exists = True
    await rig.until(lambda: rig.names() == ["a"])


async def test_a_start_waits_for_a_broker_and_says_so(rig: Rig) -> None:
    rig.topic.put(("rule/a", rule("a")))
    rig.topic.failures = 2
    await rig.start()
    assert rig.names() == ["a"]
    assert len(rig.waits) == 2
    assert "'g-control' cannot be read" in rig.waits[0]


async def test_documents_written_together_are_taken_together(rig: Rig) -> None:
    await rig.start()
    await rig.until(lambda: len(rig.watch.sets) == 2)  # of the start, and of the following
    await rig.come([], rig.topic.put(("rule/a", rule("a"))), rig.topic.put(("rule/b", rule("b"))))
    await asyncio.sleep(0.01)
    assert rig.names() == []
    await rig.come([])
    await rig.until(lambda: rig.names() == ["a", "b"])
    seen = rig.changes
    await rig.come([], [], [])
    await asyncio.sleep(0.01)
    assert rig.changes == seen  # nothing came, so nobody is asked to look


async def test_writers_that_never_pause_do_not_hold_a_change_back(rig: Rig) -> None:
    await rig.start()
    await rig.come(*(rig.topic.put((f"rule/r{n}", rule(f"r{n}"))) for n in range(20)))
    await rig.until(lambda: len(rig.names()) == 20)


async def test_a_topic_made_anew_is_read_anew(rig: Rig) -> None:
    rig.topic.put(("rule/a", rule("a")), ("rule/b", rule("b")))
    await rig.start()
    await rig.until(lambda: len(rig.watch.sets) == 2)
    rig.topic.records.clear()
    await rig.come(rig.topic.put(("rule/c", rule("c"))))
    await rig.until(lambda: rig.names() == ["c"])


async def test_a_broker_that_goes_away_leaves_the_documents_in_force(rig: Rig) -> None:
    rig.topic.put(("rule/a", rule("a")))
    rig.topic.exists = False
    await rig.start()
    rig.topic.failures, rig.topic.exists = 3, True
    await rig.until(lambda: rig.topic.failures == 0)
    await rig.until(lambda: rig.names() == ["a"])


async def test_a_look_beyond_its_own_reading_is_not_undone_by_it(rig: Rig) -> None:
    """A former owner knew of a change that this worker has not been given yet."""
    await rig.start()
    await rig.until(lambda: len(rig.watch.sets) == 2)
    late = rig.topic.put(("rule/a", rule("a")))
    rig.topic.put(("rule/a", rule("a", 0.25)))
    await rig.follower.refresh()
    newest = rig.follower.current
    await rig.come(late, [])
    await asyncio.sleep(0.01)
    assert rig.follower.current == newest
    assert rig.follower.find(newest.digest) is newest


async def test_a_look_that_fails_leaves_everything_as_it_is(rig: Rig) -> None:
    rig.topic.put(("rule/a", rule("a")))
    await rig.follower.start(rig.waits.append)
    rig.topic.failures = 1
    await rig.follower.refresh()
    assert rig.names() == ["a"]


async def test_a_document_that_cannot_be_used_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.topic.put(("rule/a", rule("a")), ("rule/b", b"{"))
    await rig.start()
    await rig.until(lambda: len(rig.watch.sets) == 2)
    assert rig.names() == ["a"]
    assert rig.watch.ignored == 1
    assert caplog.text.count("rule/b cannot be read") == 1
    await rig.come(rig.topic.put(("rule/b", None)), [])
    await rig.until(lambda: rig.watch.ignored == 0)
