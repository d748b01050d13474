"""Reader of the console's topics: their meanings, and records that cannot be used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from stream.console import topic_reader
from stream.console.console import Reading
from stream.console.store import Store
from stream.console.topic_reader import TopicReader, sources_of
from stream.errors import UserError
from stream.settings import Settings
from stream.testing import EmbeddedBroker


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_every_output_of_every_stream_is_read():
    settings = Settings.model_validate(
        {"input": {"topics": ["a", "b"]}, "control": {"enabled": True}}
    )
    sources = sources_of(settings)
    assert sources["a.scores"] == sources["b.scores"] == "scores"
    assert sources["a.triggers"] == sources["b.anomalies"] == "events"
    assert sources["a.incidents"] == "incidents"
    assert sources[settings.control_topic] == "control"
    assert "a" not in sources


def test_without_documents_no_control_topic_is_read():
    assert "control" not in sources_of(Settings(input={"topics": ["a"]})).values()


def test_one_topic_of_two_meanings_is_refused():
    settings = Settings(input={"topics": ["a"]}, output={"scores_topic": "<input>.triggers"})
    with pytest.raises(UserError, match="two meanings"):
        sources_of(settings)


def test_a_broker_that_is_gone_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the connections that end, not with the next look for topics; what is behind is unknown."""
    monkeypatch.setattr(topic_reader, "_REFRESH_SECONDS", 1e9)
    state, stop = Reading(), threading.Event()
    assert state.lag is None
    with EmbeddedBroker({"cut.scores": 2, "cut.triggers": 3}) as broker:
        settings = Settings.model_validate(
            {"input": {"topics": ["cut"]}, "kafka": {"bootstrap_servers": broker.bootstrap}}
        )
        reader = TopicReader(settings, Store(16 << 20, 1.0), state)
        thread = threading.Thread(target=reader.run, args=(stop,))
        thread.start()
        try:
            until(lambda: (state.phase, state.lag) == ("running", 0))
            broker.stop()
            until(lambda: state.phase == "waiting")
            assert state.lag is None
            assert "No broker answers" in state.trouble
        finally:
            stop.set()
            thread.join(60)
    assert not thread.is_alive()
