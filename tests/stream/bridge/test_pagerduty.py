"""PagerDuty: events by the rules of its API, one open alert there for each here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import serving
from tests.stream.bridge.fake_apis import FakePagerduty
from tests.stream.bridge.fakes import trigger
from tests.stream.bridge.receiving import Receiving


@pytest.fixture
def pagerduty() -> Iterator[FakePagerduty]:
    with serving(FakePagerduty()) as server:
        yield server


def receiving_at(server: FakePagerduty, link: str = "", **more: object) -> Receiving:
    key = {"routing_key": server.ROUTING_KEY, "url": f"{server.url}/v2/enqueue"}
    return Receiving("pagerduty", link, **{**key, **more})


def test_an_alert_opens_with_its_trigger_and_ends_with_it(pagerduty: FakePagerduty) -> None:
    receiving = receiving_at(pagerduty, "https://a.example/d?key={key}")
    receiving.write(trigger("a"), trigger("b"))
    receiving.send()
    assert pagerduty.open == {"a": "a behaves unlike itself", "b": "b behaves unlike itself"}
    event = pagerduty.posts[0]
    assert event["payload"] == {
        "summary": "a behaves unlike itself",
        "source": "a",
        "severity": "error",
        "timestamp": "2026-01-31T00:00:00.000Z",
        "component": "telemetry",
        "class": "EmberFiring",
        "custom_details": {
            "alertname": "EmberFiring",
            "key": "a",
            "topic": "telemetry",
            "summary": "a behaves unlike itself",
            "description": "cpu 0.9",
            "channels": "cpu 71%, disk 29%",
            "severity": "7.0",
        },
    }
    assert event["links"] == [{"href": "https://a.example/d?key=a", "text": "Key in Ember"}]
    receiving.write(trigger("a", updated=True), trigger("a", resolved=True))
    receiving.send()
    assert list(pagerduty.open) == ["b"]
    assert len(pagerduty.posts) == 3


def test_growth_is_an_event_of_the_same_alert(pagerduty: FakePagerduty) -> None:
    receiving = receiving_at(pagerduty)
    receiving.write(trigger("a"))
    receiving.send()
    receiving.write(trigger("a", updated=True))
    receiving.send()
    assert len({event["dedup_key"] for event in pagerduty.posts}) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 403])
def test_an_outage_and_restarts_lose_nothing_and_repeat_little(
    pagerduty: FakePagerduty, status: int
) -> None:
    receiving = receiving_at(pagerduty)
    receiving.write(*(trigger(f"k{n}") for n in range(40)))
    accepted = 0

    def limited(_: object) -> int:
        nonlocal accepted
        accepted += 1
        return 202 if accepted <= 25 else status

    pagerduty.answer = limited
    receiving.send()
    assert len(pagerduty.posts) == 25
    assert receiving.receiver.overdue == 15
    receiving.write(trigger("k0", resolved=True), trigger("k30", resolved=True))
    receiving.start()
    pagerduty.answer = None
    pagerduty.status = 202
    receiving.run(60.0)
    assert sorted(pagerduty.open) == sorted(f"k{n}" for n in range(40) if n not in (0, 30))
    # 40 triggers without k30, which came and went, and the end of k0: nothing twice.
    assert len(pagerduty.posts) == 40


def test_an_event_that_is_refused_is_counted_and_left_out(pagerduty: FakePagerduty) -> None:
    receiving = receiving_at(pagerduty)
    pagerduty.answer = lambda event: 400 if "bad" in str(event) else 202
    receiving.write(trigger("a"), trigger("bad"), trigger("b"))
    receiving.send()
    assert list(pagerduty.open) == ["a", "b"]
    assert receiving.results == ["accepted", "refused", "accepted"]
    assert receiving.committed.offset == 3


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=3_000), st.text(max_size=200))
def test_every_key_and_channel_makes_an_event_that_is_accepted(key: str, channel: str) -> None:
    with serving(FakePagerduty()) as pagerduty:
        receiving = receiving_at(pagerduty, "https://a.example/{key}")
        receiving.write(trigger(key, channels=(channel,)))
        receiving.send()
        assert receiving.results == ["accepted"]
        assert pagerduty.refused == []
