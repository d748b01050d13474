"""After an assignment: where each partition goes on, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors

from stream.engine import MetaRow
from stream.kafka.client.consumer import LogStatus
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.protocol.positions import Positions
from stream.kafka.recovery import start as restore
from stream.kafka.recovery.start import take_positions
from stream.observer import Observer

TP = ("in", 0)
FAUST = TopicPartition(*TP)
CHANGELOG = "g-state-in-changelog"
STARTED = 1_000_000.0


class Notes(Observer):
    def __init__(self) -> None:
        self.said: list[Any] = []

    def assigned(self, active: Any, standby: Any) -> None:
        self.said.append((list(active), list(standby)))

    def phase(self, phase: str, detail: str) -> None:
        self.said.append(f"{phase}: {detail}")


class Session:
    """A worker that was given one partition; it says what was done to it."""

    def __init__(self, start: Any = "earliest", transactional_id: str = "me") -> None:
        self.config = WorkerConfig(
            bootstrap_servers=("nobody:1",), group="g", topics=("in",), start=start
        )
        self.started, self.now = STARTED, 0.0
        self.transactional_id = transactional_id
        self.assignments, self.running = 0, False
        self.ledger, self.observer = Positions(), Notes()
        self.meta = MetaRow()
        self.layout, self.unwritten = 0, False
        self.engine = SimpleNamespace(
            meta=lambda _: self.meta, newer=lambda _: self.layout, open=self._open
        )
        self.changelog = SimpleNamespace(committed_before=lambda _: self.committed_before)
        self.committed_before: int | None = None
        self.facts = LogStatus(10, 100, -1, "")
        self.errors: list[Exception] = []
        self.offsets: dict[int, int] = {}  # by the timestamp asked for
        self.topics = {"in": TopicStatus(3, "id"), CHANGELOG: TopicStatus(3, "changes")}
        self.seeks: list[Any] = []
        self.opened: list[Any] = []
        self.done: list[str] = []
        thread = SimpleNamespace(facts=self._facts, offsets_at=self._offsets_at)
        recovery = SimpleNamespace(standby_tps=["standby"])
        app = SimpleNamespace(tables=SimpleNamespace(recovery=recovery))
        self.consumer = SimpleNamespace(thread=thread, seek_wait=self._seek, app=app)
        self.administration = SimpleNamespace(describe=self._describe)

    def clock(self) -> float:
        return self.now

    def source(self, tp: Any) -> Any:
        return f"source of {tp}"

    async def complete(self, tp: Any) -> bool:
        self.done.append("complete")
        return True

    async def write_ahead(self) -> None:
        self.done.append("written ahead")

    def _open(self, tp: Any, position: int, events_from: int) -> bool:
        self.opened.append((tp, position, events_from))
        self.done.append("opened")
        self.meta.events_from = max(self.meta.events_from, events_from)
        return self.unwritten

    async def _facts(self, tps: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return dict.fromkeys(tps, self.facts)

    async def _offsets_at(self, tps: Any, timestamp_ms: int) -> Any:
        found = self.offsets.get(timestamp_ms)
        return {} if found is None else dict.fromkeys(tps, found)

    async def _describe(self, topics: Any) -> Any:
        self.now += 1.0
        return {topic: self.topics[topic] for topic in topics if topic in self.topics}

    async def _seek(self, offsets: Any) -> None:
        self.seeks.append(list(offsets.values()))


async def taken(edge: Session, tps: Any = (FAUST,)) -> int:
    """Position taken."""
    await take_positions(edge, list(tps))  # type: ignore[arg-type]
    assert edge.seeks == [[edge.ledger.position(TP)]]
    return edge.ledger.position(TP)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "_SETTLE_POLL_SECONDS", 0.0)


@pytest.mark.parametrize(("start", "position"), [("earliest", 10), ("latest", 100)])
async def test_a_new_group_begins_where_it_is_told_to(start: str, position: int) -> None:
    edge = Session(start)
    assert await taken(edge) == position
    assert edge.opened == [(TP, position, -1)]
    assert (edge.meta.topic_id, edge.meta.changelog_id) == ("id", "changes")
    assert edge.meta.partition_count == 3
    assert edge.done == ["complete", "opened", "written ahead"]
    assert edge.running
    assert edge.observer.said == [([TP], ["source of standby"]), "running: 1 partitions"]
    assert not edge.ledger.moved(TP)  # nothing to write before the first record


DAY = 86_400.0
NOW, SINCE = round(STARTED * 1000), round((STARTED - DAY) * 1000)


@pytest.mark.parametrize(
    ("offsets", "opened"),
    [
        ({0: 10, SINCE: 30, NOW: 80}, (30, 80)),  # history, and what came since the start
        ({0: 10, SINCE: 30}, (30, 100)),  # all of it is history
        ({0: 10}, (100, 100)),  # all of it is older
        ({}, (10, -1)),  # the embedded broker looks up no times
    ],
)
async def test_a_new_group_warms_up_by_history_without_events(
    offsets: dict[int, int], opened: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    edge = Session(DAY)
    edge.offsets = offsets
    with caplog.at_level(logging.WARNING):
        assert await taken(edge) == opened[0]
    assert edge.opened == [(TP, *opened)]
    told = f"in-0: offsets {opened[0]} to {opened[1] - 1} warm up and give no events (input.start)."
    assert (told in caplog.text) == (opened[1] > opened[0])


async def test_an_empty_log_has_no_history() -> None:
    edge = Session(DAY)
    edge.facts = LogStatus(10, 10, -1, "")
    assert await taken(edge) == 10
    assert edge.opened == [(TP, 10, 10)]


@pytest.mark.parametrize("start", ["earliest", "latest", DAY])
async def test_where_there_is_state_it_says_where_to_go_on(start: Any) -> None:
    edge = Session(start)
    edge.offsets = {0: 10, SINCE: 30, NOW: 80}
    edge.meta = MetaRow(absorbed=41, topic_id="id", changelog_id="changes", partition_count=3)
    edge.facts = LogStatus(10, 100, 30, "")
    edge.committed_before = 30
    assert await taken(edge) == 42
    assert edge.opened == [(TP, 42, -1)]
    assert edge.ledger.committed(TP) == 30
    assert edge.ledger.moved(TP)  # its writer died before the commit


async def test_a_group_that_has_committed_is_not_new() -> None:
    """It had begun, at the log's start, and got nothing since: no history, and all gives events."""
    edge = Session(DAY)
    edge.offsets = {0: 10, SINCE: 30, NOW: 80}
    edge.facts = LogStatus(10, 100, 10, "")
    assert await taken(edge) == 10
    assert edge.opened == [(TP, 10, -1)]


async def test_the_first_record_absorbed_is_state_too() -> None:
    edge = Session(DAY)
    edge.offsets = {0: 10, SINCE: 30, NOW: 80}
    edge.meta, edge.facts = MetaRow(absorbed=0), LogStatus(0, 100, -1, "")
    assert await taken(edge) == 1
    assert edge.opened == [(TP, 1, -1)]
    assert edge.ledger.moved(TP)  # the group's offset is gone, and comes back


async def test_offset_0_committed_is_a_group_that_has_begun() -> None:
    edge = Session(DAY)
    edge.offsets = {0: 10, SINCE: 30, NOW: 80}
    edge.facts = LogStatus(0, 100, 0, "")
    assert await taken(edge) == 0
    assert edge.opened == [(TP, 0, -1)]


async def test_a_meta_row_that_says_something_new_is_written_first() -> None:
    edge = Session()
    edge.unwritten = True
    await taken(edge)
    assert edge.ledger.moved(TP)


async def test_without_transactions_offsets_in_between_are_honest() -> None:
    """Where nothing fences, a suspended worker's late rows may be ahead of its successor's."""
    edge = Session(transactional_id="")
    edge.meta, edge.committed_before = MetaRow(absorbed=41), 20
    edge.facts = LogStatus(10, 100, 30, "")
    assert await taken(edge) == 42
    edge = Session()
    edge.meta, edge.committed_before = MetaRow(absorbed=41), 20
    edge.facts = LogStatus(10, 100, 30, "")
    with pytest.raises(RefusedError, match="moved by hand"):
        await taken(edge)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"topic_id": "old"}, "belongs to another topic of this name"),
        ({"changelog_id": "old"}, "was deleted and made again, and the state in it is gone"),
        ({"partition_count": 2}, "another number of partitions"),
    ],
)
async def test_what_contradicts_the_state_is_refused(known: dict[str, Any], words: str) -> None:
    edge = Session()
    edge.meta = MetaRow(absorbed=41, **known)
    with pytest.raises(RefusedError, match=words):
        await taken(edge)
    assert edge.opened == []


async def test_records_that_retention_removed_are_told(caplog: pytest.LogCaptureFixture) -> None:
    edge = Session()
    edge.meta, edge.facts = MetaRow(absorbed=1), LogStatus(10, 100, 2, "")
    with caplog.at_level(logging.ERROR):
        assert await taken(edge) == 10
    assert "in-0: retention removed 8 messages unread." in caplog.text


async def test_rows_of_a_newer_version_are_left_alone() -> None:
    edge = Session()
    edge.layout = 9
    with pytest.raises(RefusedError, match=r"layout 9.*Start that version again"):
        await taken(edge)
    assert edge.done == []


async def test_a_broker_that_is_not_there_yet_is_asked_again() -> None:
    edge = Session()
    edge.errors = [kafka_errors.NodeNotReadyError(), kafka_errors.RequestTimedOutError()]
    assert await taken(edge) == 10
    edge = Session()
    edge.errors = [kafka_errors.GroupAuthorizationFailedError("g")]
    with pytest.raises(kafka_errors.GroupAuthorizationFailedError):
        await taken(edge)


@pytest.mark.parametrize("topic", ["in", CHANGELOG])
async def test_a_topic_that_is_gone_is_named(topic: str) -> None:
    """A broker that has just come back may not know it for a moment."""
    edge = Session()
    found = edge.topics.pop(topic)

    async def back() -> None:
        await asyncio.sleep(0)
        edge.topics[topic] = found

    returning = asyncio.ensure_future(back())
    assert await taken(edge) == 10
    await returning
    edge = Session()
    del edge.topics[topic]
    with pytest.raises(RefusedError, match=rf"Topic '{topic}' does not exist any more"):
        await taken(edge)
    assert 10 < edge.now < 14


@pytest.mark.parametrize("step", ["_describe", "_seek"])
async def test_partitions_let_go_meanwhile_are_not_taken(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker would own what another one processes."""
    before = getattr(Session, step)

    async def release(edge: Session, asked: Any) -> Any:
        found = await before(edge, asked)
        edge.assignments += 1
        return found

    monkeypatch.setattr(Session, step, release)
    edge = Session()
    await take_positions(edge, [FAUST])  # type: ignore[arg-type]
    assert edge.opened == []
    assert list(edge.ledger) == []
    assert edge.done == ["complete"]
    assert edge.seeks == ([] if step == "_describe" else [[10]])
    assert not edge.running
    assert edge.observer.said == []


async def test_partitions_let_go_while_the_first_rows_are_written_do_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edge = Session()

    async def write_ahead() -> None:
        edge.assignments += 1

    monkeypatch.setattr(edge, "write_ahead", write_ahead)
    await take_positions(edge, [FAUST])  # type: ignore[arg-type]
    assert not edge.running
    assert edge.observer.said == []


async def test_a_spare_worker_runs_too() -> None:
    edge = Session()
    await take_positions(edge, [])  # type: ignore[arg-type]
    assert edge.running
    assert edge.seeks == edge.done == []
    assert edge.observer.said == [([], ["source of standby"]), "running: 0 partitions"]
