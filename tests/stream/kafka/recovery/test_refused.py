"""What a broker does not allow ends in one sentence that names the mend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.checkpoint import CheckpointError
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.runtime.checkpointer import Checkpointer
from stream.kafka.supervision import topics as topics
from stream.observer import Observer
from tests.stream.kafka.fakes import make_context
from tests.worker_config import worker_config

CONFIG = worker_config(bootstrap_servers=("nobody:1",), group="g", topics=("in",))


class Words(Observer):
    """The last thing that was said."""

    said = ""

    def phase(self, phase: str, detail: str) -> None:
        self.said = f"{phase}: {detail}"


async def test_what_is_too_large_is_said_with_the_setting_and_the_topics() -> None:
    words, ended = Words(), list[int]()
    context = make_context(words, config=CONFIG, exit_process=ended.append)

    class Refused:
        async def run(self, reason: str) -> int:
            raise CheckpointError("no") from kafka_errors.MessageSizeTooLargeError()

    refused: Any = Refused()
    with pytest.raises(SystemExit):
        await Checkpointer(context, refused, asyncio.Event()).run("interval")
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
        await topics.prepare(CONFIG, Lifecycle(Observer()))
