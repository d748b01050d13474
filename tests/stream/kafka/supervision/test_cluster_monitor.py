"""What a worker stands on is looked after: logs, topics, checkpoints, the group."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from aiokafka import errors as kafka_errors

from stream.engine import MetaRow
from stream.kafka.protocol.ports import TopicStatus
from stream.kafka.protocol.positions import Positions
from stream.kafka.supervision.cluster_monitor import ClusterMonitor
from stream.kafka.supervision.watchdog import STOOD_STILL
from stream.observer import Observer

TP = ("in", 0)
SECONDS, SESSION = 100.0, 30.0


class EndError(Exception):
    """The process ended."""


class Notes(Observer):
    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, phase: str, detail: str) -> None:
        self.phases.append(phase)


class Thread:
    """The consumer's: the log's bounds, or why it cannot say."""

    def __init__(self) -> None:
        self.log = (0, 500)
        self.error: Exception | None = None
        self.last_heartbeat = 0.0
        self.turns = asyncio.Event()
        self.turns.set()

    async def turn(self) -> None:
        await self.turns.wait()

    async def bounds(self, tps: Any) -> Any:
        if self.error is not None:
            raise self.error
        return dict.fromkeys(tps, self.log)


class PausedPartitions(set[tuple[str, int]]):
    """Partitions that wait for an answer."""

    why = ""


class Session:
    """What a lookout sees of a worker."""

    def __init__(self) -> None:
        self.now = 0.0
        self.config = SimpleNamespace(
            stuck_seconds=SECONDS,
            session_timeout_seconds=SESSION,
            topics=("in",),
            changelog=lambda _: "changes",
        )
        self.sources = {"changes": "in"}
        self.ledger = Positions()
        self.ledger.start(TP, 500, 500)
        self.running, self.remaining = True, 0
        self.checkpoint = SimpleNamespace(began=None)
        self.meta = MetaRow(topic_id="id", changelog_id="old")
        self.engine = SimpleNamespace(meta=lambda _tp: self.meta)
        self.topics = {"in": TopicStatus(2, "id"), "changes": TopicStatus(2, "old")}
        self.administration = self
        self.observer = Notes()
        self.consumer = SimpleNamespace(thread=Thread())
        self.waiting = PausedPartitions()
        self.lookout = ClusterMonitor(self)  # type: ignore[arg-type]

    def clock(self) -> float:
        return self.now

    async def describe(self, topics: Any) -> Any:
        return {topic: self.topics[topic] for topic in topics if topic in self.topics}

    def fatal(self, sentence: str, cause: Any = None, code: int = 1) -> NoReturn:
        raise EndError(f"{code}: {sentence}")

    async def look(self, seconds: float = 10.0) -> None:
        self.now += seconds
        if self.consumer.thread.error is None:
            self.consumer.thread.last_heartbeat = self.now
        await self.lookout._look()

    async def looks(self, times: int) -> None:
        for _ in range(times):
            await self.look()


@pytest.fixture
def edge() -> Session:
    return Session()


async def test_a_log_that_was_cut_is_not_read_past(edge: Session) -> None:
    """aiokafka begins such a log anew, and every record in it would count as absorbed."""
    edge.consumer.thread.log = (0, 120)
    await edge.look()  # a new leader may not know the end at once
    with pytest.raises(EndError, match=r"^1: The log of in-0 ends before .* Expected an end of at"):
        await edge.look()


async def test_an_end_that_comes_back_is_forgotten(edge: Session) -> None:
    for end in (120, 500, 120, 500):
        edge.consumer.thread.log = (0, end)
        await edge.look()


async def test_records_that_retention_removed_unread_are_told_once(
    edge: Session, caplog: pytest.LogCaptureFixture
) -> None:
    edge.consumer.thread.log = (600, 700)
    with caplog.at_level(logging.ERROR):
        await edge.look()
        await edge.look()
    assert [r.getMessage() for r in caplog.records] == [
        "in-0: retention removed 100 messages unread."
    ]


@pytest.mark.parametrize(
    ("changelog", "words"),
    [(None, "was deleted, and the state"), (TopicStatus(2, "new"), "was deleted and made again")],
)
async def test_a_changelog_that_is_another_one_ends_the_worker(
    edge: Session, changelog: TopicStatus | None, words: str
) -> None:
    """It would only get the rows that change from now on."""
    await edge.look(40)
    del edge.topics["changes"]
    if changelog is not None:
        edge.topics["changes"] = changelog
    await edge.look(1)  # the topics are asked for less often than the ends
    with pytest.raises(EndError, match=words + r".* Run `ember state rebase`"):
        await edge.look(40)


async def test_an_input_that_is_another_one_ends_the_worker(edge: Session) -> None:
    edge.topics["in"] = TopicStatus(2, "new")
    with pytest.raises(EndError, match="belongs to another topic of this name"):
        await edge.look(40)


async def test_a_changelog_of_unknown_id_is_left_alone(edge: Session) -> None:
    edge.meta.changelog_id = ""
    await edge.look(40)
    edge.meta.changelog_id, edge.topics["changes"] = "old", TopicStatus(2, "")
    await edge.look(40)


async def test_an_input_that_was_deleted_is_waited_for(edge: Session) -> None:
    found = edge.topics.pop("in")
    await edge.look(40)
    await edge.look(1)
    assert edge.observer.phases == ["waiting", "waiting"]
    edge.topics["in"] = found
    await edge.look(40)
    assert edge.observer.phases[2:] == ["running"]


@pytest.mark.parametrize("error", [kafka_errors.KafkaTimeoutError(), OSError("no route")])
async def test_a_broker_that_is_away_is_told_and_ends_nothing(
    edge: Session, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    edge.consumer.thread.log = (0, 900)  # there is something to read
    edge.checkpoint.began = 0.0
    edge.consumer.thread.error = error
    with caplog.at_level(logging.WARNING):
        await edge.looks(50)
        assert set(edge.observer.phases) == {"waiting"}
        edge.consumer.thread.error, edge.checkpoint.began = None, None
        await edge.look()
    assert edge.observer.phases[-1] == "running"
    assert len(caplog.records) == 2  # it went, it came back


async def test_a_group_that_does_not_answer_is_told_and_ends_nothing(edge: Session) -> None:
    edge.consumer.thread.log = (0, 10_000)
    for step in range(1, 31):
        edge.now = 10.0 * step
        edge.ledger.advance(TP, 500 + step)
        await edge.lookout._look()
    assert edge.observer.phases[-1] == "waiting"


async def test_nothing_is_told_before_partitions_are_at_work(edge: Session) -> None:
    edge.running = False
    edge.ledger.drop(TP)
    edge.consumer.thread.error = kafka_errors.KafkaTimeoutError()
    await edge.look()
    assert edge.observer.phases == []


async def test_a_partition_that_does_not_move_ends_the_worker(edge: Session) -> None:
    edge.consumer.thread.log = (0, 501)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: in-0 stands at offset 500"):
        await edge.looks(20)


async def test_a_checkpoint_without_end_ends_the_worker(edge: Session) -> None:
    edge.checkpoint.began = 0.0
    await edge.looks(10)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: A checkpoint has been on its way"):
        await edge.look()


async def test_a_recovery_that_gets_nothing_ends_the_worker(edge: Session) -> None:
    edge.running = False
    edge.ledger.drop(TP)
    for remaining in (900, 800, 700):
        edge.remaining = remaining
        await edge.looks(9)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: Recovery has 700 changelog records"):
        await edge.looks(3)


async def test_a_consumer_whose_thread_hangs_ends_the_worker(edge: Session) -> None:
    edge.config.stuck_seconds = 0.05
    edge.lookout = ClusterMonitor(edge)  # type: ignore[arg-type]
    edge.consumer.thread.turns.clear()
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: The consumer's thread has not turned"):
        await edge.look()


async def test_a_partition_that_waits_for_an_answer_is_told_and_does_not_stand_still(
    edge: Session,
) -> None:
    edge.consumer.thread.log = (0, 900)
    edge.waiting.add(TP)
    edge.waiting.why = "in-0: the schema registry is away"
    await edge.looks(100)
    assert edge.observer.phases[-1] == "waiting"
    edge.waiting.clear()
    edge.waiting.why = ""
    with pytest.raises(EndError, match="without a step"):
        await edge.looks(100)


async def test_without_a_limit_nothing_stands_still(edge: Session) -> None:
    edge.config.stuck_seconds = 0.0
    edge.lookout = ClusterMonitor(edge)  # type: ignore[arg-type]
    edge.checkpoint.began = 0.0
    edge.consumer.thread.log = (0, 501)
    await edge.looks(50)
