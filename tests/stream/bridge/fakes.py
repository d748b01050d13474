"""Receivers that keep the requests they accept, and triggers to send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stream.records import ModelRef, TopChannel, Trigger, Window, encode_body, fingerprint
from tests.serving import serving


class FakeReceiver(ThreadingHTTPServer):
    """Answers with `status` and `headers`, or with what `answer` says of a body."""

    status = 200
    headers: dict[str, str] = {}  # noqa: RUF012  # replaced, not changed
    answer: Callable[[Any], int] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[Any] = []
        self.seen: list[str] = []
        self.authorization: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def respond(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and answer to a request."""
        status = self.answer(body) if self.answer else self.status
        if status in (200, 202):
            self.posts.append(body)
        return status, None


class FakeAlertmanager(FakeReceiver):
    """API v2 of Alertmanager."""

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """Alerts of all requests that were answered well."""
        return [alert for post in list(self.posts) for alert in post]

    def of(self, key: str) -> list[dict[str, Any]]:
        """Those of a key."""
        return [alert for alert in self.accepted if alert["labels"]["key"] == key]


class _Handler(BaseHTTPRequestHandler):
    server: FakeReceiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake = self.server
        fake.seen.append(self.path)
        fake.authorization.append(self.headers["Authorization"])
        status, answer = fake.respond(self.path, body)
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", fake.url + "/elsewhere")
        for name, value in fake.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def alertmanager() -> Iterator[FakeAlertmanager]:
    with serving(FakeAlertmanager()) as server:
        yield server


def trigger(
    key: str,
    *,
    resolved: bool = False,
    updated: bool = False,
    starts: str = "2026-01-31T00:00:00Z",
    ends: str = "2026-01-31T00:05:00Z",
    name: str = "EmberFiring",
    topic: str = "telemetry",
    channels: tuple[str, ...] = ("cpu", "disk"),
) -> bytes:
    """A trigger's body, as the engine writes it."""
    labels = {"alertname": name, "key": key, "topic": topic}
    return encode_body(
        Trigger(
            status="resolved" if resolved else "updated" if updated else "firing",
            labels=labels,
            annotations={"summary": f"{key} behaves unlike itself", "description": "cpu 0.9"},
            starts_at=starts,
            ends_at=ends if resolved else None,
            fingerprint=fingerprint(labels),
            score=float("nan"),
            probability=1e-7,
            severity=7.0,
            threshold=2.0,
            window=Window(start=starts, end=ends, size=23, stride=[3, 7]),
            top_channels=[
                TopChannel(channel, 0.9, 0.2, share, "above")
                for channel, share in zip(channels, (0.71, 0.29), strict=False)
            ],
            model=ModelRef("fleet", "1", "ab" * 32),
            reason="escalation" if updated else "evidence",
            peak=7.0,
            rows=1,
        )
    )


def incident(status: str, severity_class: str, *, name: str = "1", page: bool = True) -> bytes:
    """A message about an incident, as `ember incidents` writes it."""
    members = [f"host-{n}" for n in range(3)]
    return json.dumps(
        {
            "status": status,
            "labels": {"alertname": "EmberIncident", "incident": name, "topic": "telemetry"},
            "annotations": {"summary": "3 keys fire together, first host-0", "first": members[0]},
            "startsAt": "2026-01-31T00:00:00Z",
            "endsAt": "2026-01-31T00:05:00Z" if status == "resolved" else None,
            "severity": 1.2,
            "severity_class": severity_class,
            "page": page,
            "top_channels": [{"name": "cpu", "share": 1.0}],
            "members": [{"key": key} for key in members],
        }
    ).encode()
