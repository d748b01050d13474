"""Buttons of the demo's console: orders, faults by hand, and the proof of a recovery."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from stream.console.app import make_app
from stream.demo.buttons import endpoints
from stream.demo.evaluation import GRACE_ROWS
from stream.demo.faults import ROWS, Kind
from stream.demo.orders import FaultAnswer, Orders, RecoveryAnswer
from stream.demo.scenario import Scenario
from stream.errors import UserError
from tests.stream.console.filled import TOKEN, filled_console


@pytest.fixture
def scenario() -> Scenario:
    made = Scenario(3, keys=29, history_rows=200, live_rows=320, faults_per_kind=1, goes_on=True)
    made.play(170)
    return made


@pytest.mark.parametrize("kind", Kind)
def test_a_fault_by_hand_begins_with_the_next_row(scenario: Scenario, kind: Kind) -> None:
    twin = Scenario(3, keys=29, history_rows=200, live_rows=320, faults_per_kind=1, goes_on=True)
    twin.play(170)
    fault = scenario.inject(kind)
    assert fault.onset == scenario.fleet.row
    assert ROWS[kind][0] <= fault.end - fault.onset <= ROWS[kind][1]
    count = fault.end - fault.onset
    rows, healthy = scenario.play(count + 3), twin.play(count + 3)
    if fault.channel is None:
        assert not rows.sent[:count, fault.key].any()
        assert rows.sent[count:, fault.key].all()
        return
    changed = (
        rows.values[:, fault.key, fault.channel] != healthy.values[:, fault.key, fault.channel]
    )
    assert changed[1:count].any()
    assert not changed[count:].any()
    others = np.delete(rows.values, fault.key, axis=1) == np.delete(
        healthy.values, fault.key, axis=1
    )
    assert others.all()


def test_a_machine_has_one_fault_at_a_time(scenario: Scenario) -> None:
    fault = scenario.inject(Kind.STUCK)
    with pytest.raises(UserError, match="has a fault already"):
        scenario.inject(Kind.SPIKE, fault.name)
    with pytest.raises(UserError, match="no machine"):
        scenario.inject(Kind.SPIKE, "nobody")
    row = scenario.fleet.row
    faulty = {each.name for each in scenario.faults if each.end + GRACE_ROWS > row}
    for _ in range(29 - len(faulty)):
        scenario.inject(Kind.DRIFT)
    with pytest.raises(UserError, match="All machines"):
        scenario.inject(Kind.DRIFT)


def test_the_stream_goes_on_after_the_live_rows(scenario: Scenario) -> None:
    for _ in range(40):
        assert len(scenario.play(5).time_us) == 5
    assert not scenario.over


def test_buttons_are_carried_out_in_the_thread_of_the_demo() -> None:
    orders, threads = Orders(), list[str]()

    def inject(kind: Kind, key: str) -> FaultAnswer:
        threads.append(threading.current_thread().name)
        if key == "bad":
            raise UserError("Machine 'bad' is no machine of the demo.", exit_code=2)
        return FaultAnswer(kind.value, key or "web-1", "cpu", 5)

    def kill() -> RecoveryAnswer:
        return RecoveryAnswer(1, 2, 0.5, 240, 7, 5, "aa", "aa", True)

    console = filled_console(keys=3, hours=0.1)
    app = make_app(console, endpoints(inject, kill, orders))
    stop = threading.Event()

    def carry_out() -> None:
        while not stop.is_set():
            orders.carry_out()
            time.sleep(0.01)

    demo = threading.Thread(target=carry_out, name="the demo")
    demo.start()
    try:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            assert client.post("/api/demo/kill", json={}).status_code == 403
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            client.headers["X-Ember-CSRF"] = client.get("/api/status").json()["csrf"]
            assert client.get("/api/demo").json()["kinds"] == [kind.value for kind in Kind]
            fault: Any = client.post("/api/demo/fault", json={"kind": "drift"})
            assert (fault.status_code, fault.json()["kind"]) == (200, "drift")
            refused = client.post("/api/demo/fault", json={"kind": "drift", "key": "bad"})
            assert (refused.status_code, set(refused.json())) == (400, {"error"})
            assert client.post("/api/demo/fault", json={"kind": "fire"}).status_code == 400
            assert client.post("/api/demo/kill", json={}).json()["equal"] is True
            assert "/api/demo/kill" in client.get("/api/openapi.json").json()["paths"]
    finally:
        stop.set()
        demo.join()
    assert set(threads) == {"the demo"}
