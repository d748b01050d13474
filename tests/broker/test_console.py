"""`ember console` beside a worker: alerts, feedback, what-if, activations and scores by its API."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from stream.console.serve import running
from stream.demo.recovery import compare_state, read_state
from stream.scores import encode
from stream.settings import Settings
from stream.testing import EmbeddedBroker
from stream.tools.state import PartitionState
from tests.broker.conftest import Broker
from tests.broker.judged_stream import MetaRows, save_quick_model
from tests.broker.test_control import settings_file
from tests.broker.test_feedback import FIRST, REPEATS, ROWS, SHIFTED, SPIKY, records
from tests.e2e.service import Service, wait_until
from tests.stream.console.filled import END_US, batches, key_names, plan
from tests.stream.engine.conftest import CHANNELS

TOKEN = "broker-token"


class Api:
    """Client of a console, with the token of its user."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(base_url=address, timeout=60.0)
        self._client.headers["Authorization"] = f"Bearer {TOKEN}"
        self._client.headers["X-Ember-CSRF"] = self.get("/api/status")["csrf"]

    def get(self, path: str, **query: Any) -> Any:
        """Answer of a reading endpoint."""
        answer = self._client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Answer of a writing endpoint."""
        answer = self._client.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError("waited in vain")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextlib.contextmanager
def console(settings: Settings) -> Iterator[Api]:
    """A console with its threads, and a client of it."""
    with running(settings) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        api = Api(server.address)
        try:
            yield api
        finally:
            api.close()
            server.stop()
            thread.join(30)
            assert not thread.is_alive()
            assert server.error is None


def console_settings(config: Path, **console_section: Any) -> Settings:
    return Settings.load(
        config, console={"port": 0, "token": TOKEN, "user": "alice", **console_section}
    )


def _compare_after_retention(
    broker: EmbeddedBroker, settings: Settings, topic: str, baseline: list[PartitionState]
) -> None:
    """Once the first records are gone, a replay goes on from a state of before the kill."""
    for partition in range(2):
        broker.delete_records(topic, partition, FIRST - 3)
    assert compare_state(settings).expected is None
    state = compare_state(settings, baseline)
    assert (state.records, state.replayed) == (2 * ROWS, 2 * (ROWS - FIRST))
    assert state.digest == state.expected
    # A baseline that is another state leads elsewhere.
    swapped = [replace(part, rows={}) for part in baseline]
    assert compare_state(settings, swapped).expected != state.digest
    for partition in range(2):
        broker.delete_records(topic, partition, FIRST + 1)
    assert compare_state(settings, baseline).expected is None
    late = compare_state(settings, read_state(settings))
    assert (late.replayed, late.expected) == (0, state.digest)


@pytest.mark.slow
@pytest.mark.broker
def test_alerts_are_shown_judged_and_tried_by_the_api(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault is in the feed with its channel, and what the API writes changes what fires next."""
    topic = broker.topic("seen", 2)
    save_quick_model(tmp_path / "model")
    if not broker.real:
        broker.create({f"{topic}.scores": 2})
    more = f'[model]\npath = "{tmp_path / "model"}"\n[output]\nscores = "all"\n'
    config = settings_file(broker, tmp_path, topic, more)
    settings = console_settings(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"

    meta_rows = MetaRows(broker, changelog)
    absorbed, noted = meta_rows.absorbed, meta_rows.noted

    worker = Service(tmp_path, config, embedded=not broker.real)
    with contextlib.ExitStack() as stack:
        stack.enter_context(worker)
        api = stack.enter_context(console(settings))
        wait_until("the start", lambda: "Running with 2" in worker.log.read_text(), worker)
        broker.produce(topic, records(0, FIRST))
        wait_until("the first rows", lambda: absorbed() == 2 * FIRST, worker)
        baseline = read_state(settings)

        def spikes() -> list[dict[str, Any]]:
            events = api.get("/api/events", key=SPIKY.decode())["events"]
            return [e for e in events if e["alert"] == "EmberFiring"]

        (spike,) = api.until(spikes)
        assert spike["channels"][0]["name"] == "heat"
        assert spike["channels"][0]["direction"] == "above"

        def rows() -> Any:
            answer = api.get(f"/api/keys/{SPIKY.decode()}/series", begin_us=0, end_us=2**52)
            return answer if spike["starts_us"] in answer["time_us"] else None

        series = api.until(rows)  # topics are read beside each other
        assert api.get("/api/status")["scores"] is True
        times = np.array(series["time_us"])
        at = int(np.searchsorted(times, spike["starts_us"]))
        assert times[at] == spike["starts_us"]
        assert series["firing"][at] == 1
        assert series["evidence"][at] >= series["threshold"][at]
        fault = {name: channel["contribution"][at] for name, channel in series["channels"].items()}
        assert max(fault, key=lambda name: fault[name]) == "heat"
        assert {k["key"] for k in api.get("/api/keys")["keys"]} == {"a", "b"}
        verdict = {"event": spike["id"], "verdict": "false-alarm", "note": "a backup"}
        written = api.send("POST", "/api/feedback", verdict)
        assert (written["document"]["author"], written["document"]["reason"]) == (
            "alice",
            "a backup",
        )
        (marked,) = spikes()
        assert marked["feedback"]["key"] == written["document"]["key"]
        wait_until("the judgement", lambda: len(noted() - {""}) == 1, worker)
        broker.produce(topic, records(FIRST, ROWS))
        wait_until("the last rows", lambda: absorbed() == 2 * ROWS, worker)
        api.until(lambda: len(spikes()) == 2)
        # The fault came REPEATS times more, and was not told again; the other one was.
        assert len(REPEATS) == 2
        assert [e["channels"][0]["name"] for e in spikes()] == ["flow", "heat"]

        # Taken back, with no document left, the replay is that of `ember backtest --rules`.
        undone = api.send(**written["undo"])
        assert undone["removed"] == written["document"]["key"]
        api.until(lambda: not api.get("/api/control")["documents"])
        rules = tmp_path / "rules.toml"
        rules.write_text('[[rule]]\nname = "heat"\nchannels = ["heat"]\nignore = true\n')
        question = {
            "pattern": "*",
            "hours": 24,
            "rules": [{"name": "heat", "channels": ["heat"], "ignore": True}],
        }
        tried = api.send("POST", "/api/what-if", question)
        capsys.readouterr()
        arguments = [f"kafka:{topic}", "--config", str(config), "--rules", str(rules), "--json"]
        assert main(["backtest", *arguments]) == 0
        summary = json.loads(capsys.readouterr().out)
        expected = summary["rules"]
        assert (tried["pages_before"], tried["pages_after"]) == (
            expected["pages_before"],
            expected["pages_after"],
        )
        assert tried["pages_before"] > tried["pages_after"]
        assert tried["rows"] == summary["scored"]
        starts = {episode["id"]: episode for episode in tried["before"] + tried["after"]}
        for name in ("gone", "new"):
            assert sorted((starts[i]["key"], starts[i]["alert"]) for i in tried[name]) == sorted(
                (page["key"], page["alertname"]) for page in expected[name]
            )

        # Killed and back, its state is that of a replay that no kill has interrupted.
        worker.kill()
        worker.start()
        wait_until(
            "the restart", lambda: worker.log.read_text().count("Running with 2") > 1, worker
        )
        state = compare_state(settings, baseline)
        assert (state.keys, state.records, state.replayed) == (2, 2 * ROWS, 2 * ROWS)
        assert state.digest == state.expected
        if broker.embedded is not None:
            _compare_after_retention(broker.embedded, settings, topic, baseline)

        network = api.get("/api/network")
        assert [layer["name"] for layer in network["layers"]] == [
            "sensory",
            "inter",
            "command",
            "motor",
        ]
        ids = {neuron["id"] for layer in network["layers"] for neuron in layer["neurons"]}
        lit = api.get(f"/api/keys/{SPIKY.decode()}/activations")
        assert set(lit["activations"]) == ids
        assert set(lit["forecast"]) == set(CHANNELS)
        assert all(np.isfinite(list(lit["forecast"].values())))
        assert SHIFTED.decode() in {e["key"] for e in api.get("/api/events")["events"]}


@pytest.mark.broker
def test_scores_are_read_from_their_topic_and_again_after_a_restart(
    broker: Broker, tmp_path: Path
) -> None:
    """Rows of all partitions are there with their band, and nothing is committed."""
    topic = broker.topic("rows", 2)
    config = settings_file(broker, tmp_path, topic)
    settings = console_settings(config, hours=744)
    names, rows = key_names(23), 41
    faults = plan(23, rows)
    sends = [
        Send(None, encode(batch), partition=0)
        for row in range(rows)
        for batch in batches(names, END_US + row * 10_000_000, row, faults)
    ]
    with console(settings) as api:
        api.until(lambda: api.get("/api/health")["console"]["reading"] == "running")
        broker.create({f"{topic}.scores": 1})  # later than the console: `output.scores` was set
        broker.produce(f"{topic}.scores", [*sends, Send(None, b"no scores", partition=0)])
        api.until(lambda: api.get("/api/health")["console"]["taken"] == 23 * rows)
        first = api.get("/api/keys/web-001/series", points=100)
        assert len(first["time_us"]) == rows
        assert first["step_us"] == 0
        cpu = first["channels"]["cpu"]
        inside = np.array(cpu["lower"]) < np.array(cpu["upper"])
        assert inside.all()
        assert api.get("/api/status")["coverage"] == 0.95
    with console(settings) as api:
        api.until(lambda: api.get("/api/health")["console"]["taken"] == 23 * rows)
        assert api.get("/api/keys/web-001/series", points=100) == first
