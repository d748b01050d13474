"""What a broker does not allow ends in one sentence that names the mend."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from stream.kafka.client.producers import too_large
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.checkpoint import CheckpointError
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.runtime.session import Session
from stream.kafka.supervision import topics as topics
from stream.observer import Observer
from tests.stream.kafka.fakes import FakeEngine, FakeLog

CONFIG = WorkerConfig(bootstrap_servers=("nobody:1",), group="g", topics=("in",))


class Words(Observer):
    """The last thing that was said."""

    said = ""

    def phase(self, phase: str, detail: str) -> None:
        self.said = f"{phase}: {detail}"


async def test_what_is_too_large_is_said_with_the_setting_and_the_topics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words, ended = Words(), list[int]()
    engine: Any = FakeEngine()
    log: Any = FakeLog([])
    nobody: Any = None
    edge = Session(
        config=CONFIG,
        codec=nobody,
        engine=engine,
        observer=words,
        transactional_id="",
        log_factory=lambda _: log,
        administration=nobody,
        events=None,
        dead_letters=None,
        too_large=too_large,
        exit_process=ended.append,
    )

    async def refused(reason: str) -> int:
        raise CheckpointError("no") from kafka_errors.MessageSizeTooLargeError()

    monkeypatch.setattr(edge.checkpoint, "run", refused)
    with pytest.raises(SystemExit):
        await edge.checkpoint_now("interval")
    assert ended == [1]
    for part in ("failed:", "too large", "max.message.bytes", "g-state-in-changelog"):
        assert part in words.said


async def test_a_changelog_with_other_partitions_is_refused_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Admin:
        can_create = can_fence = True

        async def describe(self, names: list[str]) -> dict[str, TopicStatus]:
            return {n: TopicStatus(5 if n.endswith("changelog") else 3, "id") for n in names}

        async def __aexit__(self, *_: object) -> None:
            """Nothing is open."""

    async def connect(*_: Any) -> Any:
        return Admin()

    monkeypatch.setattr(topics, "connect", connect)
    with pytest.raises(RefusedError, match=r"Expected 3 partitions.*ember state rebase"):
        await topics.prepare(CONFIG, Observer())
