"""Triggers on a broker to an Alertmanager: told once they are so, known after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.bridge import OUTCOMES, RESULTS, Bridge, _reading
from stream.control import Document, Silence
from stream.observe import BridgeHealth, BridgeMetrics
from stream.settings import Settings
from stream.tools import clients
from tests.broker.conftest import Broker
from tests.e2e.short_sessions import SESSION_SECONDS
from tests.stream.bridge.fakes import FakeAlertmanager, alertmanager, trigger

pytestmark = pytest.mark.broker

PARTITIONS = 3
_PATIENCE_SECONDS = 60.0
BACKLOG = [("ember.backlog", b"true")]


def until(what: str, holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)
    return found


@pytest.fixture
def server() -> Iterator[FakeAlertmanager]:
    with alertmanager() as found:
        yield found


class Running:
    """A bridge in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = BridgeMetrics(OUTCOMES, RESULTS, process=False)
        self.health = BridgeHealth(time.monotonic())
        self.bridge = Bridge("alertmanager", settings, self.metrics, self.health)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.bridge.run, args=(self._stop,))

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def value(self, name: str) -> float:
        for line in self.metrics.render().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        raise KeyError(name)


class Stage:
    """A topic of triggers and how a bridge is to read it."""

    def __init__(self, broker: Broker, server: FakeAlertmanager, **own: Any) -> None:
        self.broker = broker
        self.input = broker.name("telemetry")
        self.topic = f"{self.input}.triggers"
        self.settings = Settings.load(
            kafka={"bootstrap_servers": broker.bootstrap, "group": broker.name("ember")},
            input={"topics": self.input},
            alertmanager={"urls": server.url, "resend_seconds": 1.0, **own},
        )
        if not broker.real:  # shorter than settings allow; a restart waits out the session there
            self._shorten("kafka", session_timeout_seconds=SESSION_SECONDS)
            self._shorten("alertmanager", resend_seconds=0.2)
        broker.create({self.topic: PARTITIONS})

    def _shorten(self, section: str, **seconds: float) -> None:
        changed = getattr(self.settings, section).model_copy(update=seconds)
        self.settings = self.settings.model_copy(update={section: changed})

    def send(self, *records: Send) -> None:
        self.broker.produce(self.topic, list(records))

    def committed(self) -> list[int | None]:
        group = f"{self.settings.kafka.group}-alertmanager"
        return kafka_client.committed_offsets(self.broker.bootstrap, group, self.topic)

    def all_committed(self) -> bool:
        ends = kafka_client.end_offsets(self.broker.bootstrap, self.topic)
        return [offset or 0 for offset in self.committed()] == ends


def on(partition: int, body: bytes, **more: Any) -> Send:
    return Send(b"k", body, int(1000 * time.time()), partition, **more)


def test_a_silence_of_the_control_topic_holds_alerts_back(
    broker: Broker, server: FakeAlertmanager
) -> None:
    """From the first message on, until it is removed."""
    stage = Stage(broker, server)
    control = stage.settings.control.model_copy(update={"enabled": True})
    settings = stage.settings.model_copy(update={"control": control})
    topic = settings.control_topic
    broker.create({topic: 1})
    body = Silence(until="2999-01-01T00:00:00Z", keys=("rack7-*",))
    document = Document(name="move", author="ann", time="2026-01-31T00:00:00Z", body=body)
    milliseconds = int(1000 * time.time())
    key = document.key.encode()
    broker.produce(topic, [Send(key, document.encode(), milliseconds, 0)])
    with Running(settings):
        stage.send(on(0, trigger("rack7-a")), on(1, trigger("rack8-a")))
        until("the other alert", lambda: len(server.of("rack8-a")) > 1)
        assert server.of("rack7-a") == []
        broker.produce(topic, [Send(key, None, milliseconds, 0)])
        until("the alert", lambda: server.of("rack7-a"))


def test_what_fires_is_told_until_it_is_over(broker: Broker, server: FakeAlertmanager) -> None:
    """Again and again while it fires, the end once; backlog and rubbish never."""
    stage = Stage(broker, server)
    with Running(stage.settings) as running:
        stage.send(
            on(0, trigger("a")),
            on(1, trigger("old"), headers=BACKLOG),
            on(2, b"rubbish"),
            on(1, trigger("b")),
        )
        until("reminders", lambda: len(server.of("a")) > 2 and len(server.of("b")) > 2)
        assert running.health.ready(time.monotonic()).ok
        assert running.value("ember_bridge_firing_alerts") == 2
        starts = {alert["startsAt"] for alert in server.of("a")}
        assert starts == {"2026-01-31T00:00:00.000Z"}
        stage.send(on(0, trigger("a", resolved=True)))
        ended = until("the end", lambda: [a for a in server.of("a") if "00:05:" in a["endsAt"]])
        assert len(ended) == 1
        after = len(server.of("b"))
        until("another reminder of b", lambda: len(server.of("b")) > after)
        assert server.of("a")[-1] == ended[0]
        until("the commit", stage.all_committed)
    assert server.of("old") == []


def test_a_restart_knows_what_fires(broker: Broker, server: FakeAlertmanager) -> None:
    """Also what began before the committed offset; who came and went meanwhile is not told."""
    stage = Stage(broker, server)
    with Running(stage.settings):
        stage.send(on(0, trigger("a")), on(0, trigger("b")), on(2, trigger("c")))
        until("all three", lambda: {a["labels"]["key"] for a in server.accepted} == set("abc"))
        stage.send(on(0, trigger("b", resolved=True)))
        until("the commit", stage.all_committed)
    server.posts.clear()
    stage.send(
        on(2, trigger("c", resolved=True)),
        on(1, trigger("d")),
        on(1, trigger("d", resolved=True)),
        on(1, trigger("e")),
    )
    with Running(stage.settings):
        until("a", lambda: len(server.of("a")) > 1)
        until("e", lambda: len(server.of("e")) > 1)
        until("the commit", stage.all_committed)
    fire = {a["labels"]["key"] for a in server.accepted if a["endsAt"] > a["startsAt"]}
    ended = {a["labels"]["key"] for a in server.accepted if "00:05:" in a["endsAt"]}
    assert ended >= {"c"}
    assert ended <= {"b", "c"}
    assert all("00:05:" in a["endsAt"] for k in "bc" for a in server.of(k))
    assert server.of("d") == []
    assert fire >= {"a", "e"}


def test_nothing_is_committed_before_it_is_accepted(
    broker: Broker, server: FakeAlertmanager
) -> None:
    """Alertmanager is away: readiness says so, reading goes on, and all is told when it is back."""
    stage = Stage(broker, server)
    with Running(stage.settings) as running:
        until("readiness", lambda: running.health.ready(time.monotonic()).ok)
        server.status = 503
        stage.send(on(0, trigger("a")), on(1, trigger("b")))
        until("both read", lambda: running.value("ember_bridge_unsent_alerts") == 2)
        stage.send(on(1, trigger("b", resolved=True)))
        until("b's end", lambda: running.value("ember_bridge_firing_alerts") == 1)
        until("the failure", lambda: not running.health.ready(time.monotonic()).ok)
        assert not stage.committed()[0]  # b came and went: nothing of it is left to accept
        assert server.accepted == []
        server.status = 200
        until("a", lambda: server.of("a"))
        until("the commit", stage.all_committed)
        until("readiness again", lambda: running.health.ready(time.monotonic()).ok)
        assert running.value("ember_bridge_unsent_alerts") == 0
    assert server.of("b") == []


def test_two_share_the_partitions_and_one_takes_over(
    kafka: Broker, server: FakeAlertmanager
) -> None:
    """What the other one held is read again, and told by who is left."""
    stage = Stage(kafka, server)
    with Running(stage.settings) as first:
        stage.send(*(on(p, trigger(f"k{p}")) for p in range(PARTITIONS)))
        until("all", lambda: first.value("ember_bridge_firing_alerts") == PARTITIONS)
        until("the commit", stage.all_committed)
        with Running(stage.settings) as second:
            until("a share", lambda: second.value("ember_bridge_firing_alerts") > 0)
            held = lambda: [r.value("ember_bridge_firing_alerts") for r in (first, second)]  # noqa: E731
            until("the rest", lambda: sum(held()) == PARTITIONS)
        until("everything", lambda: first.value("ember_bridge_firing_alerts") == PARTITIONS)


def test_a_first_start_begins_with_todays_news(kafka: Broker, server: FakeAlertmanager) -> None:
    """What fired longer ago than `alerts.max_alert_age` is history."""
    stage = Stage(kafka, server)
    now = int(1000 * time.time())
    kafka.produce(
        stage.topic,
        [
            Send(b"k", trigger("yesterday"), now - 86_400_000, 0),
            Send(b"k", trigger("today"), now - 60_000, 0),
        ],
    )
    with Running(stage.settings):
        until("today", lambda: server.of("today"))
    assert server.of("yesterday") == []


def test_it_waits_for_the_topics_of_the_workers(
    embedded: Broker, server: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reading, "_TOPIC_RETRY_SECONDS", 0.1)
    settings = Settings.load(
        kafka={"bootstrap_servers": embedded.bootstrap},
        input={"topics": "metrics"},
        alertmanager={"urls": server.url},
    )
    with Running(settings) as running:
        waits = "there is no topic 'metrics.triggers' yet"
        until("the wait", lambda: waits in str(running.health.ready(time.monotonic()).body()))
        embedded.create({"metrics.triggers": 1})
        embedded.produce("metrics.triggers", [on(0, trigger("a"))])
        until("a", lambda: server.of("a"))


def test_it_waits_for_a_broker(server: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka being away restarts nobody; readiness says what is missing."""
    soon = partial(clients.fetch_metadata, seconds=0.2)
    monkeypatch.setattr(clients, "fetch_metadata", soon)
    monkeypatch.setattr(_reading, "_TOPIC_RETRY_SECONDS", 0.1)
    settings = Settings.load(
        kafka={"bootstrap_servers": "127.0.0.1:9"}, alertmanager={"urls": server.url}
    )
    with Running(settings) as running:
        found = lambda: str(running.health.ready(time.monotonic()).body())  # noqa: E731
        until("the wait", lambda: "No broker answers" in found())
