"""Server-sent events of the console, over a real connection."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from stream.console.app import make_app
from stream.console.console import Console
from stream.console.serve import Server
from stream.console.workers import Workers
from stream.control import ControlSet, Document, Rule
from stream.settings import Settings
from tests.serving import serving
from tests.stream.console import filled


@contextlib.contextmanager
def served(console: Console) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(make_app(console), listener, [])
    console.is_stopping = lambda: server.is_stopping
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.address
    finally:
        server.stop()
        thread.join(30)
        listener.close()
    assert not thread.is_alive()


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_alerts_and_documents_are_told_as_they_come() -> None:
    console = filled.filled_console(keys=5, hours=0.1)
    console.now_us = lambda: filled.END_US
    store = console.store
    fault = filled.Fault(0, 0, 1, 2, 9.0)
    with served(console) as address, httpx.Client(base_url=address, timeout=30.0) as client:
        with client.stream("GET", "/api/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = events_of(answer.iter_lines())
            kind, rows = next(events)
            assert (kind, rows["keys"]) == ("rows", 5)
            now = filled.END_US
            told = filled.trigger("web-001", fault, "firing", now, now, 1)
            store.take_event(told[0], "trigger", "web-001", 0, told[1])
            old = now - 3_600_000_000
            past = filled.trigger("web-001", fault, "resolved", old, old + 1, 1)
            store.take_event(past[0], "trigger", "web-001", 0, past[1])  # no news
            store.take_incident(filled.incident([("web-001", now)], None, 9))
            rule = Document(
                name="x", author="a", time="2026-01-01T00:00:00Z", body=Rule(weight=0.5)
            )
            store.take_control(ControlSet.of([rule]), [])
            console.replayer.on_step("reading", 0.25)
            seen = []
            while len(seen) < 4:
                kind, body = next(events)
                if kind != "rows":
                    seen.append((kind, body.get("id") or body.get("phase")))
        assert seen == [
            ("trigger", told[0]),
            ("incident", f"{9:016x}"),
            ("control", None),
            ("replay", "reading"),
        ]
        # Gone clients are forgotten, and the server answers on.
        assert client.get("/api/status").status_code == 200


def test_a_console_that_stops_ends_its_streams() -> None:
    console = filled.filled_console(keys=3, hours=0.1)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(served(console))
        client = stack.enter_context(httpx.Client(base_url=address, timeout=30.0))
        answer = stack.enter_context(client.stream("GET", "/api/stream"))
        events = events_of(answer.iter_lines())
        next(events)
        console.is_stopping = lambda: True
        assert all(kind == "rows" for kind, _ in events)  # to its end


METRICS = """
# TYPE ember_phase gauge
ember_phase{phase="running"} 1.0
ember_phase{phase="joining"} 0.0
# TYPE ember_records_total counter
ember_records_total{topic="t"} %d
# TYPE ember_commits_total counter
ember_commits_total %d
# TYPE ember_consumer_lag_records gauge
ember_consumer_lag_records{topic="t",partition="0"} 3
ember_consumer_lag_records{topic="t",partition="1"} 4
"""


@pytest.mark.parametrize("is_worker", [True, False])
def test_workers_are_asked_for_their_health(is_worker: bool) -> None:
    figures, now = [(100, 1)], [10.0]

    about = {"partitions": {"t-0": {}, "t-1": {}}, "model": {"name": "m", "version": "3"}}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bodies = {
                "/info": json.dumps(about if is_worker else []),
                "/metrics": METRICS % figures[-1],
            }
            self.send_response(200 if self.path in bodies else 404)
            self.end_headers()
            self.wfile.write(bodies.get(self.path, "").encode())

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        settings = Settings.model_validate(
            {"console": {"workers": [address, "http://127.0.0.1:9"]}}
        )
        workers = Workers(settings, clock=lambda: now[0])
        workers.ask()
        figures.append((600, 2))
        now[0] = 15.0
        workers.ask()
        worker, absent = workers.health
        assert absent.error
        assert absent.error.startswith("No answer")
        if not is_worker:
            assert worker.error
            assert "no worker" in worker.error
            return
        assert (worker.phase, worker.lag, worker.partitions) == ("running", 7, 2)
        assert (worker.records_per_second, worker.checkpoint_age_seconds) == (100.0, 0.0)
        assert (worker.model, worker.candidate, worker.error) == ("m 3", None, None)
        assert workers.model is not None
        now[0] = 20.0
        workers.ask()
        assert workers.health[0].checkpoint_age_seconds == 5.0
