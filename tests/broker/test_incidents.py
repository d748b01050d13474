"""Triggers on a broker to incidents: one for keys of all partitions, the same after a kill."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stream.bridge import OUTCOMES, RESULTS, Bridge, Incidents, ReceiverName
from stream.correlation import IncidentBody, read_incident
from stream.errors import UserError
from stream.observe import BridgeHealth, BridgeMetrics, IncidentMetrics
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.test_bridge import on, until
from tests.e2e.short_sessions import SESSION_SECONDS
from tests.serving import serving
from tests.stream.bridge.fake_apis import FakePagerduty
from tests.stream.bridge.fakes import trigger

pytestmark = pytest.mark.broker

PARTITIONS = 3


class Stage:
    """A topic of triggers, and one of incidents."""

    def __init__(self, broker: Broker, partitions: int = 1, **sections: Any) -> None:
        self.broker = broker
        self.input = broker.name("telemetry")
        self.topic = f"{self.input}.triggers"
        incidents = {"gather_seconds": 0.5, "update_seconds": 1.0, **sections.pop("incidents", {})}
        self.settings = Settings.load(
            kafka={"bootstrap_servers": broker.bootstrap, "group": broker.name("ember")},
            input={"topics": self.input},
            incidents=incidents,
            **sections,
        )
        if not broker.real:  # it cannot be asked to create a topic
            broker.create({f"{self.input}.incidents": partitions})
            changed = self.settings.kafka.model_copy(
                update={"session_timeout_seconds": SESSION_SECONDS}
            )
            self.settings = self.settings.model_copy(update={"kafka": changed})
        broker.create({self.topic: PARTITIONS})

    def send(self, *bodies: tuple[int, bytes], **more: Any) -> None:
        self.broker.produce(self.topic, [on(p, body, **more) for p, body in bodies])

    @property
    def written(self) -> list[IncidentBody]:
        records = self.broker.consume_all(f"{self.input}.incidents")
        bodies = [read_incident(record.value or b"") for record in records]
        assert all(body is not None for body in bodies)
        return [body for body in bodies if body is not None]

    def wait_for(self, status: str, number: int = 1) -> list[IncidentBody]:
        def there() -> list[IncidentBody]:
            bodies = [body for body in self.written if body.status == status]
            return bodies if len(bodies) >= number else []

        bodies: list[IncidentBody] = until(f"{number} {status}", there)
        return bodies


@contextmanager
def running(settings: Settings) -> Iterator[tuple[BridgeHealth, IncidentMetrics]]:
    metrics = IncidentMetrics(OUTCOMES, RESULTS, process=False)
    health = BridgeHealth(time.monotonic())
    stop = threading.Event()
    thread = threading.Thread(target=Incidents(settings, metrics, health).run, args=(stop,))
    thread.start()
    try:
        yield health, metrics
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def bridging(settings: Settings, name: ReceiverName) -> Iterator[BridgeMetrics]:
    metrics = BridgeMetrics(OUTCOMES, RESULTS, process=False)
    bridge = Bridge(name, settings, metrics, BridgeHealth(time.monotonic()))
    stop = threading.Event()
    thread = threading.Thread(target=bridge.run, args=(stop,))
    thread.start()
    try:
        yield metrics
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def ready(health: BridgeHealth) -> Any:
    return until("readiness", lambda: health.ready(time.monotonic()).ok)


def test_keys_of_all_partitions_are_one_incident_that_a_restart_ends(broker: Broker) -> None:
    stage = Stage(broker)
    with running(stage.settings) as (health, metrics):
        ready(health)
        stage.send(*((n % PARTITIONS, trigger(f"host-{n}")) for n in range(30)))
        (first,) = stage.wait_for("firing")
        assert (first.member_count, first.is_storm) == (30, True)
        assert b"ember_incidents_open 1.0" in metrics.render()
    stage.send(*((n % PARTITIONS, trigger(f"host-{n}", resolved=True)) for n in range(29)))
    with running(stage.settings) as (health, metrics):
        ready(health)
        until("29 ends", lambda: b"ember_bridge_firing_alerts 1.0" in metrics.render())
        stage.send((29 % PARTITIONS, trigger("host-29", resolved=True)))
        (end,) = stage.wait_for("resolved")
    assert end.id == first.id
    with running(stage.settings) as (health, _):
        ready(health)
        stage.send((0, trigger("other", starts="2026-02-01T00:00:00Z")))
        stage.wait_for("firing", 2)
    assert [body.status for body in stage.written] == ["firing", "resolved", "firing"]


def test_a_second_process_stands_by_and_takes_over(kafka: Broker) -> None:
    stage = Stage(kafka)
    with running(stage.settings) as (first, _):
        ready(first)
        stage.send((0, trigger("a")))
        stage.wait_for("firing")
        with running(stage.settings) as (second, _):
            ready(second)
            ready(first)
            stage.send((1, trigger("b")))
            stage.wait_for("updated")
        ready(first)
        stage.send((0, trigger("a", resolved=True)), (1, trigger("b", resolved=True)))
        stage.wait_for("resolved")
    assert len({body.id for body in stage.written}) == 1


def test_a_topic_of_incidents_with_several_partitions_is_refused(embedded: Broker) -> None:
    stage = Stage(embedded, partitions=2)
    metrics = IncidentMetrics(OUTCOMES, RESULTS, process=False)
    process = Incidents(stage.settings, metrics, BridgeHealth(time.monotonic()))
    with pytest.raises(UserError, match="one partition"):
        process.run(threading.Event())


def test_incidents_reach_a_receiver_and_the_digest_keeps_the_others(embedded: Broker) -> None:
    """Three incidents and a budget of one page: one alert of PagerDuty, which ends."""
    with serving(FakePagerduty()) as server:
        stage = Stage(
            embedded,
            alerts={"pages": "1/week"},
            pagerduty={
                "source": "incidents",
                "routing_key": server.ROUTING_KEY,
                "url": f"{server.url}/v2/enqueue",
            },
        )
        with running(stage.settings) as (health, _):
            ready(health)
            stage.send((0, trigger("a", channels=("cpu",))))
            stage.wait_for("firing")
            stage.send((1, trigger("b", channels=("disk",))), (2, trigger("c", channels=("net",))))
            bodies = stage.wait_for("firing", 3)
            assert [body.page for body in bodies] == [True, False, False]
            with bridging(stage.settings, "pagerduty") as metrics:
                until("the page", lambda: server.open)
                assert list(server.open) == ["a"]
                (event,) = server.posts
                assert event["payload"]["severity"] == "critical"
                assert event["payload"]["class"] == "EmberIncident"
                stage.send((0, trigger("a", resolved=True)))
                until("the end", lambda: not server.open)
            assert 'outcome="digest"} 0.0' not in metrics.render().decode()


@pytest.mark.slow
def test_a_storm_of_ten_thousand_keys_is_one_page(kafka: Broker) -> None:
    """From the triggers to PagerDuty, and back to no lag; the end is one event too."""
    keys = 10_000
    with serving(FakePagerduty()) as server:
        stage = Stage(
            kafka,
            incidents={"gather_seconds": 5.0, "update_seconds": 600.0},
            pagerduty={
                "source": "incidents",
                "routing_key": server.ROUTING_KEY,
                "url": f"{server.url}/v2/enqueue",
            },
        )
        with running(stage.settings) as (health, metrics), bridging(stage.settings, "pagerduty"):
            ready(health)
            bodies = [trigger(f"host-{n}", channels=(f"c{n % 40}",)) for n in range(keys)]
            start = time.monotonic()
            stage.send(*((n % PARTITIONS, body) for n, body in enumerate(bodies)))
            until("the page", lambda: server.posts)
            print(f"page after {time.monotonic() - start:.1f} s")
            until("no lag", lambda: b"ember_bridge_lag_records 0.0" in metrics.render())
            (first,) = stage.wait_for("firing")
            assert first.member_count == keys
            ends = [trigger(f"host-{n}", resolved=True) for n in range(keys)]
            start = time.monotonic()
            stage.send(*((n % PARTITIONS, body) for n, body in enumerate(ends)))
            until("the end", lambda: not server.open)
            print(f"end after {time.monotonic() - start:.1f} s")
        assert [event["event_action"] for event in server.posts] == ["trigger", "resolve"]
        assert len(stage.written) == 2
