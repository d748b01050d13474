"""Slack's and PagerDuty's APIs, with the rules that they publish."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from tests.stream.bridge.fakes import FakeReceiver


class FakePagerduty(FakeReceiver):
    """Events API v2 (developer.pagerduty.com/docs/send-alert-event)."""

    ROUTING_KEY = "R0123456789ABCDEF0123456789ABCDE"

    def respond(self, path: str, body: Any) -> tuple[int, Any]:
        if path != "/v2/enqueue":
            return 404, None
        status = self.answer(body) if self.answer else self.status
        if status not in (200, 202):
            return status, None
        errors = self._errors(body)
        if errors:
            self.refused = errors
            return 400, {"status": "invalid event", "message": "bad", "errors": errors}
        self.posts.append(body)
        return 202, {"status": "success", "message": "ok", "dedup_key": body["dedup_key"]}

    refused: list[str] = []  # noqa: RUF012  # replaced, not changed

    def _errors(self, body: dict[str, Any]) -> list[str]:
        errors = []
        if body.get("routing_key") != self.ROUTING_KEY:
            errors.append("routing_key")
        if body.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            errors.append("event_action")
        if not 0 < len(body.get("dedup_key", "")) <= 255:
            errors.append("dedup_key")
        if len(json.dumps(body)) > 512 * 1024:
            errors.append("size")
        if body["event_action"] != "trigger":
            return errors
        payload = body.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1_024:
            errors.append("summary")
        if not payload.get("source"):
            errors.append("source")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("severity")
        datetime.fromisoformat(payload["timestamp"])
        if any(set(link) != {"href", "text"} for link in body.get("links", [])):
            errors.append("links")
        return errors

    @property
    def open(self) -> dict[str, str]:
        """Summary of each open alert, by the name of its source."""
        alerts: dict[str, tuple[str, str]] = {}
        for event in self.posts:
            if event["event_action"] == "trigger":
                payload = event["payload"]
                alerts[event["dedup_key"]] = payload["source"], payload["summary"]
            else:
                alerts.pop(event["dedup_key"], None)
        return dict(alerts.values())


class FakeSlack(FakeReceiver):
    """Incoming webhook and Web API (docs.slack.dev)."""

    TOKEN, CHANNEL = "xoxb-1", "C0123456789"

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.error = ""

    def respond(self, path: str, body: Any) -> tuple[int, Any]:
        status = self.answer(body) if self.answer else self.status
        if status != 200:
            return status, None
        assert len(body["text"]) <= 4_000
        if path.startswith("/services/"):
            if self._fault(body):
                return 400, None
            self.posts.append(body)
            return 200, None
        error = self.error or self._api_fault(path, body)
        if error:
            return 200, {"ok": False, "error": error}
        self.posts.append(body)
        ts = body.get("ts") or f"1700000000.{len(self.posts):06d}"
        self.messages[ts] = body
        return 200, {"ok": True, "channel": self.CHANNEL, "ts": ts}

    def _api_fault(self, path: str, body: dict[str, Any]) -> str:
        if self.authorization[-1] != f"Bearer {self.TOKEN}":
            return "invalid_auth"
        if body.get("channel") != self.CHANNEL:
            return "channel_not_found"
        if path == "/api/chat.update" and body.get("ts") not in self.messages:
            return "message_not_found"
        if path not in ("/api/chat.update", "/api/chat.postMessage"):
            return "unknown_method"
        return self._fault(body)

    @staticmethod
    def _fault(body: dict[str, Any]) -> str:
        blocks = body.get("blocks", [])
        if not 0 < len(blocks) <= 50:
            return "invalid_blocks"
        for block in blocks:
            kind = "plain_text" if block["type"] == "header" else "mrkdwn"
            most = {"header": 150, "section": 3_000}[block["type"]]
            text = block["text"]
            if text["type"] != kind or not 0 < len(text["text"]) <= most:
                return "invalid_blocks"
        return ""

    @property
    def first(self) -> list[dict[str, Any]]:
        """Messages that answer no other, as they stand now."""
        return [m for m in self.messages.values() if "thread_ts" not in m]

    @property
    def replies(self) -> list[dict[str, Any]]:
        """Messages in threads."""
        return [m for m in self.messages.values() if "thread_ts" in m]


def texts(message: dict[str, Any]) -> str:
    """Everything that a message shows."""
    return "\n".join(block["text"]["text"] for block in message["blocks"])
