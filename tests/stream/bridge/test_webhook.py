"""The webhook: Alertmanager's payload, so that its receivers understand it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.settings import Settings, SettingsError
from tests.serving import serving
from tests.stream.bridge.fakes import FakeReceiver, trigger
from tests.stream.bridge.receiving import Receiving


@pytest.fixture
def server() -> Iterator[FakeReceiver]:
    with serving(FakeReceiver()) as started:
        yield started


def test_the_payload_is_version_4(server: FakeReceiver) -> None:
    receiving = Receiving(
        "webhook",
        "https://a.example/{topic}",
        url=f"{server.url}/hook?secret=1",
        labels={"team": "plant"},
        token="t0k",
    )
    receiving.write(trigger("a"), trigger("b"))
    receiving.run(60.0)
    (payload,) = server.posts
    labels = {"alertname": "EmberFiring", "topic": "telemetry", "team": "plant"}
    assert {name: payload[name] for name in payload if name != "alerts"} == {
        "version": "4",
        "groupKey": '{}:{alertname="EmberFiring", topic="telemetry"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ember",
        "groupLabels": {"alertname": "EmberFiring", "topic": "telemetry"},
        "commonLabels": labels,
        "commonAnnotations": {"channels": "cpu 71%, disk 29%", "description": "cpu 0.9"},
        "externalURL": "https://a.example/telemetry",
    }
    first, second = payload["alerts"]
    assert first == {
        "status": "firing",
        "labels": {**labels, "key": "a"},
        "annotations": {
            "summary": "a behaves unlike itself",
            "description": "cpu 0.9",
            "channels": "cpu 71%, disk 29%",
        },
        "startsAt": "2026-01-31T00:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://a.example/telemetry",
        "fingerprint": first["fingerprint"],
    }
    assert first["fingerprint"] != second["fingerprint"]
    assert server.seen == ["/hook?secret=1"]
    assert server.authorization == ["Bearer t0k"]
    receiving.write(trigger("a", resolved=True), trigger("b", resolved=True))
    receiving.run(400.0)
    ended = server.posts[-1]
    assert ended["status"] == "resolved"
    assert [alert["endsAt"] for alert in ended["alerts"]] == ["2026-01-31T00:05:00.000Z"] * 2
    assert ended["alerts"][0]["fingerprint"] == first["fingerprint"]


def test_a_large_storm_says_how_many_are_left_out(server: FakeReceiver) -> None:
    receiving = Receiving("webhook", url=server.url)
    receiving.write(*(trigger(f"host-{n}") for n in range(1_500)))
    receiving.run(31.0)
    (payload,) = server.posts
    assert (len(payload["alerts"]), payload["truncatedAlerts"]) == (1_000, 500)
    assert len(receiving.table.unsent) == 0


def test_requests_go_through_the_proxy_of_the_settings(server: FakeReceiver) -> None:
    """The receiver itself is not asked."""
    with serving(FakeReceiver()) as proxy:
        receiving = Receiving("webhook", url="http://hooks.example/x", proxy=proxy.url)
        receiving.write(trigger("a"))
        receiving.run(31.0)
        assert proxy.seen == ["http://hooks.example/x"]
        assert receiving.results == ["accepted"]
        assert server.seen == []


def test_an_address_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"`webhook\.url`.*\(secret\)"):
        Settings.load(webhook={"url": "ftp://user:s3cret@host"})
