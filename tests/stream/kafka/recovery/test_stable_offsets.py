"""Recovery begins when nothing of a former writer can be committed any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka import errors as kafka_errors

from stream.kafka.protocol.ports import LogStatus
from stream.kafka.recovery import start as restore
from tests.stream.kafka.fakes import make_context


class Tp(NamedTuple):
    topic: str
    partition: int


LOG = Tp("g-state-in-changelog", 3)


@pytest.mark.parametrize("writer", ["g-former", "g-state"])
async def test_an_open_transaction_of_a_worker_or_a_state_tool_is_ended(
    writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that was killed is named nowhere; it would have kept workers for a quarter hour."""
    ended: list[str] = []

    async def log_status(tps: Any) -> dict[Any, LogStatus]:
        return {tp: LogStatus(0, 9 if writer in ended else 5, 4, "g-former") for tp in tps}

    async def uncommitted_ends(tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 9)

    async def fence_producer(transactional_id: str) -> None:
        ended.append(transactional_id)

    client: Any = SimpleNamespace(log_status=log_status, uncommitted_ends=uncommitted_ends)
    context = make_context(
        admin=SimpleNamespace(fence_producer=fence_producer),
        transactional_id="g-me",
        clock=iter(range(20)).__next__,  # seconds, at each look
    )
    monkeypatch.setattr(restore, "_SETTLE_POLL_SECONDS", 0.0)
    assert await restore.wait_for_stable_offsets(context, client, {LOG}) == {LOG: 9}
    assert ended == ["g-former", "g-state"]  # each once


class Cluster:
    """One changelog partition with an open transaction, on a clock that its waits move on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, transactional_id: str = "g-me") -> None:
        self.now = 100.0
        self.answers: list[Exception] = []
        self.closed_at = float("inf")
        self.taken: list[tuple[float, str]] = []
        self.waits: list[float] = []
        self.context = make_context(
            admin=self, transactional_id=transactional_id, clock=lambda: self.now
        )
        monkeypatch.setattr(restore, "asyncio", SimpleNamespace(sleep=self._sleep))

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += 0.5  # to be told apart from rounding

    async def log_status(self, tps: Any) -> dict[Any, LogStatus]:
        if self.answers:
            raise self.answers.pop(0)
        end = 9 if self.now >= self.closed_at else 5
        return {tp: LogStatus(0, end, 4, "g-former") for tp in tps}

    async def uncommitted_ends(self, tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 9)

    async def fence_producer(self, transactional_id: str) -> None:
        self.taken.append((self.now - 100.0, transactional_id))


async def stable(cluster: Cluster) -> Any:
    client: Any = cluster
    return await restore.wait_for_stable_offsets(cluster.context, client, {LOG})


async def test_a_transaction_that_ends_by_itself_is_only_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch)
    cluster.closed_at = 101.5
    assert await stable(cluster) == {LOG: 9}
    assert cluster.taken == []
    assert cluster.waits == [restore._SETTLE_POLL_SECONDS] * 3


async def test_one_that_does_not_is_ended_after_a_while_and_each_writer_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch)
    cluster.closed_at = 105.0
    assert await stable(cluster) == {LOG: 9}
    assert cluster.taken == [(2.0, "g-former"), (2.0, "g-state")]


@pytest.mark.parametrize("own", ["", "g-former"])
async def test_nobody_ends_their_own_transactions(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without transactions of its own a worker cannot end another's either."""
    cluster = Cluster(monkeypatch, own)
    cluster.closed_at = 105.0
    assert await stable(cluster) == {LOG: 9}
    assert [writer for _, writer in cluster.taken] == (["g-state"] if own else [])


async def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    cluster.closed_at = 0.0
    cluster.answers = [kafka_errors.NodeNotReadyError(), kafka_errors.RequestTimedOutError()]
    assert await stable(cluster) == {LOG: 9}
    assert cluster.waits == [restore._SETTLE_POLL_SECONDS] * 2
    cluster.answers = [kafka_errors.TopicAuthorizationFailedError("g")]
    with pytest.raises(kafka_errors.TopicAuthorizationFailedError):
        await stable(cluster)
