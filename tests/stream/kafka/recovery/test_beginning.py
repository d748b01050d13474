"""A broker that goes away while a worker begins is waited for."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from stream.kafka import worker as worker_module
from stream.kafka.client.newest import newest
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.kafka.supervision.topics import Cluster, _make
from stream.kafka.worker import Worker
from tests.broker.counting import CountingCodec, CountingEngine
from tests.worker_config import worker_config


@pytest.fixture
def nobody() -> Iterator[WorkerConfig]:
    """A worker's settings with an address where nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # not listening: connections are refused
        yield worker_config(
            bootstrap_servers=(f"127.0.0.1:{held.getsockname()[1]}",), topics=("in",), group="g"
        )


async def test_a_broker_that_went_away_before_the_producers_connect(
    nobody: WorkerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = itertools.count(1)

    async def prepare(*_: Any) -> Cluster:
        if next(looks) == 3:
            raise RefusedError("enough")
        return Cluster({}, transactions=False)

    async def fits(*_: Any) -> None:
        pass

    monkeypatch.setattr(worker_module, "prepare", prepare)
    monkeypatch.setattr(worker_module, "wait_for_fit", fits)
    monkeypatch.setattr(worker_module, "_AGAIN_SECONDS", 0.0)
    worker = Worker(nobody, CountingCodec(), CountingEngine())  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING), pytest.raises(RefusedError, match="enough"):
        await worker._prepare()
    assert caplog.text.count("went away while this worker began") == 2


async def test_a_model_is_not_held_against_a_topic_that_cannot_be_read(
    nobody: WorkerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await newest(nobody.client_settings(), "in", 10) == []
    assert "newest records of 'in' could not be read" in caplog.text


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (kafka_errors.NodeNotReadyError(), kafka_errors.NodeNotReadyError),
        (kafka_errors.TopicAuthorizationFailedError("out"), RefusedError),
    ],
)
async def test_only_what_waiting_does_not_mend_refuses_the_start(
    nobody: WorkerConfig, error: kafka_errors.KafkaError, raised: type[Exception]
) -> None:
    class Admin:
        can_create = True

        async def describe(self, topics: Any) -> dict[str, Any]:
            return {}

        async def create(self, topics: Any) -> None:
            raise error

    with pytest.raises(raised):
        await _make(Admin(), nobody, {"in": TopicStatus("id", 1)})  # type: ignore[arg-type]
