"""After an assignment: where each partition goes on, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from stream.engine import MetaRow
from stream.kafka.protocol.assignment import Assignment, AssignmentClosed
from stream.kafka.protocol.ports import LogStatus, RefusedError, TopicStatus
from stream.kafka.protocol.positions import Positions
from stream.kafka.protocol.start_offset import partitions_added
from stream.kafka.recovery import start as restore
from stream.kafka.recovery.start import Starter
from stream.observer import Observer
from tests.stream.kafka.fakes import make_context

TP = ("in", 0)
CHANGELOG = "g-state-in-changelog"
STARTED = 1_000_000.0


class Notes(Observer):
    def __init__(self) -> None:
        self.said: list[Any] = []

    def assigned(self, active: Any, standby: Any) -> None:
        self.said.append((list(active), list(standby)))

    def phase(self, phase: str, detail: str) -> None:
        self.said.append(f"{phase}: {detail}")


class Worker:
    """A worker that was given one partition; it says what was done to it."""

    def __init__(self, start: Any = "earliest", transactional_id: str = "me") -> None:
        self.now = 0.0
        self.positions, self.observer = Positions(), Notes()
        self.context = make_context(
            self.observer,
            self,
            start=start,
            transactional_id=transactional_id,
            started=STARTED,
            clock=lambda: self.now,
        )
        self.assignment = Assignment(self.positions)
        self.meta = MetaRow()
        self.layout, self.unwritten = 0, False
        self.engine = SimpleNamespace(
            attached=lambda: [("in", number) for number in range(3)],
            meta=lambda _: self.meta,
            newer=lambda _: self.layout,
            open=self._open,
        )
        self.changelog = SimpleNamespace(committed_before=lambda _: self.committed_before)
        self.committed_before: int | None = None
        self.status = LogStatus(10, 100, -1, "")
        self.errors: list[Exception] = []
        self.offsets: dict[int, int] = {}  # by the timestamp asked for
        self.topics = {"in": TopicStatus(3, "id"), CHANGELOG: TopicStatus(3, "changes")}
        self.seeks: list[Any] = []
        self.opened: list[Any] = []
        self.done: list[str] = []

    async def start(self, tps: Any = (TP,)) -> None:
        parts: Any = self
        recovery: Any = SimpleNamespace(standby_tps=[(CHANGELOG, 7)])
        starter = Starter(self.context, parts.engine, parts, parts, parts, self.write_ahead)
        await starter.start(self.assignment, list(tps), recovery)

    @property
    def running(self) -> bool:
        return self.context.lifecycle.at_work

    async def migrate(self, assignment: Assignment, tp: Any) -> None:
        assert assignment is self.assignment
        self.done.append("complete")

    async def write_ahead(self, reason: str) -> None:
        assert reason == "start"
        self.done.append("written ahead")

    def _open(self, tp: Any, position: int, events_from: int, events_from_ms: int | None) -> bool:
        self.news_from_ms = events_from_ms
        self.opened.append((tp, position, events_from))
        self.done.append("opened")
        self.meta.events_from = max(self.meta.events_from, events_from)
        return self.unwritten

    async def log_status(self, tps: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return dict.fromkeys(tps, self.status)

    async def offsets_for_time(self, tps: Any, timestamp_ms: int) -> Any:
        found = self.offsets.get(timestamp_ms)
        return {} if found is None else dict.fromkeys(tps, found)

    async def describe(self, topics: Any) -> Any:
        self.now += 1.0
        return {topic: self.topics[topic] for topic in topics if topic in self.topics}

    async def seek(self, offsets: Any) -> None:
        self.seeks.append(list(offsets.values()))


async def taken(worker: Worker) -> int:
    """Position taken."""
    await worker.start()
    assert worker.seeks == [[worker.positions.position(TP)]]
    return worker.positions.position(TP)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "_SETTLE_POLL_SECONDS", 0.0)


@pytest.mark.parametrize(("start", "position"), [("earliest", 10), ("latest", 100)])
async def test_a_new_group_begins_where_it_is_told_to(start: str, position: int) -> None:
    worker = Worker(start)
    assert await taken(worker) == position
    assert worker.opened == [(TP, position, -1)]
    assert (worker.meta.topic_id, worker.meta.changelog_id) == ("id", "changes")
    assert worker.meta.partition_count == 3
    assert worker.done == ["complete", "opened", "written ahead"]
    assert worker.running
    assert worker.observer.said == [([TP], [("in", 7)]), "running: 1 partitions"]
    assert not worker.positions.moved(TP)  # nothing to write before the first record


DAY = 86_400.0
NOW, SINCE = round(STARTED * 1000), round((STARTED - DAY) * 1000)


@pytest.mark.parametrize(
    ("offsets", "opened"),
    [
        ({0: 10, SINCE: 30, NOW: 80}, (30, 80)),  # history, and what came since the start
        ({0: 10, SINCE: 30}, (30, 100)),  # all of it is history
        ({0: 10}, (100, 100)),  # all of it is older
        ({}, (10, 100)),  # no record has a Kafka timestamp: what is there already is history
    ],
)
async def test_a_new_group_warms_up_by_history_without_events(
    offsets: dict[int, int], opened: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(DAY)
    worker.offsets = offsets
    with caplog.at_level(logging.WARNING):
        assert await taken(worker) == opened[0]
    assert worker.opened == [(TP, *opened)]
    told = f"in-0: offsets {opened[0]} to {opened[1] - 1} warm up and give no events (input.start)."
    assert (told in caplog.text) == (opened[1] > opened[0])


async def test_the_embedded_broker_looks_up_no_times() -> None:
    worker = Worker(DAY)
    worker.topics = {"in": TopicStatus(3, ""), CHANGELOG: TopicStatus(3, "")}
    assert await taken(worker) == 10
    assert worker.opened == [(TP, 10, -1)]


async def test_partitions_that_were_added_meanwhile_are_refused() -> None:
    """With the sentence of the next start: the changelog has none for them."""
    worker = Worker()
    worker.topics["in"] = TopicStatus(5, "id")
    with pytest.raises(RefusedError) as raised:
        await worker.start([TP, ("in", 4)])
    assert str(raised.value) == partitions_added(CHANGELOG, "in", 5, 3)
    assert not worker.done


async def test_an_empty_log_has_no_history() -> None:
    worker = Worker(DAY)
    worker.status = LogStatus(10, 10, -1, "")
    assert await taken(worker) == 10
    assert worker.opened == [(TP, 10, 10)]


@pytest.mark.parametrize("start", ["earliest", "latest", DAY])
async def test_where_there_is_state_it_says_where_to_go_on(start: Any) -> None:
    worker = Worker(start)
    worker.offsets = {0: 10, SINCE: 30, NOW: 80}
    worker.meta = MetaRow(absorbed=41, topic_id="id", changelog_id="changes", partition_count=3)
    worker.status = LogStatus(10, 100, 30, "")
    worker.committed_before = 30
    assert await taken(worker) == 42
    assert worker.opened == [(TP, 42, -1)]
    assert worker.positions.committed(TP) == 30
    assert worker.positions.moved(TP)  # its writer died before the commit


async def test_a_group_that_has_committed_is_not_new() -> None:
    """It had begun, at the log's start, and got nothing since: no history, and all gives events."""
    worker = Worker(DAY)
    worker.offsets = {0: 10, SINCE: 30, NOW: 80}
    worker.status = LogStatus(10, 100, 10, "")
    assert await taken(worker) == 10
    assert worker.opened == [(TP, 10, -1)]


async def test_the_first_record_absorbed_is_state_too() -> None:
    worker = Worker(DAY)
    worker.offsets = {0: 10, SINCE: 30, NOW: 80}
    worker.meta, worker.status = MetaRow(absorbed=0), LogStatus(0, 100, -1, "")
    assert await taken(worker) == 1
    assert worker.opened == [(TP, 1, -1)]
    assert worker.positions.moved(TP)  # the group's offset is gone, and comes back


async def test_offset_0_committed_is_a_group_that_has_begun() -> None:
    worker = Worker(DAY)
    worker.offsets = {0: 10, SINCE: 30, NOW: 80}
    worker.status = LogStatus(0, 100, 0, "")
    assert await taken(worker) == 0
    assert worker.opened == [(TP, 0, -1)]


async def test_a_meta_row_that_says_something_new_is_written_first() -> None:
    worker = Worker()
    worker.unwritten = True
    await taken(worker)
    assert worker.positions.moved(TP)


async def test_without_transactions_offsets_in_between_are_honest() -> None:
    """Where nothing fences, a suspended worker's late rows may be ahead of its successor's."""
    worker = Worker(transactional_id="")
    worker.meta, worker.committed_before = MetaRow(absorbed=41), 20
    worker.status = LogStatus(10, 100, 30, "")
    assert await taken(worker) == 42
    worker = Worker()
    worker.meta, worker.committed_before = MetaRow(absorbed=41), 20
    worker.status = LogStatus(10, 100, 30, "")
    with pytest.raises(RefusedError, match="moved by hand"):
        await taken(worker)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"topic_id": "old"}, "belongs to another topic of this name"),
        ({"changelog_id": "old"}, "was deleted and made again, and the state in it is gone"),
        ({"partition_count": 2}, "another number of partitions"),
    ],
)
async def test_what_contradicts_the_state_is_refused(known: dict[str, Any], words: str) -> None:
    worker = Worker()
    worker.meta = MetaRow(absorbed=41, **known)
    with pytest.raises(RefusedError, match=words):
        await taken(worker)
    assert worker.opened == []


async def test_records_that_retention_removed_are_told(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    worker.meta, worker.status = MetaRow(absorbed=1), LogStatus(10, 100, 2, "")
    with caplog.at_level(logging.ERROR):
        assert await taken(worker) == 10
    assert "in-0: retention removed 8 messages unread." in caplog.text


async def test_rows_of_a_newer_version_are_left_alone() -> None:
    worker = Worker()
    worker.layout = 9
    with pytest.raises(RefusedError, match=r"layout 9.*Start that version again"):
        await taken(worker)
    assert worker.done == []


async def test_a_broker_that_is_not_there_yet_is_asked_again() -> None:
    worker = Worker()
    worker.errors = [kafka_errors.NodeNotReadyError(), kafka_errors.RequestTimedOutError()]
    assert await taken(worker) == 10
    worker = Worker()
    worker.errors = [kafka_errors.GroupAuthorizationFailedError("g")]
    with pytest.raises(kafka_errors.GroupAuthorizationFailedError):
        await taken(worker)


@pytest.mark.parametrize("topic", ["in", CHANGELOG])
async def test_a_topic_that_is_gone_is_named(topic: str) -> None:
    """A broker that has just come back may not know it for a moment."""
    worker = Worker()
    found = worker.topics.pop(topic)

    async def back() -> None:
        await asyncio.sleep(0)
        worker.topics[topic] = found

    returning = asyncio.ensure_future(back())
    assert await taken(worker) == 10
    await returning
    worker = Worker()
    del worker.topics[topic]
    with pytest.raises(RefusedError, match=rf"Topic '{topic}' does not exist any more"):
        await taken(worker)
    assert 10 < worker.now < 14


@pytest.mark.parametrize("step", ["describe", "seek"])
async def test_partitions_let_go_meanwhile_are_not_taken(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker would own what another one processes."""
    before = getattr(Worker, step)

    async def release(worker: Worker, asked: Any) -> Any:
        found = await before(worker, asked)
        worker.assignment.close()
        return found

    monkeypatch.setattr(Worker, step, release)
    worker = Worker()
    with pytest.raises(AssignmentClosed):
        await worker.start()
    assert worker.opened == []
    assert list(worker.positions) == []
    assert worker.done == ["complete"]
    assert worker.seeks == ([] if step == "describe" else [[10]])
    assert not worker.running
    assert worker.observer.said == []


async def test_partitions_let_go_while_the_first_rows_are_written_do_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker()

    async def write_ahead(reason: str) -> None:
        worker.assignment.close()

    monkeypatch.setattr(worker, "write_ahead", write_ahead)
    with pytest.raises(AssignmentClosed):
        await worker.start()
    assert not worker.running
    assert worker.observer.said == []


async def test_a_spare_worker_runs_too() -> None:
    worker = Worker()
    await worker.start(())
    assert worker.running
    assert worker.seeks == worker.done == []
    assert worker.observer.said == [([], [("in", 7)]), "running: 0 partitions"]
