"""The bridge's thread and its health, beside a consumer that is none."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from stream.bridge import OUTCOMES, RESULTS, Bridge
from stream.observe import BridgeHealth, BridgeMetrics
from stream.settings import Settings
from stream.tools import clients


class Hanging:
    """A consumer without news whose third call does not return until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.hangs, self.go = threading.Event(), threading.Event()

    def consume(self, *_: Any, **__: Any) -> list[Any]:
        self.calls += 1
        if self.calls == 3:
            self.hangs.set()
            self.go.wait()
        return []

    def subscribe(self, *_: Any, **__: Any) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_thread_that_hangs_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop beside it turns, and says nothing about it."""
    consumer, now = Hanging(), [1_000.0]
    monkeypatch.setattr(clients, "open_consumer", lambda *_, **__: consumer)
    monkeypatch.setattr(clients, "fetch_metadata", lambda _: SimpleNamespace())
    monkeypatch.setattr(clients, "partition_counts", lambda _: {"telemetry.triggers": 1})
    settings = Settings(alertmanager={"urls": "http://127.0.0.1:9"})
    health = BridgeHealth(0.0)
    metrics = BridgeMetrics(OUTCOMES, RESULTS, process=False)
    bridge, stop = (
        Bridge("alertmanager", settings, metrics, health, lambda: now[0]),
        threading.Event(),
    )
    thread = threading.Thread(target=bridge.run, args=(stop,), daemon=True)
    thread.start()
    try:
        assert consumer.hangs.wait(60)
        health.tick(now[0] + 7)
        assert health.live(now[0] + 7).ok
        now[0] += 500
        health.tick(now[0])
        report = health.live(now[0])
        assert {check.name: check.ok for check in report.checks} == {
            "event_loop": True,
            "thread": False,
        }
        assert not health.ready(now[0]).ok
        stop.set()
    finally:
        stop.set()
        consumer.go.set()
        thread.join()
    assert health.live(now[0]).ok
