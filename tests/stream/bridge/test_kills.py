"""Triggers, outages and kills in any order: the receiver ends up with what fires, not with more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import serving
from tests.stream.bridge.fake_apis import FakePagerduty, FakeSlack
from tests.stream.bridge.fakes import FakeReceiver, trigger
from tests.stream.bridge.receiving import Receiving

KEYS = "abcde"


class Run:
    """A receiver, and the keys that fire."""

    def __init__(self, receiving: Receiving, server: FakeReceiver) -> None:
        self.receiving, self.server = receiving, server
        self.firing: set[str] = set()

    def change(self, key: str) -> None:
        self.receiving.write(trigger(key, resolved=key in self.firing))
        self.firing ^= {key}

    def play(self, data: st.DataObject) -> None:
        steps: dict[str, Callable[[], Any]] = {
            "change": lambda: self.change(data.draw(st.sampled_from(KEYS))),
            "time": lambda: self.receiving.run(
                self.receiving.now + data.draw(st.sampled_from([1.0, 35.0, 310.0]))
            ),
            "kill": self.receiving.start,
            "kill before the commit": self.kill_before_commit,
            "outage": lambda: setattr(self.server, "status", 503),
            "recovery": lambda: setattr(self.server, "status", 200),
        }
        for name in data.draw(st.lists(st.sampled_from(sorted(steps)), max_size=30)):
            steps[name]()
        self.server.status = 200
        self.receiving.run(self.receiving.now + 400.0)

    def kill_before_commit(self) -> None:
        committed = self.receiving.committed
        self.receiving.send()
        self.receiving.committed = committed
        self.receiving.start()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_pagerduty_has_open_what_fires(data: st.DataObject) -> None:
    with serving(FakePagerduty()) as server:
        run = Run(
            Receiving("pagerduty", routing_key=server.ROUTING_KEY, url=f"{server.url}/v2/enqueue"),
            server,
        )
        run.play(data)
        assert set(server.open) == run.firing
        assert run.receiving.committed.offset == len(run.receiving.log)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_slack_shows_what_fires(data: st.DataObject) -> None:
    with serving(FakeSlack()) as server:
        run = Run(
            Receiving(
                "slack",
                token=server.TOKEN,
                channel=server.CHANNEL,
                api_url=f"{server.url}/api",
                text="[{key}]",
            ),
            server,
        )
        run.play(data)
        assert run.receiving.committed.offset == len(run.receiving.log)
        red = "\N{LARGE RED CIRCLE} ["
        newest = str(server.first[-1]) if server.first else ""
        assert {key for key in KEYS if f"{red}{key}]" in newest} == run.firing


@pytest.mark.parametrize("restarts", [0, 3])
def test_restarts_send_nothing_again(restarts: int) -> None:
    with serving(FakePagerduty()) as server:
        receiving = Receiving(
            "pagerduty", routing_key=server.ROUTING_KEY, url=f"{server.url}/v2/enqueue"
        )
        receiving.write(*(trigger(f"host-{n}") for n in range(300)))
        receiving.write(*(trigger(f"host-{n}", resolved=True) for n in range(0, 300, 7)))
        receiving.send()
        receiving.write(*(trigger(f"host-{n}", resolved=True) for n in range(1, 300, 7)))
        receiving.send()
        requests = len(server.posts)
        for _ in range(restarts):
            receiving.start()
            receiving.run(receiving.now + 100.0)
        assert len(server.posts) == requests
