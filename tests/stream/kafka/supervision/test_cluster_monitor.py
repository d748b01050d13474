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
from tests.stream.kafka.fakes import EndError, make_context

TP = ("in", 0)
CHANGES = "g-state-in-changelog"
SECONDS, SESSION = 100.0, 30.0


class Notes(Observer):
    def __init__(self) -> None:
        self.phases: list[str] = []
        self.lags: list[int] = []

    def fetched(self, tp: Any, next_offset: int, highwater: int | None) -> None:
        self.lags.append((highwater or 0) - next_offset)

    def phase(self, phase: str, detail: str) -> None:
        self.phases.append(phase)
        self.detail = detail


class Client:
    """The group's: the log's bounds, or why it cannot say."""

    def __init__(self) -> None:
        self.log = (0, 500)
        self.fetched: int | None = None
        self.error: Exception | None = None
        self.last_heartbeat = 0.0
        self.turns = asyncio.Event()
        self.turns.set()

    async def ping(self) -> None:
        await self.turns.wait()

    def fetch_position(self, tp: Any) -> int | None:
        return self.fetched

    async def log_bounds(self, tps: Any) -> Any:
        if self.error is not None:
            raise self.error
        return dict.fromkeys(tps, self.log)


class Worker:
    """What the monitor sees of a worker."""

    def __init__(self, stuck_seconds: float = SECONDS) -> None:
        self.now = 0.0
        self.positions = Positions()
        self.positions.start(TP, 500, 500)
        self.remaining, self.busy = 0, False
        self.checkpoint = SimpleNamespace(began=None)
        self.meta = MetaRow(topic_id="id", changelog_id="old")
        self.engine = SimpleNamespace(meta=lambda _tp: self.meta)
        self.topics = {"in": TopicStatus(2, "id"), CHANGES: TopicStatus(2, "old")}
        self.observer = Notes()
        self.client = Client()
        self.context = make_context(
            self.observer,
            self,
            clock=lambda: self.now,
            stuck_seconds=stuck_seconds,
            session_timeout_seconds=SESSION,
            exit_process=self._end,
        )
        self.context.lifecycle.run(1)
        self.observer.phases.clear()
        parts: Any = self
        self.monitor = ClusterMonitor(
            self.context,
            parts.engine,
            self.positions,
            parts.client,
            parts.checkpoint,
            lambda: self.remaining,
            lambda: self.busy,
        )

    def _end(self, code: int) -> NoReturn:
        raise EndError(f"{code}: {self.observer.detail}")

    async def describe(self, topics: Any) -> Any:
        return {topic: self.topics[topic] for topic in topics if topic in self.topics}

    async def look(self, seconds: float = 10.0) -> None:
        self.now += seconds
        if self.client.error is None:
            self.client.last_heartbeat = self.now
        await self.monitor.check()

    async def looks(self, times: int) -> None:
        for _ in range(times):
            await self.look()


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_a_log_that_was_cut_is_not_read_past(worker: Worker) -> None:
    """aiokafka begins such a log anew, and every record in it would count as absorbed."""
    worker.client.log = (0, 120)
    await worker.look()  # a new leader may not know the end at once
    with pytest.raises(EndError, match=r"^1: The log of in-0 ends before .* Expected an end of at"):
        await worker.look()


async def test_markers_of_transactions_are_no_messages(worker: Worker) -> None:
    """A producer's last marker lies behind its last record, and is never handed out."""
    worker.client.log, worker.client.fetched = (0, 501), 501
    await worker.looks(100)
    assert set(worker.observer.lags) == {0}


@pytest.mark.parametrize("busy", [False, True])
async def test_messages_that_were_handed_out_are_not_read_yet(worker: Worker, busy: bool) -> None:
    """Behind the position lie records: in a fetch on its way, or in hand."""
    worker.client.log, worker.busy = (0, 501), busy
    worker.client.fetched = 501 if busy else 500
    with pytest.raises(EndError, match="in-0 stands at offset 500"):
        await worker.looks(100)
    assert set(worker.observer.lags) == {1}


async def test_an_end_that_comes_back_is_forgotten(worker: Worker) -> None:
    for end in (120, 500, 120, 500):
        worker.client.log = (0, end)
        await worker.look()


async def test_records_that_retention_removed_unread_are_told_once(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.client.log = (600, 700)
    with caplog.at_level(logging.ERROR):
        await worker.look()
        await worker.look()
    assert [r.getMessage() for r in caplog.records] == [
        "in-0: retention removed 100 messages unread."
    ]


@pytest.mark.parametrize(
    ("changelog", "words"),
    [(None, "was deleted, and the state"), (TopicStatus(2, "new"), "was deleted and made again")],
)
async def test_a_changelog_that_is_another_one_ends_the_worker(
    worker: Worker, changelog: TopicStatus | None, words: str
) -> None:
    """It would only get the rows that change from now on."""
    await worker.look(40)
    del worker.topics[CHANGES]
    if changelog is not None:
        worker.topics[CHANGES] = changelog
    await worker.look(1)  # the topics are asked for less often than the ends
    with pytest.raises(EndError, match=words + r".* Run `ember state rebase`"):
        await worker.look(40)


async def test_an_input_that_is_another_one_ends_the_worker(worker: Worker) -> None:
    worker.topics["in"] = TopicStatus(2, "new")
    with pytest.raises(EndError, match="belongs to another topic of this name"):
        await worker.look(40)


async def test_partitions_that_are_added_end_the_worker(worker: Worker) -> None:
    """With the sentence of the next start."""
    worker.topics["in"] = TopicStatus(3, "id")
    with pytest.raises(EndError, match=r"Expected 3 partitions\. Received: partitions=2\."):
        await worker.look(40)


async def test_a_changelog_of_unknown_id_is_left_alone(worker: Worker) -> None:
    worker.meta.changelog_id = ""
    await worker.look(40)
    worker.meta.changelog_id, worker.topics[CHANGES] = "old", TopicStatus(2, "")
    await worker.look(40)


async def test_an_input_that_was_deleted_is_waited_for(worker: Worker) -> None:
    found = worker.topics.pop("in")
    await worker.look(40)
    await worker.look(1)
    assert worker.observer.phases == ["waiting", "waiting"]
    worker.topics["in"] = found
    await worker.look(40)
    assert worker.observer.phases[2:] == ["running"]


@pytest.mark.parametrize("error", [kafka_errors.KafkaTimeoutError(), OSError("no route")])
async def test_a_broker_that_is_away_is_told_and_ends_nothing(
    worker: Worker, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    worker.client.log = (0, 900)  # there is something to read
    worker.checkpoint.began = 0.0
    worker.client.error = error
    with caplog.at_level(logging.WARNING):
        await worker.looks(50)
        assert set(worker.observer.phases) == {"waiting"}
        worker.client.error, worker.checkpoint.began = None, None
        await worker.look()
    assert worker.observer.phases[-1] == "running"
    assert len(caplog.records) == 2  # it went, it came back


async def test_a_group_that_does_not_answer_is_told_and_ends_nothing(worker: Worker) -> None:
    worker.client.log = (0, 10_000)
    for step in range(1, 31):
        worker.now = 10.0 * step
        worker.positions.advance(TP, 500 + step)
        await worker.monitor.check()
    assert worker.observer.phases[-1] == "waiting"


async def test_nothing_is_told_before_partitions_are_at_work(worker: Worker) -> None:
    worker.context.lifecycle.leave()
    worker.positions.drop(TP)
    worker.client.error = kafka_errors.KafkaTimeoutError()
    await worker.look()
    assert worker.observer.phases == []


async def test_a_partition_that_does_not_move_ends_the_worker(worker: Worker) -> None:
    worker.client.log = (0, 501)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: in-0 stands at offset 500"):
        await worker.looks(20)


async def test_a_checkpoint_without_end_ends_the_worker(worker: Worker) -> None:
    worker.checkpoint.began = 0.0
    await worker.looks(10)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: A checkpoint has been on its way"):
        await worker.look()


async def test_an_outage_is_no_time_that_a_checkpoint_or_a_recovery_stood_still(
    worker: Worker,
) -> None:
    """Both began before the broker went, and end some looks after it came back."""
    worker.checkpoint.began, worker.remaining = 0.0, 900
    await worker.look()
    worker.client.error = kafka_errors.KafkaTimeoutError()
    await worker.looks(50)
    worker.client.error = None
    await worker.looks(5)
    assert worker.observer.phases[-1] == "running"
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: A checkpoint has been on its way"):
        await worker.looks(5)  # it does not end at all


async def test_a_recovery_that_gets_nothing_ends_the_worker(worker: Worker) -> None:
    worker.context.lifecycle.leave()
    worker.positions.drop(TP)
    for remaining in (900, 800, 700):
        worker.remaining = remaining
        await worker.looks(9)
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: Recovery has 700 changelog records"):
        await worker.looks(3)


async def test_a_consumer_whose_thread_hangs_ends_the_worker() -> None:
    worker = Worker(stuck_seconds=0.05)
    worker.client.turns.clear()
    with pytest.raises(EndError, match=rf"^{STOOD_STILL}: The consumer's thread has not turned"):
        await worker.look()


async def test_a_partition_that_waits_for_an_answer_is_told_and_does_not_stand_still(
    worker: Worker,
) -> None:
    worker.client.log = (0, 900)
    worker.positions.pause([TP])
    worker.context.lifecycle.hold("schemas", "in-0: the schema registry is away")
    await worker.looks(100)
    assert worker.observer.phases[-1] == "waiting"
    worker.positions.resume([TP])
    worker.context.lifecycle.hold("schemas", "")
    with pytest.raises(EndError, match="without a step"):
        await worker.looks(100)


async def test_without_a_limit_nothing_stands_still() -> None:
    worker = Worker(stuck_seconds=0.0)
    worker.checkpoint.began = 0.0
    worker.client.log = (0, 501)
    await worker.looks(50)
